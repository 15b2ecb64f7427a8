"""Where segments and recipes are: what every place that holds packs (a clone's folder, a hub's database) answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from hundredweight.base.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.base.ids import Oid
    from hundredweight.store.recipe import Recipe


class PackMissing(LocalError):
    """A pack is not there any more: repacked since it was looked up, or lost. `pack` is its name."""

    hint = "'git lfs fsck' names the objects that this concerns; 'git lfs fetch' brings them again"

    def __init__(self, pack: str) -> None:
        super().__init__(f"pack '{pack[:12]}' is missing")
        self.pack = pack


class Location(NamedTuple):
    """A stored segment. `offset` and `stored` are of the codec block alone, `size` is of the raw bytes. `base` is the segment
    that the block is a delta against; `depth` is how many deltas lead to a block without one (0 for such a block itself)."""

    pack: str
    offset: int
    stored: int
    size: int
    base: bytes | None
    depth: int


class Catalog(Protocol):
    """Answers from what is stored now. Thread-safe."""

    def segments(self, ids: Iterable[bytes]) -> dict[bytes, Location]:
        """Of those segments the ones that are stored. The base of each is stored too."""

    def recipe(self, oid: Oid) -> Recipe | None:
        """The recipe of a packed object. Raises `RecipeDamaged`, `PackDamaged`."""


class PackBytes(Protocol):
    """Bytes of packs. Thread-safe."""

    def read(self, pack: str, offset: int, length: int) -> bytes:
        """Just those bytes. Raises `PackMissing` where the pack is gone, `PackDamaged` where it is too short."""
