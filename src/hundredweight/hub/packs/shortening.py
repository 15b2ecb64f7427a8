"""Chains that came longer than `DEEPEST` are made anew in the background, so that whoever comes next finds room again.

A fresh clone holds the newest version and nothing that this stands upon. What it pushes can only be a delta against that version,
whatever the depth: readers take up to `MAX_DEPTH`. Here the ancestors are at hand, and the same version becomes a delta
against one that is less deep, as it would have been out of its author's clone.

The new pack is durable and was read back before its rows take the place of the old ones in one transaction, and the old pack goes
after that: a crash at any moment leaves one of them whole, the other without rows, to be removed at the next start.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hundredweight.hub.packs.catalog import BaseGone
from hundredweight.hub.packs.readback import read_back
from hundredweight.hub.packs.service import WORKERS, contents_of, pack_key
from hundredweight.store.pack import DEEPEST, PackStreamWriter
from hundredweight.store.packer import Packer
from hundredweight.store.reader import PackedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from hundredweight.backend.interface import Backend
    from hundredweight.base.ids import Oid
    from hundredweight.hub.packs.catalog import PackContents
    from hundredweight.hub.packs.service import Packs
    from hundredweight.store.catalog import Location
    from hundredweight.store.recipe import Recipe

GRACE = 600.0
"""Seconds for which a replaced pack stays: a slow client's download may be reading it."""


class Shortener:
    """For one thread."""

    def __init__(
        self,
        packs: Packs,
        backend: Backend,
        predecessors: Callable[[Recipe], Sequence[Recipe]],
        pause: Callable[[], None],
    ) -> None:
        """`pause` is called between two pieces of work; what it raises ends them."""
        self._packs = packs
        self._backend = backend
        self._predecessors = predecessors
        self._pause = pause
        self._seen = 0
        self._todo: list[Oid] = []
        self._replaced: list[tuple[float, Oid, str]] = []

    def todo(self) -> list[Oid]:
        """Objects that came deep since the last call, oldest first. What cannot be shortened is found again at the next start."""
        found, self._seen = self._packs.tables.deep(DEEPEST, self._seen)
        return found

    def shorten(self, oid: Oid) -> bool:
        """Whether the object's chains are as short as others' now. Raises `CwtError`; the object then stays as it was."""
        place = self._packs.tables.place(oid)
        recipe = self._packs.recipe(oid)
        if place is None or recipe is None or self._packs.tables.objects_in(place.pack) != [oid]:
            return False
        rows = self._packs.segments(self._packs.tables.segments_of(place.pack))
        short = {identity: at for identity, at in rows.items() if at.depth <= DEEPEST}
        have = _AllBut(rows.keys() - short.keys())
        with self._backend.writer() as target, Packer(self._packs.reader, WORKERS) as packer:
            stream = PackStreamWriter(lambda data: target.write([data]))
            self._copy(short, stream)
            source = _Pausing(PackedSource(self._packs.reader, recipe), self._pause)
            packer.pack(source, recipe, self._predecessors(recipe), stream, have)
            name = stream.finish()
            target.commit(pack_key(name), replace=True)
        read_back(self._packs, self._backend, oid, name, stream.offset, self._pause)
        if self._enter(oid, contents_of(self._packs, name, stream.offset), place.pack):
            self._replaced.append((time.monotonic(), oid, place.pack))
        return True

    def sweep(self) -> None:
        """Delete replaced packs that nobody reads any more."""
        while self._replaced and time.monotonic() - self._replaced[0][0] > GRACE:
            _, oid, name = self._replaced.pop(0)
            with self._packs.taking(oid):
                # The same stream may have come again.
                if not self._packs.tables.has_pack(name):
                    self._backend.delete(pack_key(name))

    def _copy(self, blocks: Mapping[bytes, Location], stream: PackStreamWriter) -> None:
        """What is not deep stays the same block; each after its base."""
        for identity, at in sorted(blocks.items(), key=lambda item: item[1].depth):
            self._pause()
            stream.block(identity, at.size, at.base, self._packs.read(at.pack, at.offset, at.stored), at.depth)

    def _enter(self, oid: Oid, contents: PackContents, old: str) -> bool:
        """Whether the old pack is of no use any more."""
        with self._packs.taking(oid):
            try:
                return self._packs.tables.replace(contents, old)
            except BaseGone:
                self._backend.delete(pack_key(contents.name))
                raise


class _AllBut:
    """Every segment but those."""

    def __init__(self, wanted: Collection[bytes]) -> None:
        self._wanted = wanted

    def __contains__(self, identity: object) -> bool:
        return identity not in self._wanted


class _Pausing:
    """A source that stands back between two reads."""

    def __init__(self, source: PackedSource, pause: Callable[[], None]) -> None:
        self.size = source.size
        self._source = source
        self._pause = pause

    def read(self, offset: int, length: int) -> bytes:
        self._pause()
        return self._source.read(offset, length)
