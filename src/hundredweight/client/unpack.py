"""`cwt unpack`: packed objects become loose files again, as stock git-lfs reads them, and leave the packs. Plan, then execute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.client.versions import list_versions, select
from hundredweight.store import repack
from hundredweight.store.catalog import PackMissing
from hundredweight.store.packfolder import NotPacked
from hundredweight.store.packing import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hundredweight.base.errors import CwtError
    from hundredweight.base.ids import Oid
    from hundredweight.client.workspace import Workspace


class DamagedPacks(DamageError):
    """Packs have damage, and were left as they are: taking objects out would drop what cannot be read."""

    hint = "run 'git lfs fsck', which takes damaged objects out of the packs, then 'git lfs fetch'"

    def __init__(self, lost: int) -> None:
        super().__init__(f"{lost} packed object{'s'[: lost != 1]} cannot be read, so the packs were left as they are")
        self.lost = lost


@dataclass(slots=True)
class UnpackPlan:
    """The objects to unpack, with their sizes."""

    objects: list[tuple[Oid, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(size for _, size in self.objects)


@dataclass(slots=True)
class UnpackOutcome:
    """`objects` are loose now, with `size` bytes; the packs have `freed` bytes less. `failed` objects stay in the packs."""

    objects: int = 0
    size: int = 0
    freed: int = 0
    failed: list[tuple[Oid, CwtError]] = field(default_factory=list)


def plan_unpack(workspace: Workspace, pathspecs: Sequence[str] = (), *, every: bool = False) -> UnpackPlan:
    """Packed objects that are versions of those paths (of all, where none are named); with `every` whatever is packed. Changes
    nothing. Raises `NoVersions`, `ScanError`."""
    if not workspace.store.has_packs:
        if pathspecs:
            select(workspace, pathspecs)
        return UnpackPlan()
    packed = workspace.store.packs.ids()
    if every and not pathspecs:
        return UnpackPlan(list(packed))
    if pathspecs:
        named = {oid for _, oid in select(workspace, pathspecs)}
    else:
        named = {version.oid for version in list_versions(workspace)}
    return UnpackPlan([(oid, size) for oid, size in packed if oid in named])


def execute(workspace: Workspace, plan: UnpackPlan, advance: Callable[[], None]) -> UnpackOutcome:
    """Write each object, verified and synced to disk; only then take them all out of the packs. `advance` hears of each.

    Raises `PacksBusy` where another process writes packs, `WriteError` when the disk is full, `DamagedPacks`: what is loose
    then is packed too, and nothing is lost.
    """
    outcome = UnpackOutcome()
    if not plan.objects:
        return outcome
    store = workspace.store
    # Held throughout: a packer must not drop a loose copy that is about to be the only one.
    with store.packs.lock(wait=False):
        done: list[Oid] = []
        for oid, size in plan.objects:
            try:
                if store.loose_size(oid) != size:
                    unpack(store, oid, store.packs)
                done.append(oid)
                outcome.size += size
            except (DamageError, NotPacked, PackMissing) as error:
                outcome.failed.append((oid, error))
            advance()
        outcome.objects = len(done)
        removal = repack.plan_repack(store.packs, done)
        if removal.lost:
            raise DamagedPacks(len(removal.lost))
        repack.execute(store.packs, removal)
        outcome.freed = removal.freed
    return outcome
