"""`cwt exp apply`: what an experiment changed, in the work tree: parameters, weights, and its record. HEAD and the index stay.

Planned first: nothing is written when a file has changes of the user's own, or an object cannot be had.
"""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.client.fetch import Fetcher
from hundredweight.client.lineage_settings import of_revision
from hundredweight.git.run import GitError
from hundredweight.git.scan import PointerFile, read_pointers, tree_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.base.progress import Meter
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git
    from hundredweight.lineage.experiments import Experiment
    from hundredweight.transfer.queue import Failure

_TOLD = 10


class WouldOverwrite(UsageError):
    """Files of the work tree have changes that are not committed. `paths` are they."""

    hint = "commit or stash them, or repeat the command with --force"

    def __init__(self, paths: Sequence[str]) -> None:
        listed = ", ".join(f"'{path}'" for path in paths[:_TOLD])
        more = f" and {len(paths) - _TOLD} more" if len(paths) > _TOLD else ""
        super().__init__(f"your changes to {listed}{more} would be overwritten")
        self.paths = tuple(paths)


class BranchExists(UsageError):
    """A branch that was to be made is there."""

    hint = "choose another name, or move it yourself with 'git branch -f NAME COMMIT'"


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """`written` and `deleted` are paths; `missing` objects must come first. `notes` tell what to know before going on."""

    commit: str
    written: tuple[str, ...]
    deleted: tuple[str, ...]
    missing: tuple[PointerFile, ...]
    notes: tuple[str, ...]


def plan_apply(workspace: Workspace, found: Experiment, *, force: bool = False) -> ApplyPlan:
    """Raises `WouldOverwrite` (unless `force`), `GitError`."""
    git = workspace.git
    commit = _origin(git, found)
    base = git.run("rev-parse", "--verify", "--quiet", f"{commit}^1").out.decode().strip()
    changed = _changed(git, base, commit) if base else _named(git, found, commit)
    head = git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}").out.decode().strip()
    here = _present(git, changed)
    written = tuple(path for path, blob in changed.items() if blob)
    deleted = tuple(path for path, blob in changed.items() if not blob and path in here)
    # What is already as the experiment has it is nobody's loss.
    wrong = _dirty(git, commit, [*written, *deleted])
    if wrong and not force:
        raise WouldOverwrite(wrong)
    notes = []
    if base and head and base != head:
        since = [path for path in _changed(git, base, head) if path in changed]
        notes.append(f"the experiment started from {base[:12]}, which is not HEAD: other files are not as it had them")
        if since:
            notes.append(
                f"changed since then in HEAD too, and now as the experiment has them: {', '.join(since[:_TOLD])}"
            )
    blobs = ((blob, path) for path, blob in changed.items() if blob)
    pointers = read_pointers(git, blobs)
    store = workspace.store
    missing = tuple(
        file for file in pointers if file.pointer.size and not store.has(file.pointer.oid, file.pointer.size)
    )
    return ApplyPlan(commit, written, deleted, missing, tuple(notes))


def apply(workspace: Workspace, plan: ApplyPlan, meter: Meter) -> list[Failure]:
    """Get what is missing, then write; where an object does not come, nothing is written. Raises `GitError`."""
    if plan.missing:
        with Fetcher(workspace) as fetcher:
            failures = fetcher.execute(fetcher.plan(plan.missing), meter)
        if failures:
            return failures
    git = workspace.git.with_env(GIT_LITERAL_PATHSPECS="1")
    listed = b"".join(os.fsencode(path) + b"\0" for path in plan.written)
    if listed:
        git.output(
            "restore",
            f"--source={plan.commit}",
            "--worktree",
            "--pathspec-from-file=-",
            "--pathspec-file-nul",
            stdin=listed,
        )
    for path in plan.deleted:
        target = os.path.join(workspace.repository.work_tree, path)
        if os.path.lexists(target):
            os.unlink(target)
    return []


def make_branch(git: Git, found: Experiment, name: str) -> None:
    """A branch at the experiment's commit. Raises `BranchExists`, `UsageError` for what is no name of a branch."""
    if not git.ok("check-ref-format", "--branch", name):
        raise UsageError(
            f"'{name}' is no name of a branch", hint="see 'git help check-ref-format' for what names may be like"
        )
    try:
        git.output(
            "update-ref",
            "-m",
            f"branch: experiment {found.record.id}",
            f"refs/heads/{name}",
            found.commit,
            "0" * len(found.commit),
        )
    except GitError as error:
        if git.ok("show-ref", "--verify", "--quiet", f"refs/heads/{name}"):
            raise BranchExists(f"there is a branch '{name}' already") from error
        raise


def _origin(git: Git, found: Experiment) -> str:
    """The experiment's own commit; of a record that stands in a branch's tree the commit that brought it."""
    if found.ref or found.by_hand:
        return found.commit
    brought = git.text("log", "-1", "--diff-filter=A", "--format=%H", found.commit, "--", found.record.path)
    return brought or found.commit


def _named(git: Git, found: Experiment, commit: str) -> dict[str, str]:
    """What to write where git does not know the commit before (a shallow clone): weights, record, parameter files."""
    parameters = of_revision(git, commit).parameters
    weights = {each.path for each in found.record.weights}
    own = (found.record.path, found.record.folder + "/")
    return {
        entry.path: entry.blob
        for entry in tree_entries(git, commit)
        if entry.path in weights
        or entry.path.startswith(own)
        or any(fnmatch.fnmatchcase(entry.path, pattern) for pattern in parameters)
    }


def _changed(git: Git, old: str, new: str) -> dict[str, str]:
    """Path -> the blob that it has in `new`, empty where it is gone. Symbolic links and submodules are passed over."""
    fields = git.fields("diff-tree", "-r", "-z", "--no-renames", "--raw", old, new)
    found = {}
    for meta, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, _, blob, _ = meta.removeprefix(":").split(" ")
        if new_mode.startswith("100"):
            found[path] = blob
        elif old_mode.startswith("100") and new_mode == "000000":
            found[path] = ""
    return found


def _present(git: Git, paths: dict[str, str]) -> set[str]:
    """Those that the index has."""
    literal = git.with_env(GIT_LITERAL_PATHSPECS="1")
    return set(literal.fields("ls-files", "-z", "--", *paths)) if paths else set()


def _dirty(git: Git, commit: str, paths: Sequence[str]) -> list[str]:
    """Files with changes that HEAD has not, whether tracked, untracked or ignored; unless they are as in `commit`."""
    if not paths:
        return []
    literal = git.with_env(GIT_LITERAL_PATHSPECS="1")
    how = ("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")
    listed = [line[3:] for line in literal.fields(*how, "--", *paths) if len(line) > 3]
    # A folder that is ignored as a whole is told by its own name.
    touched = {
        path for path in paths for each in listed if path == each or (each.endswith("/") and path.startswith(each))
    }
    top = git.folder or "."
    there = [path for path in paths if path in touched and os.path.lexists(os.path.join(top, path))]
    return [path for path in there if not _as_in(literal, commit, path)]


def _as_in(git: Git, commit: str, path: str) -> bool:
    wanted = git.run("rev-parse", "--verify", "--quiet", f"{commit}:{path}").out.strip()
    made = git.run("hash-object", f"--path={path}", "--", path)
    return bool(wanted) and not made.code and made.out.strip() == wanted
