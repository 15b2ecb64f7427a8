"""Packed objects of the hub: their bytes, and how a pack enters. All calls block.

`Packs` is the catalog and the bytes that `store` reads from: rows of the database, and packs under `packs/aa/NAME.pack` of the
backend.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hundredweight.backend.interface import KeyMissing
from hundredweight.base.ids import Oid
from hundredweight.hub.packs.catalog import BaseGone, PackContents, PackTables, RecipePlace
from hundredweight.hub.packs.damage import set_aside
from hundredweight.store.catalog import Location, PackMissing
from hundredweight.store.objects import PACKS
from hundredweight.store.pack import PackDamaged, PackIndex
from hundredweight.store.reader import ObjectReader
from hundredweight.store.recipe import Recipe
from hundredweight.store.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hundredweight.backend.interface import Backend
    from hundredweight.store.reader import Buffer

SUFFIX = ".pack"
KEPT_RECIPES = 64
WORKERS = 2


def pack_key(name: str) -> str:
    """The backend's key of a pack."""
    return f"{PACKS}{name[:2]}/{name}{SUFFIX}"


class Packs:
    """What is packed on this hub. Thread-safe. It is the `Catalog` and the `PackBytes` of its own reader."""

    def __init__(self, tables: PackTables, backend: Backend) -> None:
        self.tables = tables
        self._backend = backend
        self._recipes: OrderedDict[Oid, Recipe] = OrderedDict()
        self._lock = threading.Lock()
        self._taking = {digit: threading.Lock() for digit in "0123456789abcdef"}
        self.reader = ObjectReader(self, self, workers=WORKERS)
        self.pool = ThreadPoolExecutor(WORKERS, "check")
        """Decodes the blocks of all uploads."""
        self.turns = Turns(WORKERS)
        """Bounds how many uploads are decoded at a time, and with it the memory that this takes."""

    def close(self) -> None:
        self.reader.close()
        self.pool.shutdown(cancel_futures=True)

    # Catalog

    def segments(self, ids: Iterable[bytes]) -> dict[bytes, Location]:
        return self.tables.segments(ids)

    def recipe(self, oid: Oid) -> Recipe | None:
        """Raises `PackDamaged`, `RecipeDamaged`."""
        with self._lock:
            if oid in self._recipes:
                self._recipes.move_to_end(oid)
                return self._recipes[oid]
        place = self.tables.place(oid)
        if place is None:
            return None
        found = Recipe.decode(self.read(place.pack, place.offset, place.stored))
        if found.oid != oid:
            raise PackDamaged(f"the recipe of object '{oid}' is another object's")
        with self._lock:
            self._recipes[oid] = found
            if len(self._recipes) > KEPT_RECIPES:
                self._recipes.popitem(last=False)
        return found

    # PackBytes

    def read(self, pack: str, offset: int, length: int) -> bytes:
        """Raises `PackMissing`, and `PackDamaged` for a pack that is too short."""
        try:
            data = b"".join(self._backend.read(pack_key(pack), offset, offset + length))
        except KeyMissing as error:
            raise PackMissing(pack) from error
        if len(data) != length:
            raise PackDamaged(f"pack '{pack}' ends early: {len(data)} of {length} bytes at {offset}")
        return data

    # What the object store asks

    def size(self, oid: Oid) -> int:
        """Bytes of a packed object, -1 for one that is not packed."""
        place = self.tables.place(oid)
        if place is None or self._backend.stat(pack_key(place.pack)) is None:
            return -1
        return place.size

    def content(self, oid: Oid, start: int = 0, end: int | None = None) -> Iterator[Buffer]:
        """The object's bytes, decoded as they are taken. Raises `KeyMissing` for one that is not packed."""
        found = self.recipe(oid)
        if found is None:
            raise KeyMissing(oid)
        return self.reader.read(found, start, end)

    def set_aside(self, oid: Oid) -> str:
        """Let a damaged object count as missing; where its bytes are, empty for one that is not packed. Nothing is
        deleted but rows."""
        pack = set_aside(self, oid)
        with self._lock:
            self._recipes.pop(oid, None)
        return pack_key(pack) if pack else ""

    def forget_missing(self) -> None:
        """Forget recorded packs that are not in the backend any more: their objects can be sent and packed again."""
        for name, _ in list(self.tables.names()):
            if self._backend.stat(pack_key(name)) is None:
                self._forget_pack(name)

    def _forget_pack(self, name: str) -> None:
        self.tables.forget_pack(name)
        with self._lock:
            self._recipes.clear()

    # Taking packs in

    def taking(self, oid: Oid) -> threading.Lock:
        """To be held while a pack of the object is published and entered: one is enough."""
        return self._taking[oid[0]]

    def enter(self, contents: PackContents) -> None:
        """The pack is in the backend, durable and verified: from now on its objects are packed.

        Raises `BaseGone` where the store has not what the pack was made against any more; the pack is deleted then.
        """
        # What is recorded and lost must not keep its place.
        for name in self.tables.touched(contents):
            if name != contents.name and self._backend.stat(pack_key(name)) is None:
                self._forget_pack(name)
        try:
            self.tables.record(contents)
        except BaseGone:
            self._backend.delete(pack_key(contents.name))
            raise

    def unrecorded(self) -> Iterator[str]:
        """Keys of packs that a crash left without rows. Only the sole user of the backend may ask, before any pack is written."""
        known = {name for name, _ in self.tables.names()}
        for stat in self._backend.list(PACKS):
            name = stat.key.rpartition("/")[2].removesuffix(SUFFIX)
            if name not in known:
                yield stat.key

    def clean(self) -> int:
        """Remove them; gives how many."""
        keys = list(self.unrecorded())
        return sum(self._backend.delete(key) for key in keys)


def open_index(packs: Packs, name: str, size: int) -> PackIndex:
    """The index of a pack in the backend. Raises `PackDamaged`, `PackMissing`."""
    return PackIndex(lambda offset, length: packs.read(name, offset, length), size, name)


def contents_of(packs: Packs, name: str, size: int) -> PackContents:
    """What the rows of a pack say, out of its own index. Raises `PackDamaged`, `PackMissing`."""
    index = open_index(packs, name, size)
    segments = [(entry[0], Location(name, *entry[1:])) for entry in index.blocks()]
    recipes = [(Oid(oid), RecipePlace(name, offset, length, size)) for oid, offset, length, size in index.objects()]
    return PackContents(name, size, segments, recipes)
