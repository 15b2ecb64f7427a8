"""Loose objects into a clone's packs, and back.

A loose copy goes only when its pack is on the disk and its bytes were found right there: killed at any moment, an object is
loose, packed, or both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.codec.block import Profile
from hundredweight.store.bases import choose_predecessors
from hundredweight.store.catalog import PackMissing
from hundredweight.store.file_source import FileSource
from hundredweight.store.pack import PackDamaged, check_hash
from hundredweight.store.packer import Packer, PackResult, SourceBases
from hundredweight.store.packfolder import NotPacked
from hundredweight.store.segments import TooManySegments, cut
from hundredweight.store.worth import gains

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from hundredweight.base.ids import Oid
    from hundredweight.formats.source import Source
    from hundredweight.store.local import LocalStore
    from hundredweight.store.loose import LooseStore
    from hundredweight.store.packfolder import PackFolder
    from hundredweight.store.recipe import Recipe

__all__ = [
    "LooseDamaged",
    "LooseItem",
    "PackedItem",
    "PackedWrong",
    "PackingReport",
    "is_complete",
    "is_readable",
    "pack_loose",
    "unpack",
]

CHUNK = 1 << 20
SMALLEST = 1 << 16
"""Bytes of the smallest object that is packed."""
PACK_RAW = 4 << 30
PACK_OBJECTS = 128
"""Raw bytes, and objects, after which a pack is published and the next one begun."""
CANDIDATES = 16
"""Predecessors of an object that are looked at."""


class LooseDamaged(DamageError):
    """A loose object is not what its name says, or is gone. It is not packed, and stays where it is. `oid` is its id."""

    hint = "'git lfs fsck' sets it aside; 'git lfs fetch' brings it again"

    def __init__(self, oid: Oid, reason: str) -> None:
        super().__init__(f"loose object '{oid[:12]}' cannot be packed: {reason}")
        self.oid = oid
        self.reason = reason


class PackedWrong(DamageError):
    """Segments of a packed object are right each for itself, yet they are not the object. `oid` is its id."""

    hint = "'git lfs fetch' brings it again"

    def __init__(self, oid: Oid) -> None:
        super().__init__(f"the packs do not give object '{oid[:12]}': its recipe is wrong")
        self.oid = oid


@dataclass(frozen=True, slots=True)
class LooseItem:
    """A loose object to pack, and the objects that may be its predecessors: the nearest in history first."""

    oid: Oid
    predecessors: Sequence[Oid] = ()


@dataclass(frozen=True, slots=True)
class PackedItem:
    """What became of one object. `result` is None for one that is left loose since packing would gain nothing."""

    oid: Oid
    size: int
    result: PackResult | None


@dataclass(slots=True)
class PackingReport:
    """What `pack_loose` did; `damaged` has the objects that it could not read."""

    items: list[PackedItem] = field(default_factory=list)
    packs: list[str] = field(default_factory=list)
    damaged: list[LooseDamaged] = field(default_factory=list)


def pack_loose(
    store: LocalStore,
    items: Sequence[LooseItem],
    *,
    profile: Profile = Profile.DEFAULT,
    advance: Callable[[PackedItem], None] | None = None,
    wait: bool = True,
) -> PackingReport:
    """Pack those objects, predecessors first, then remove their loose copies. Objects below `SMALLEST` are passed over.

    Holds the folder's lock: raises `PacksBusy` when another process has it and `wait` is not wanted. `advance` hears of each
    object. Raises `WriteError` when the disk is full; what was published before stays, and nothing is lost.
    """
    report = PackingReport()
    with store.packs.lock(wait=wait):
        todo = _in_order(items)
        while todo:
            with _Batch(store, profile, report) as batch:
                while todo and batch.has_room:
                    done = batch.pack(todo.pop(0))
                    if done is not None and advance is not None:
                        advance(done)
                batch.publish()
    return report


def unpack(store: LooseStore, oid: Oid, packs: PackFolder) -> int:
    """Make the loose copy in `store` of an object of `packs`, where it stays. Gives its size. Raises `NotPacked`, `WriteError`,
    and a `DamageError` when the packs do not give the object."""
    size = 0
    machine = hashlib.sha256()
    with store.writer(durable=True) as target:
        for data in packs.open_stream(oid):
            machine.update(data)
            target.write(data)
            size += len(data)
        if machine.hexdigest() != oid:
            raise PackedWrong(oid)
        target.commit(store.path(oid))
    return size


def is_readable(folder: PackFolder, oid: Oid) -> bool:
    """Whether the packs give the object: all of it is read."""
    machine = hashlib.sha256()
    try:
        for data in folder.open_stream(oid):
            machine.update(data)
    except (DamageError, NotPacked, PackMissing):
        return False
    return machine.hexdigest() == oid


def is_complete(folder: PackFolder, oid: Oid) -> bool:
    """Whether all blocks that the object takes are packed. None of them is read."""
    try:
        recipe = folder.recipe(oid)
        if recipe is None:
            return False
        folder.reader.chains(segment.id for segment in recipe.segments)
    except (DamageError, PackMissing):
        return False
    return True


class _Batch:
    """Objects on their way into one pack, as a context."""

    def __init__(self, store: LocalStore, profile: Profile, report: PackingReport) -> None:
        self._store = store
        self._folder = store.packs
        self._report = report
        self._raw = 0
        self._sources: list[FileSource] = []
        self._recipes: dict[Oid, Recipe] = {}
        self._bases = SourceBases(self._folder.reader)
        self._writer = self._folder.writer()
        self._packer = Packer(self._bases, profile=profile)

    @property
    def has_room(self) -> bool:
        return self._raw < PACK_RAW and len(self._sources) < PACK_OBJECTS

    def pack(self, item: LooseItem) -> PackedItem | None:
        """None for an object that is not packed: too small, gone, damaged."""
        size = self._store.loose_size(item.oid)
        if size < SMALLEST:
            return None
        if self._folder.size(item.oid) == size:
            return self._packed_before(item.oid, size)
        try:
            source = FileSource.open(self._store.path(item.oid))
        except FileNotFoundError:
            return None
        self._sources.append(source)
        if _sha256(source) != item.oid:
            self._report.damaged.append(LooseDamaged(item.oid, "its content has another hash"))
            return None
        return self._pack_source(item, source)

    def publish(self) -> None:
        """Publish the pack and read it back; then the loose copies go."""
        name = self._writer.commit()
        if not name:
            return
        try:
            with open(self._folder.path(name), "rb") as made:
                check_hash(iter(lambda: made.read(CHUNK), b""), name)
        except PackDamaged:
            self._folder.remove_pack(name)
            raise
        self._report.packs.append(name)
        for oid in self._recipes:
            self._store.remove(oid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._packer.close()
        self._writer.__exit__(*exc)
        for source in self._sources:
            source.close()

    def _packed_before(self, oid: Oid, size: int) -> PackedItem | None:
        """Killed after a pack was published, or fetched again: the loose copy is one too many."""
        if not is_readable(self._folder, oid):
            return None
        self._store.remove(oid)
        return self._done(PackedItem(oid, size, PackResult()))

    def _pack_source(self, item: LooseItem, source: FileSource) -> PackedItem:
        try:
            recipe = cut(source, item.oid)
        except TooManySegments:
            return self._done(PackedItem(item.oid, source.size, None))
        have = self._folder.segments(segment.id for segment in recipe.segments)
        predecessors = choose_predecessors(recipe, self._candidates(item.predecessors))
        if not predecessors and not gains(source, recipe, have):
            return self._done(PackedItem(item.oid, source.size, None))
        result = self._packer.pack(source, recipe, predecessors, self._writer.stream, have)
        self._recipes[item.oid] = recipe
        self._bases.add(recipe, source)
        self._raw += result.raw
        return self._done(PackedItem(item.oid, source.size, result))

    def _candidates(self, oids: Sequence[Oid]) -> Iterator[Recipe]:
        for oid in oids[:CANDIDATES]:
            found = self._recipes.get(oid)
            if found is None:
                try:
                    found = self._folder.recipe(oid)
                except (DamageError, PackMissing):
                    # Whatever is wrong with an old object, new ones are packed; who reads the old one is told.
                    continue
            if found is not None:
                yield found

    def _done(self, item: PackedItem) -> PackedItem:
        self._report.items.append(item)
        return item


def _sha256(source: Source) -> str:
    machine = hashlib.sha256()
    for at in range(0, source.size, CHUNK):
        machine.update(source.read(at, min(CHUNK, source.size - at)))
    return machine.hexdigest()


def _in_order(items: Sequence[LooseItem]) -> list[LooseItem]:
    """Each object once, after those of its predecessors that are packed too."""
    known: dict[Oid, LooseItem] = {}
    for item in items:
        known.setdefault(item.oid, item)
    order: dict[Oid, LooseItem] = {}
    entered: set[Oid] = set()
    stack = [item.oid for item in reversed(items)]
    while stack:
        oid = stack[-1]
        before = [each for each in known[oid].predecessors if each in known and each not in entered]
        if oid not in entered:
            entered.add(oid)
            stack += reversed(before)
        else:
            order.setdefault(oid, known[oid])
            stack.pop()
    return list(order.values())
