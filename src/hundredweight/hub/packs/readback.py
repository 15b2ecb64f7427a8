"""A new pack of the hub is read back whole before anything points to it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.hub.packs.service import WORKERS, open_index, pack_key
from hundredweight.store.catalog import Location
from hundredweight.store.reader import ObjectReader
from hundredweight.store.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hundredweight.backend.interface import Backend
    from hundredweight.base.ids import Oid
    from hundredweight.hub.packs.service import Packs


class ReadBackFailed(DamageError):
    """A pack did not give back the object that it was made of. It was discarded; the object stays as it was."""

    hint = "check the machine's memory and disk; nothing was lost"

    def __init__(self, oid: Oid) -> None:
        super().__init__(f"the pack of object '{oid}' does not give it back")
        self.oid = oid


def read_back(packs: Packs, backend: Backend, oid: Oid, name: str, size: int, pause: Callable[[], None]) -> None:
    """Read the object out of the pack `name` of `size` bytes, that is in the backend and not recorded yet; else delete the pack.

    `pause` is called between two pieces of work. Raises `ReadBackFailed`, `DamageError`, and what `pause` raises.
    """
    new = _WithNew(packs, name, size)
    recipe = new.recipe(oid)
    digest = hashlib.sha256()
    if recipe is not None:
        with ObjectReader(new, packs, WORKERS) as reader:
            for piece in reader.read(recipe):
                digest.update(piece)
                pause()
    if digest.hexdigest() != oid:
        backend.delete(pack_key(name))
        raise ReadBackFailed(oid)


class _WithNew:
    """The catalog as it will be when the pack `name` has entered."""

    def __init__(self, packs: Packs, name: str, size: int) -> None:
        self._packs = packs
        self._name = name
        self._index = open_index(packs, name, size)

    def segments(self, ids: Iterable[bytes]) -> dict[bytes, Location]:
        wanted = list(ids)
        found = self._packs.segments(wanted)
        for identity in wanted:
            entry = self._index.block(identity)
            if entry is not None:
                found[identity] = Location(self._name, *entry)
        return found

    def recipe(self, oid: Oid) -> Recipe | None:
        place = self._index.recipe(oid)
        return None if place is None else Recipe.decode(self._packs.read(self._name, place[0], place[1]))
