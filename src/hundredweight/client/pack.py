"""`cwt pack`: loose objects of a clone become deltas in packs, in the order of history.

An object's predecessors are the nearest earlier versions of its path, then what came last at paths like it (runs, shards,
renames); which of them agree with it the store finds out. Plan, then execute.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.client.versions import list_versions, select
from hundredweight.store import repack
from hundredweight.store.packing import CANDIDATES, SMALLEST, LooseItem, pack_loose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hundredweight.base.ids import Oid
    from hundredweight.client.versions import Version
    from hundredweight.client.workspace import Workspace
    from hundredweight.store.local import LocalStore
    from hundredweight.store.packfolder import PackFolder
    from hundredweight.store.packing import LooseDamaged, PackedItem

EARLIER = 6
"""Versions of the same path that are looked at, and as many of files of the same name."""
LATER = 2
"""Later versions of the same path that are looked at where these are packed already."""
LIKELY = 4
"""At other paths, objects that differ in size by more than this factor are not looked at."""


@dataclass(slots=True)
class PackPlan:
    """The objects to pack, each after its predecessors; their sizes, and a path of each ("" for what no commit names)."""

    items: list[LooseItem] = field(default_factory=list)
    sizes: dict[Oid, int] = field(default_factory=dict)
    paths: dict[Oid, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(self.sizes[item.oid] for item in self.items)


@dataclass(slots=True)
class PackOutcome:
    """`packed` objects of `raw` bytes take `stored` bytes in packs now. Of `again` objects there was a packed copy already: only
    the loose one went. `left` are those that packing would not make smaller, `damaged` those that cannot be read right."""

    packed: int = 0
    raw: int = 0
    stored: int = 0
    again: int = 0
    left: list[Oid] = field(default_factory=list)
    damaged: list[LooseDamaged] = field(default_factory=list)
    merged: int = 0
    """Small packs that were made one."""


def plan_pack(workspace: Workspace, pathspecs: Sequence[str] = (), *, every: bool = False) -> PackPlan:
    """Loose objects that are versions of those paths (of all, where none are named); with `every` also those that no commit
    names. Changes nothing. Raises `NoVersions`, `ScanError`."""
    plan = PackPlan()
    loose = {oid: size for oid, size in workspace.store.loose_ids() if size >= SMALLEST}
    if not loose and not pathspecs:
        return plan
    versions = list_versions(workspace)
    wanted = loose.keys() if not pathspecs else loose.keys() & {oid for _, oid in select(workspace, pathspecs)}
    before = _Predecessors(dict(workspace.store.ids()))
    later = _later(versions, workspace.store)
    for version in versions:
        oid = version.oid
        if oid in wanted and oid not in plan.sizes:
            plan.items.append(LooseItem(oid, [*before.of(version), *later.get(oid, ())][:CANDIDATES]))
            plan.sizes[oid], plan.paths[oid] = loose[oid], version.path
        before.add(version)
    if every and not pathspecs:
        for oid in loose.keys() - plan.sizes.keys():
            plan.items.append(LooseItem(oid, before.newest(loose[oid])))
            plan.sizes[oid], plan.paths[oid] = loose[oid], ""
    return plan


def execute(workspace: Workspace, plan: PackPlan, advance: Callable[[PackedItem], None]) -> PackOutcome:
    """Pack, and where there are many small packs make them one. `advance` hears of each object.

    Raises `PacksBusy` where another process writes packs, `WriteError`; nothing is lost, and what was packed stays so.
    """
    outcome = PackOutcome()
    if plan.items:
        report = pack_loose(workspace.store, plan.items, advance=advance, wait=False)
        outcome.damaged = report.damaged
        for item in report.items:
            if item.result is None:
                outcome.left.append(item.oid)
            elif item.result.recipe:
                outcome.packed += 1
                outcome.raw += item.size
                outcome.stored += item.result.stored + item.result.recipe
            else:
                outcome.again += 1
    if workspace.store.has_packs:
        outcome.merged = _merge_small(workspace.store.packs)
    return outcome


def _merge_small(folder: PackFolder) -> int:
    """Make one of many small packs, so that looking something up stays quick. How many there were."""
    if sum(folder.index(name).size < repack.SMALL_PACK for name in folder.names()) <= repack.MANY:
        return 0
    with folder.lock(wait=False):
        plan = repack.plan_repack(folder)
        # What cannot be read is fsck's to tell of; until then it stays where somebody may still look at it.
        if plan.lost or not plan.rewritten:
            return 0
        repack.execute(folder, plan)
    return len(plan.rewritten)


class _Predecessors:
    """What came before in history, by path, by name and by kind of file. Only what is `here` counts."""

    def __init__(self, here: dict[Oid, int]) -> None:
        self._here = here
        self._paths: dict[str, list[Version]] = {}
        self._names: dict[str, list[Version]] = {}
        self._kinds: dict[str, list[Version]] = {}
        self._all: list[Version] = []

    def add(self, version: Version) -> None:
        if self._here.get(version.oid, 0) < SMALLEST:
            return
        self._paths.setdefault(version.path, []).append(version)
        self._names.setdefault(os.path.basename(version.path), []).append(version)
        self._kinds.setdefault(_kind(version.path), []).append(version)
        self._all.append(version)

    def of(self, version: Version) -> list[Oid]:
        """The likeliest first, at most `CANDIDATES`."""
        same = self._paths.get(version.path, [])[-EARLIER:]
        alike = self._names.get(os.path.basename(version.path), [])[-2 * EARLIER :]
        kin = self._kinds.get(_kind(version.path), [])[-2 * CANDIDATES :]
        alike = [each for each in alike if each.path != version.path and _is_likely(version.size, each.size)]
        kin = [each for each in kin if _is_likely(version.size, each.size)]
        order = (*reversed(same), *reversed(alike[-EARLIER:]), *reversed(kin))
        found = dict.fromkeys(each.oid for each in order if each.oid != version.oid)
        return list(found)[:CANDIDATES]

    def newest(self, size: int) -> list[Oid]:
        """For an object of which nothing else is known."""
        found = dict.fromkeys(each.oid for each in reversed(self._all) if _is_likely(size, each.size))
        return list(found)[:CANDIDATES]


def _later(versions: list[Version], store: LocalStore) -> dict[Oid, list[Oid]]:
    """For each object the next versions of its path that are packed: when an older version comes after the newer ones."""
    if not store.has_packs:
        return {}
    packed = {oid for oid, _ in store.packs.ids()}
    after: dict[str, list[Oid]] = {}
    found: dict[Oid, list[Oid]] = {}
    for version in reversed(versions):
        following = after.setdefault(version.path, [])
        if version.oid not in packed:
            found.setdefault(version.oid, following[:LATER])
        else:
            following.insert(0, version.oid)
    return found


def _kind(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _is_likely(size: int, other: int) -> bool:
    return size <= other * LIKELY and other <= size * LIKELY
