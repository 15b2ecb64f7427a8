"""Telling git's index that files of the work tree were written by us and match it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.git.run import Git


class IndexEntry:
    """One path as the index has it: git's `mode` (0o100644, 0o100755, ...) and blob id. `stage` 0 unless in conflict."""

    __slots__ = ("blob", "mode", "stage")

    def __init__(self, mode: int, blob: str, stage: int) -> None:
        self.mode = mode
        self.blob = blob
        self.stage = stage

    @property
    def executable(self) -> bool:
        return bool(self.mode & 0o100)


def entries(git: Git) -> dict[str, IndexEntry]:
    """Every path of the index; of a path in conflict the last stage. `git` runs at the top of the work tree."""
    found = {}
    for line in git.fields("ls-files", "--stage", "-z"):
        facts, _, path = line.partition("\t")
        mode, blob, stage = facts.split(" ")
        found[path] = IndexEntry(int(mode, 8), blob, int(stage))
    return found


def lists_sparsely(git: Git) -> bool:
    """Whether this git can list a sparse index as it is and filter by attributes at once (2.42)."""
    words = git.text("version").split()
    numbers = [int(part) for part in (words[2] if len(words) > 2 else "").split(".")[:2] if part.isdigit()]
    return numbers >= [2, 42]


def present_files(git: Git, *pathspecs: str) -> dict[str, IndexEntry]:
    """The files of the index (below the pathspecs) that the work tree should have: without those that a sparse checkout leaves
    out. Needs a git that `lists_sparsely`."""
    found = {}
    for line in git.fields("ls-files", "-t", "--stage", "--sparse", "--full-name", "-z", "--", *pathspecs):
        facts, _, path = line.partition("\t")
        tag, mode, blob, stage = facts.split(" ")
        if tag != "S" and mode.startswith("100"):
            found[path] = IndexEntry(int(mode, 8), blob, int(stage))
    return found


def refresh(git: Git, paths: Iterable[str]) -> None:
    """Make git look at `paths` (known to the index) again, so that `git status` is quick and silent. Raises `GitError`."""
    stdin = b"".join(os.fsencode(path) + b"\0" for path in paths)
    if stdin:
        git.output("update-index", "-q", "-z", "--stdin", stdin=stdin)
