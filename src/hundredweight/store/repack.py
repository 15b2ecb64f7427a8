"""Removing objects from a clone's packs, and checking packs.

Blocks are copied as they are: a base that something else needs goes along, so nothing is encoded anew. New packs are on the disk
before old ones go: killed at any moment, everything that is kept is there, perhaps twice.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, DamageError
from hundredweight.base.files import publish
from hundredweight.store.catalog import PackMissing
from hundredweight.store.pack import BlockRecord, PackDamaged, PackStreamReader, check_hash
from hundredweight.store.reader import SegmentMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from hundredweight.base.ids import Oid
    from hundredweight.store.catalog import Location
    from hundredweight.store.packfolder import PackFolder, PackWriter

__all__ = ["CheckReport", "PackFault", "RepackPlan", "check", "execute", "plan_repack", "set_aside"]

CHUNK = 1 << 20
RECIPES = 1 << 16
"""Bytes of a pack that are not counted as waste beside its blocks: recipes, heads of records."""
WASTE = 0.25
"""Share of a pack that nothing needs, from which on it is rewritten."""
MANY = 16
SMALL_PACK = 64 << 20
"""More than `MANY` packs below this size are made one."""
PACK_STORED = 4 << 30
"""Bytes after which a new pack is published and the next one begun."""


@dataclass(slots=True)
class RepackPlan:
    """What a repack does. `dropped` packs are not needed at all; of `rewritten` ones the `live` segments and the recipes of
    `kept` objects are copied. `lost` are objects that were to stay and cannot be read: they go too."""

    dropped: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    live: dict[bytes, Location] = field(default_factory=dict)
    kept: dict[str, list[Oid]] = field(default_factory=dict)
    lost: list[Oid] = field(default_factory=list)
    before: int = 0
    after: int = 0
    """Bytes of the packs named here, before and (about) after."""

    @property
    def freed(self) -> int:
        return self.before - self.after


@dataclass(frozen=True, slots=True)
class PackFault:
    """Something that is wrong with packs. `pack` is where, as far as it is known; `oid` the object that it takes away, or ""."""

    pack: str
    oid: str
    reason: str


@dataclass(slots=True)
class CheckReport:
    """What a check found. `objects` have to be brought again (or are there loose); `packs` have damage."""

    faults: list[PackFault] = field(default_factory=list)
    checked_packs: int = 0
    checked_objects: int = 0

    @property
    def objects(self) -> list[str]:
        return sorted({fault.oid for fault in self.faults} - {""})

    @property
    def packs(self) -> list[str]:
        return sorted({fault.pack for fault in self.faults} - {""})


def plan_repack(folder: PackFolder, remove: Collection[Oid] = (), rewrite: Collection[str] = ()) -> RepackPlan:
    """What is to be done so that the objects in `remove` are packed no more. Changes nothing.

    Packs in `rewrite` are rewritten in any case: from damaged ones that is what can be read. Hold the lock until it is executed.
    """
    plan = _plan(folder, set(remove), set(rewrite), set())
    damaged = {name for name in plan.rewritten if any(True for _ in _hash_fault(folder, name))}
    # Blocks are copied unseen where their pack is sound; of a damaged pack every object that stays is read first.
    return _plan(folder, set(remove), set(rewrite), damaged) if damaged else plan


def _plan(folder: PackFolder, remove: set[Oid], rewrite: set[str], damaged: set[str]) -> RepackPlan:
    plan = RepackPlan()
    live, kept = _needed(folder, remove, damaged, plan.lost)
    stored: dict[str, int] = {}
    for location in live.values():
        stored[location.pack] = stored.get(location.pack, 0) + location.stored
    indexes = {name: folder.index(name) for name in folder.names()}
    small = [name for name, index in indexes.items() if index.size < SMALL_PACK]
    merged = set(small) if len(small) > MANY else set()
    for name, index in indexes.items():
        staying = len(kept.get(name, []))
        wasted = index.end - stored.get(name, 0) - RECIPES
        if not staying and name not in stored:
            plan.dropped.append(name)
        elif name in rewrite | merged or staying < index.recipes or wasted > WASTE * index.size:
            plan.rewritten.append(name)
            plan.after += stored.get(name, 0)
        else:
            continue
        plan.before += index.size
    chosen = set(plan.rewritten)
    plan.live = {identity: at for identity, at in live.items() if at.pack in chosen}
    plan.kept = {name: oids for name, oids in kept.items() if name in chosen}
    return plan


def execute(folder: PackFolder, plan: RepackPlan) -> list[str]:
    """Write the new packs, then remove the old ones. Gives the names of the new. Only under the lock that held for the plan.

    Raises `WriteError` when the disk is full: everything is then as before.
    """
    made = _copy(folder, plan) if plan.live or plan.kept else []
    for name in made:
        with open(folder.path(name), "rb") as written:
            check_hash(iter(lambda: written.read(CHUNK), b""), name)
    for name in (*plan.rewritten, *plan.dropped):
        if name not in made:
            folder.remove_pack(name)
    return made


def check(folder: PackFolder, advance: Callable[[int], None] | None = None) -> CheckReport:
    """Read everything: the hash of each pack, each record against the index, each segment, the SHA-256 of each object.

    `advance` hears how many bytes of objects were read.
    """
    report = CheckReport()
    for name in folder.names():
        report.checked_packs += 1
        report.faults += [PackFault(name, "", reason) for reason in _check_pack(folder, name)]
    for oid, _ in list(folder.ids()):
        report.checked_objects += 1
        try:
            _check_object(folder, oid, advance)
        except (CwtError, OSError) as error:
            pack = getattr(error, "pack", "") or folder.pack_of(oid)
            report.faults.append(PackFault(pack, oid, str(error)))
    report.faults += [PackFault(name, "", str(error)) for name, error in folder.damaged.items()]
    return report


def set_aside(folder: PackFolder, names: Iterable[str], bad: str) -> None:
    """Move packs into the folder `bad`, where nobody takes them for good ones and somebody may still look at them.

    For packs that cannot be opened. Of others, `plan_repack` with `rewrite` saves what can be read.
    """
    for name in names:
        path = folder.path(name)
        if os.path.exists(path):
            publish(path, os.path.join(bad, os.path.basename(path)))
    folder.close()


def _needed(
    folder: PackFolder, remove: set[Oid], damaged: set[str], lost: list[Oid]
) -> tuple[dict[bytes, Location], dict[str, list[Oid]]]:
    """Every segment that objects which stay need, with the bases of bases; and these objects by the pack of their recipe."""
    live: dict[bytes, Location] = {}
    kept: dict[str, list[Oid]] = {}
    for oid, _ in list(folder.ids()):
        if oid in remove:
            continue
        try:
            recipe = folder.recipe(oid)
            found = _closure(folder, {segment.id for segment in recipe.segments} if recipe else set(), live)
            if damaged and (folder.pack_of(oid) in damaged or any(at.pack in damaged for at in found.values())):
                _check_object(folder, oid)
        except (DamageError, PackMissing):
            lost.append(oid)
            continue
        live |= found
        kept.setdefault(folder.pack_of(oid), []).append(oid)
    return live, kept


def _closure(folder: PackFolder, ids: set[bytes], known: dict[bytes, Location]) -> dict[bytes, Location]:
    """Where those segments and the bases they lead to stand. Raises `SegmentMissing`."""
    found: dict[bytes, Location] = {}
    todo = set(ids)
    while todo:
        at = {identity: known[identity] for identity in todo if identity in known}
        at |= folder.segments(todo - at.keys())
        for identity in todo - at.keys():
            raise SegmentMissing(identity)
        found |= at
        todo = {each.base for each in at.values() if each.base is not None} - found.keys()
    return found


def _hash_fault(folder: PackFolder, name: str) -> Iterator[str]:
    try:
        with open(folder.path(name), "rb") as pack:
            check_hash(iter(lambda: pack.read(CHUNK), b""), name)
    except (PackDamaged, OSError) as error:
        yield str(error)


def _copy(folder: PackFolder, plan: RepackPlan) -> list[str]:
    """The live segments, bases before what needs them, and the recipes that stay."""
    made: list[str] = []
    order = _bases_first(plan.live)
    recipes = [oid for name in plan.rewritten for oid in plan.kept.get(name, [])]
    while order or recipes:
        with folder.writer() as target:
            while recipes:
                _copy_recipe(folder, recipes.pop(), target)
            while order and target.stream.offset < PACK_STORED:
                identity = order.pop()
                at = plan.live[identity]
                target.stream.block(identity, at.size, at.base, folder.read(at.pack, at.offset, at.stored), at.depth)
            name = target.commit()
        if name:
            made.append(name)
    return made


def _copy_recipe(folder: PackFolder, oid: Oid, target: PackWriter) -> None:
    recipe = folder.recipe(oid)
    assert recipe is not None
    target.stream.recipe(oid, recipe.size, recipe.encode())


def _bases_first(live: dict[bytes, Location]) -> list[bytes]:
    """The ids to be taken from the end of the list: in the order of packs and places, but each base before its first delta."""
    order: dict[bytes, None] = {}
    for identity in sorted(live, key=lambda each: live[each][:2]):
        chain: list[bytes] = []
        at: bytes | None = identity
        while at is not None and at in live and at not in order:
            chain.append(at)
            at = live[at].base
        order |= dict.fromkeys(reversed(chain))
    return list(reversed(order))


def _check_object(folder: PackFolder, oid: Oid, advance: Callable[[int], None] | None = None) -> None:
    """Raises a `DamageError` where the packs do not give the object."""
    machine = hashlib.sha256()
    for data in folder.open_stream(oid):
        machine.update(data)
        if advance is not None:
            advance(len(data))
    if machine.hexdigest() != oid:
        raise PackDamaged(f"object '{oid[:12]}' has another hash than its name")


def _check_pack(folder: PackFolder, name: str) -> Iterator[str]:
    """What is wrong with a pack, seen for itself."""
    yield from _hash_fault(folder, name)
    try:
        index = folder.index(name)
        entries = {offset: (key, stored, size, base) for key, offset, stored, size, base, _ in index.blocks()}
        recipes = {offset: length for _, offset, length, _ in index.objects()}
        reader = PackStreamReader()
        for at in range(0, index.end, CHUNK):
            for record in reader.feed(folder.read(name, at, min(CHUNK, index.end - at))):
                if isinstance(record, BlockRecord):
                    said = entries.pop(record.offset, None)
                    right = said == (record.id, len(record.data), record.size, record.base)
                else:
                    right = recipes.pop(record.offset, 0) == len(record.data)
                if not right:
                    yield f"the index says something else than the record at byte {record.offset}"
        reader.finish()
        if entries or recipes:
            yield f"the index has {len(entries) + len(recipes)} entries without a record"
    except (PackDamaged, PackMissing, OSError) as error:
        yield str(error)
