"""`cwt exp push`, `pull` and `remove --remote`: experiments' refs and the objects of their weights, to and from a remote.

Experiments are refs like any other, so git moves them; their objects go first, as with branches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import RemoteError
from hundredweight.base.ids import InvalidId, Oid
from hundredweight.client.fetch import Fetcher
from hundredweight.client.push import RemoteBranches, make_item, send
from hundredweight.git.run import GitError
from hundredweight.git.scan import PointerFile, scan_range
from hundredweight.lineage.experiments import FETCHED, REFS
from hundredweight.protocol.batch import UPLOAD
from hundredweight.protocol.pointer import Pointer
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hundredweight.base.progress import Meter
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git
    from hundredweight.lineage.experiments import Experiment
    from hundredweight.transfer.queue import Failure, Item

AT_ONCE = 400
"""Refs in one git command: its arguments must fit a command line."""


class RemoteRefused(RemoteError):
    """The remote did not do what git asked of it; git's own words are the message."""

    hint = "run 'git ls-remote REMOTE' to see whether it can be reached"

    def __init__(self, remote: str, error: GitError) -> None:
        super().__init__(f"'{remote}': {error.stderr or error}")
        self.remote = remote


@dataclass(frozen=True, slots=True)
class PushPlan:
    """`ids` are those that the remote lacks (id -> commit), `known` how many it has; `items` objects that may have to go
    first."""

    remote: str
    ids: dict[str, str]
    known: int
    items: tuple[Item, ...]


def at_remote(git: Git, remote: str) -> dict[str, str]:
    """The remote's experiments: id -> commit. Raises `RemoteRefused`."""
    try:
        out = git.text("ls-remote", "-q", remote, f"{REFS}*")
    except GitError as error:
        raise RemoteRefused(remote, error) from error
    pairs = (line.split("\t", 1) for line in out.splitlines())
    return {ref.removeprefix(REFS): commit for commit, ref in pairs}


def plan_push(workspace: Workspace, remote: str, commits: dict[str, str]) -> PushPlan:
    """`commits` are those of the experiments to push, by id. Raises `RemoteRefused`, `ScanError`."""
    branches = RemoteBranches(workspace, remote)
    there = at_remote(workspace.git, remote)
    wanted = {identity: commit for identity, commit in commits.items() if there.get(identity) != commit}
    items: dict[Oid, Item] = {}
    if wanted:
        excluded, options = branches.excluded()
        have = set(there.values())
        ours = [commit for commit in commits.values() if commit in have]
        for file in scan_range(workspace.git, wanted.values(), [*excluded, *ours], options=options):
            oid, size = file.pointer.oid, file.pointer.size
            if size and oid not in items:
                items[oid] = make_item(workspace, file.path, oid, size)
    else:
        branches.excluded()
    return PushPlan(remote, wanted, len(commits) - len(wanted), tuple(items.values()))


def push(workspace: Workspace, plan: PushPlan, meter: Meter) -> list[Failure]:
    """Objects, then refs; where an object does not get there, no ref does. Raises `RemoteRefused`."""
    if plan.items:
        git_dir = workspace.repository.git_dir
        with open_server(
            workspace.config, workspace.git, workspace.variables, plan.remote, UPLOAD, git_dir=git_dir
        ) as server:
            failures = send(workspace, server, "", plan.items, meter)
        if failures:
            return failures
    # What the pre-push hook would upload is there already.
    git = workspace.git.with_env(GIT_LFS_SKIP_PUSH="1")
    _push_refs(git, plan.remote, [f"{commit}:{REFS}{identity}" for identity, commit in plan.ids.items()])
    return []


def remove_at_remote(workspace: Workspace, remote: str, ids: Iterable[str]) -> list[str]:
    """Delete those of the ids that the remote has; gives them. Raises `RemoteRefused`."""
    there = at_remote(workspace.git, remote)
    gone = [identity for identity in ids if identity in there]
    _push_refs(workspace.git.with_env(GIT_LFS_SKIP_PUSH="1"), remote, [f":{REFS}{identity}" for identity in gone])
    return gone


def _push_refs(git: Git, remote: str, refspecs: Sequence[str]) -> None:
    for start in range(0, len(refspecs), AT_ONCE):
        try:
            git.output("push", "-q", "--no-follow-tags", remote, *refspecs[start : start + AT_ONCE])
        except GitError as error:
            raise RemoteRefused(remote, error) from error


def pull(git: Git, remote: str, ids: Sequence[str] = ()) -> list[str]:
    """Fetch the remote's experiments (those `ids`, or all) to where fetched ones are kept; gives the ids that were not here.
    Experiments of branches come with the branches. Raises `RemoteRefused`."""
    kept = f"{FETCHED}{remote}/"
    before = _ids(git)
    refspecs = [f"+{REFS}{identity}:{kept}{identity}" for identity in ids] or [f"+{REFS}*:{kept}*"]
    for start in range(0, len(refspecs), AT_ONCE):
        try:
            git.output("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote, *refspecs[start : start + AT_ONCE])
        except GitError as error:
            raise RemoteRefused(remote, error) from error
    return sorted(_ids(git) - before)


def _ids(git: Git) -> set[str]:
    return {
        ref.rpartition("/")[2] for ref in git.text("for-each-ref", "--format=%(refname)", REFS, FETCHED).splitlines()
    }


def weights_of(found: Iterable[Experiment]) -> list[PointerFile]:
    """The weights that records name, as pointers. Entries without a valid id are passed over."""
    files = []
    for each in found:
        for weights in each.record.weights:
            try:
                files.append(PointerFile(weights.path, Pointer(Oid.parse(weights.oid), weights.size), ""))
            except InvalidId:
                continue
    return files


def pull_weights(
    workspace: Workspace, remote: str, found: Iterable[Experiment], meter: Meter
) -> tuple[int, list[Failure]]:
    """Download the weights of experiments that are not here; gives how many objects came, and what did not."""
    with Fetcher(workspace, remote) as fetcher:
        items = fetcher.plan(weights_of(found))
        failures = fetcher.execute(items, meter) if items else []
    return len(items) - len(failures), failures
