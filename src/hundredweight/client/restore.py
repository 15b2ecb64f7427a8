"""`cwt restore`: files as they were in a release, as a new commit on the current branch; nothing of history is taken back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, UsageError
from hundredweight.client.fetch import Fetcher
from hundredweight.client.finished_files import settle
from hundredweight.client.pointer_files import WITHOUT_FILTER, WRITES_LATER
from hundredweight.client.worktree import WorktreeWriter
from hundredweight.git.refs import UnknownRef
from hundredweight.git.scan import diff_index, read_pointers, small_blobs
from hundredweight.lineage import releases
from hundredweight.transfer.queue import distinct_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.base.progress import Meter
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git
    from hundredweight.git.scan import PointerFile

NAMED = 3
"""Paths in the subject of the commit; of more, their number."""


class LocalChanges(CwtError):
    """Files that a restore would replace have changes that no commit holds, or something is staged. Nothing was done."""

    hint = "commit, stash or discard them ('git status' lists them), then run the command again"

    def __init__(self, paths: Sequence[str], *, staged: bool) -> None:
        which = "there are staged changes" if staged else "there are local changes"
        super().__init__(f"{which}: '{paths[0]}'{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}")
        self.paths = tuple(paths)


class NothingToRestore(UsageError):
    """The release has no such paths, or no weights."""

    hint = "run 'git ls-tree -r --name-only RELEASE' for the paths there are"


class RestoreFailed(CwtError):
    """Weights of the release could not be had, or not be written. Nothing was committed."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """`name` is what the user called the `commit`; `paths` the files that come back, `pointers` those of them that are in LFS."""

    name: str
    commit: str
    paths: tuple[str, ...]
    pointers: tuple[PointerFile, ...]


def plan_restore(workspace: Workspace, prefix_git: Git, name: str, pathspecs: Sequence[str]) -> RestorePlan:
    """What differs between the release `name` and HEAD below `pathspecs` (relative to the folder of `prefix_git`; none: all LFS
    files of the release). Files that the release does not have stay. Raises `UnknownRef`, `NothingToRestore`, `LocalChanges`."""
    commit = _commit(workspace.git, name)
    listed = prefix_git.fields("ls-tree", "-r", "-z", "--full-name", commit, "--", *(pathspecs or (":/",)))
    entries = []
    for record in listed:
        facts, _, path = record.partition("\t")
        mode, kind, blob = facts.split()
        if kind == "blob":
            entries.append((path, mode, blob))
    regular = {blob: path for path, mode, blob in entries if mode.startswith("100")}
    known = {found.blob for found in read_pointers(workspace.git, small_blobs(workspace.git, regular.items()))}
    if not pathspecs:
        entries = [entry for entry in entries if entry[2] in known]
    if not entries:
        what = f"'{pathspecs[0]}'" if pathspecs else "LFS files"
        raise NothingToRestore(f"'{name}' has no {what}")
    _refuse_changes(workspace.git, {path for path, _, _ in entries})
    changed = _differing(workspace.git, commit, {path for path, _, _ in entries})
    chosen = [entry for entry in entries if entry[0] in changed]
    pointers = read_pointers(workspace.git, ((blob, path) for path, _, blob in chosen if blob in known))
    return RestorePlan(name, commit, tuple(path for path, _, _ in chosen), tuple(pointers))


def restore(workspace: Workspace, plan: RestorePlan, meter: Meter, message: str = "") -> str:
    """Bring the files back and commit them; the new commit's id. The weights are here before anything changes. Raises
    `RestoreFailed`, `GitError` (a hook may refuse the commit: then the files are staged)."""
    git = workspace.git
    with Fetcher(workspace) as fetcher:
        items = fetcher.plan(plan.pointers)
        failures = fetcher.execute(items, meter) if items else []
    if failures:
        error = distinct_errors(failures)[0]
        raise RestoreFailed(f"cannot fetch '{failures[0].item.path}': {error}", hint=error.hint)
    # Git writes the pointers, and we the weights over them: git would hold each file in memory.
    quiet = git.with_env(**{WRITES_LATER: "1"}).with_options(*WITHOUT_FILTER)
    names = b"".join(os.fsencode(path) + b"\0" for path in plan.paths)
    quiet.with_options("--literal-pathspecs").output(
        "checkout", "--no-overlay", plan.commit, "--pathspec-from-file=-", "--pathspec-file-nul", stdin=names
    )
    with WorktreeWriter(workspace) as writer:
        for file in plan.pointers:
            writer.write(file.path, file.pointer)
        writes = writer.finish()
    settle(workspace, writes)
    broken = [write.error for write in writes if write.error is not None]
    if broken:
        raise RestoreFailed(f"cannot write the weights: {broken[0]}", hint="mend that, then run 'git lfs checkout'")
    git.output("commit", "--quiet", "--file=-", stdin=os.fsencode(message or default_message(plan)))
    return git.text("rev-parse", "HEAD")


def default_message(plan: RestorePlan) -> str:
    """A subject for people and a trailer for machines."""
    what = ", ".join(plan.paths) if len(plan.paths) <= NAMED else f"{len(plan.paths)} files"
    return f"Restore {what} of {plan.name}\n\nRestored-From: {plan.name} {plan.commit}\n"


def _commit(git: Git, name: str) -> str:
    """Any name that git knows, or a release's (`model@latest`, `model#prod`)."""
    found = git.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if found.code == 0:
        return os.fsdecode(found.out).strip()
    release = releases.resolve(git, name)
    if release is None:
        raise UnknownRef(name)
    return release.commit


def _refuse_changes(git: Git, paths: set[str]) -> None:
    # It says by its exit code that files differ; which, is asked next.
    git.run("update-index", "-q", "--refresh")
    staged = [change.path for change in diff_index(git, "HEAD", cached=True)]
    if staged:
        raise LocalChanges(staged, staged=True)
    changed = [change.path for change in diff_index(git, "HEAD", cached=False) if change.path in paths]
    untracked = _untracked(git, paths)
    if changed or untracked:
        raise LocalChanges(changed or untracked, staged=False)


def _untracked(git: Git, paths: set[str]) -> list[str]:
    """Files in the way that git does not know."""
    top = git.text("rev-parse", "--show-toplevel")
    tracked = set(git.fields("ls-files", "-z", "--full-name", ":/"))
    return sorted(path for path in paths - tracked if os.path.lexists(os.path.join(top, path)))


def _differing(git: Git, commit: str, paths: set[str]) -> set[str]:
    """Of `paths` those that HEAD has otherwise, or not at all."""
    fields = git.fields("diff-tree", "-r", "-z", "--no-renames", "--name-only", commit, "HEAD")
    return paths & set(fields)
