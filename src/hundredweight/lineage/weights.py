"""Which weights a commit has: the Git LFS pointers of weight files in its tree. No object is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.formats.names import is_weight_file
from hundredweight.git.patterns import PathFilter
from hundredweight.git.scan import read_pointers, tree_entries
from hundredweight.lineage.record import Weights
from hundredweight.protocol.pointer import CUTOFF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.git.run import Git
    from hundredweight.git.scan import BlobEntry


def weights_in(git: Git, treeish: str, patterns: Sequence[str] = ()) -> tuple[Weights, ...]:
    """The pointers of weight files in a tree, by path; of those that `patterns` name (as .gitignore does), where there are any.
    `weights_id` is empty: it takes a recipe or the data. Raises `GitError`, `ScanError`."""
    entries = _named(git, treeish, patterns)
    small = ((entry.blob, entry.path) for entry in entries if 0 < entry.size < CUTOFF)
    return tuple(
        Weights(found.path, found.pointer.oid, found.pointer.size) for found in read_pointers(git, small)
    )  # fmt: skip


def weights_in_git(git: Git, treeish: str, patterns: Sequence[str] = ()) -> tuple[str, ...]:
    """Paths of such files that are no pointers: their bytes stand in git itself. Raises as `weights_in`."""
    entries = [entry for entry in _named(git, treeish, patterns) if entry.size]
    small = [(entry.blob, entry.path) for entry in entries if entry.size < CUTOFF]
    pointers = {found.path for found in read_pointers(git, small)}
    return tuple(entry.path for entry in entries if entry.path not in pointers)


def _named(git: Git, treeish: str, patterns: Sequence[str]) -> list[BlobEntry]:
    allows = PathFilter(patterns).allows if patterns else is_weight_file
    return [entry for entry in tree_entries(git, treeish) if entry.is_regular and allows(entry.path)]
