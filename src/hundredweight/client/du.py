"""`cwt du`: what each version of each weight file costs in this clone.

Versions are taken in the order of history: the first that needs a block of a pack pays for it, later ones share it. So what the
versions added makes up what they take together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.client.versions import Version, list_versions, select
from hundredweight.store.catalog import PackMissing
from hundredweight.store.pack import PackDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hundredweight.base.ids import Oid
    from hundredweight.client.workspace import Workspace
    from hundredweight.store.local import LocalStore
    from hundredweight.store.packfolder import PackFolder

LOOSE, PACKED, BOTH = "loose", "packed", "loose and packed"


@dataclass(frozen=True, slots=True)
class Cost:
    """A version that is here. `added` are the stored bytes that no earlier version needs, `shared` those that one does; `kept` is
    how it is stored."""

    version: Version
    added: int
    shared: int
    kept: str


@dataclass(slots=True)
class Usage:
    """`missing` versions are not in this clone. `raw` are the bytes of all objects listed, each counted once, and `stored` what
    these take; where no paths were asked for that is what the disk holds, objects without a commit, the indexes of packs and
    blocks that nothing needs any more (`other`) included."""

    costs: list[Cost] = field(default_factory=list)
    missing: int = 0
    objects: int = 0
    raw: int = 0
    stored: int = 0
    other: int = 0
    loose: int = 0
    packs: int = 0
    pack_bytes: int = 0


def measure(workspace: Workspace, pathspecs: Sequence[str] = ()) -> Usage:
    """The versions of those paths, or all. Raises `NoVersions`, `ScanError`."""
    store = workspace.store
    versions = list_versions(workspace)
    chosen = select(workspace, pathspecs) if pathspecs else None
    usage = Usage()
    named = {version.oid for version in versions}
    if chosen is None:
        versions += [Version("", oid, size, "", 0) for oid, size in store.ids() if oid not in named]
    till = _Till(store)
    counted: set[Oid] = set()
    for version in versions:
        cost = till.charge(version)
        if chosen is not None and (version.path, version.oid) not in chosen:
            continue
        if cost is None:
            usage.missing += 1
            continue
        usage.costs.append(cost)
        usage.stored += cost.added
        if version.oid not in counted:
            counted.add(version.oid)
            usage.objects += 1
            usage.raw += version.size
    _measure_disk(store, usage, whole=chosen is None)
    return usage


def _measure_disk(store: LocalStore, usage: Usage, *, whole: bool) -> None:
    usage.loose = sum(size for _, size in store.loose_ids())
    if store.has_packs:
        sizes = [store.packs.index(name).size for name in store.packs.names()]
        usage.packs, usage.pack_bytes = len(sizes), sum(sizes)
    if whole:
        usage.other = usage.loose + usage.pack_bytes - usage.stored
        usage.stored += usage.other


class _Till:
    """Charges versions for the bytes that are not paid for yet."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._blocks = _blocks(store.packs) if store.has_packs else {}
        self._paid: set[bytes] = set()
        self._objects: dict[Oid, int] = {}

    def charge(self, version: Version) -> Cost | None:
        """None for a version that is not here."""
        loose = max(self._store.loose_size(version.oid), 0)
        packed = self._store.has_packs and self._store.packs.size(version.oid) >= 0
        if not loose and not packed:
            return None
        kept = BOTH if loose and packed else LOOSE if loose else PACKED
        if version.oid in self._objects:
            # The same object at another path.
            return Cost(version, 0, self._objects[version.oid], kept)
        added, shared = self._charge_blocks(version.oid) if packed else (0, 0)
        self._objects[version.oid] = loose + added + shared
        return Cost(version, loose + added, shared, kept)

    def _charge_blocks(self, oid: Oid) -> tuple[int, int]:
        try:
            recipe = self._store.packs.recipe(oid)
        except (DamageError, PackMissing):
            # Damage is fsck's to tell of; whatever there is of the object counts as nobody's.
            return 0, 0
        if recipe is None:
            return 0, 0
        needed = self._closure({segment.id for segment in recipe.segments})
        shared = sum(self._blocks[identity][0] for identity in needed & self._paid)
        added = sum(self._blocks[identity][0] for identity in needed - self._paid)
        self._paid |= needed
        return added + self._recipe_size(oid), shared

    def _recipe_size(self, oid: Oid) -> int:
        place = self._store.packs.index(self._store.packs.pack_of(oid)).recipe(oid)
        return place[1] if place is not None else 0

    def _closure(self, ids: Iterable[bytes]) -> set[bytes]:
        """Those segments that are stored, and the bases they lead to."""
        found: set[bytes] = set()
        todo = [identity for identity in ids if identity in self._blocks]
        while todo:
            identity = todo.pop()
            if identity in found:
                continue
            found.add(identity)
            base = self._blocks[identity][1]
            if base is not None and base in self._blocks:
                todo.append(base)
        return found


def _blocks(folder: PackFolder) -> dict[bytes, tuple[int, bytes | None, int]]:
    """Stored bytes, base and depth of each segment: of the copy that is read."""
    found: dict[bytes, tuple[int, bytes | None, int]] = {}
    for name in folder.names():
        try:
            for identity, _, stored, _, base, depth in folder.index(name).blocks():
                known = found.get(identity)
                if known is None or depth < known[2]:
                    found[identity] = (stored, base, depth)
        except (PackDamaged, PackMissing):
            continue
    return found
