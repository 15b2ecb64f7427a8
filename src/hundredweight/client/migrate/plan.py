"""What a migration is asked to do and how it tells what it does: options, listener, which blobs are meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hundredweight.git.patterns import PathFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

# Git reads these itself, in the work tree or straight from the index; as pointers they would break the clone.
GITS_OWN_FILES = frozenset((".gitattributes", ".gitignore", ".gitmodules", ".lfsconfig"))


class Listener(Protocol):
    """Told how far a migration is; each call returns at once. A name in a call is what git calls it."""

    def fetching(self) -> None:
        """Remotes are being asked for their refs."""

    def sorting(self) -> None:
        """The commits are being listed."""

    def sorted(self, commits: int) -> None:
        """The commits are known; `commit` follows for each."""

    def commit(self, number: int) -> None:
        """`number` of them are done."""

    def converted(self, commit: str, path: str) -> None:
        """A file became a pointer, in this commit for the first time."""

    def moved(self, name: str, old: str, new: str) -> None:
        """A ref points to the rewritten history."""


@dataclass(frozen=True)
class Choice:
    """Which files are meant: patterns as in .gitattributes; at least (`convert`) or more than (`info`) `above` bytes;
    with `fixup` exactly those that the .gitattributes files beside and above them give to LFS."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    above: int = 0
    fixup: bool = False
    paths: PathFilter = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", PathFilter(self.include, self.exclude, attributes=True))
