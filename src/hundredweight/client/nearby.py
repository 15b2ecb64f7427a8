"""What a clone has of an object and its kin: its earlier versions, by the history of its path and by what its packs hold.

A loose object is cut once; its recipe is kept in `lfs/recipes`, where it is only a saving of time.
"""

from __future__ import annotations

import contextlib
import os
import threading
from itertools import islice
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.base.files import WriteError, write_file
from hundredweight.base.ids import Oid
from hundredweight.client.foundations import foundations
from hundredweight.client.stream_keeper import Commits, StreamKeeper
from hundredweight.git.scan import blobs_here, read_pointers, small_blobs
from hundredweight.protocol.blocks import MAX_BASES
from hundredweight.protocol.pointer import Pointer
from hundredweight.store.bases import choose_predecessors
from hundredweight.store.catalog import PackMissing
from hundredweight.store.file_source import FileSource
from hundredweight.store.pack import check_hash
from hundredweight.store.packfolder import PacksBusy
from hundredweight.store.reader import PackedSource
from hundredweight.store.recipe import Recipe, RecipeDamaged
from hundredweight.store.segments import TooManySegments, cut
from hundredweight.transfer.blocks import Known

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from hundredweight.base.files import AtomicFile
    from hundredweight.client.workspace import Workspace
    from hundredweight.store.pack import IndexBuilder, PackStreamWriter
    from hundredweight.store.packfolder import PackFolder
    from hundredweight.transfer.blocks import Receiver

HISTORY = 256
"""Commits of a path that are listed."""
VERSIONS = 8
"""Of these, versions just before and just after the object that are looked at, whatever is known of them."""
NEWEST = 12
"""Objects of the newest packs that are looked at besides."""
CHOSEN = 8
FIRST = 2
"""What the nearest stand upon comes so far ahead of the others: an upload tries the first three objects, and these are the ones
upon which a delta may stand whatever the segment."""
MOST_KNOWN = 256
"""Objects that are kept open, with their recipes; the oldest goes first."""
LIKELY = 4
"""Objects that differ in size by more than this factor are not looked at."""
SMALLEST = 64 << 10
CHUNK = 1 << 20


class NearbyObjects:
    """See `transfer.blocks.Nearby`."""

    def __init__(self, workspace: Workspace, *, keep: bool = False) -> None:
        """`keep`: streams that were sent or came become packs of the clone, and loose copies of what is in them go."""
        self._workspace = workspace
        self._keep = keep
        self._kept: list[Oid] = []
        self._commits = Commits()
        self._store = workspace.store
        self._recipes = os.path.join(workspace.lfs_folder, "recipes")
        self._lock = threading.Lock()
        self._keeping = threading.Lock()
        self._known: dict[Oid, Known | None] = {}

    def own(self, oid: Oid, size: int) -> Known | None:
        """Raises `OSError`, `DamageError`."""
        with self._lock:
            if oid in self._known:
                return self._known[oid]
            known = self._open(oid, size)
            # What is not here may be on its way: that is not worth remembering.
            if known is not None or self._store.has(oid, size):
                self._remember(oid, known)
            return known

    def near(self, recipe: Recipe, name: str) -> Sequence[Known]:
        """What is near in history and agrees most; what that stands upon; some versions from further back, for a clone whose
        copies stand upon others than the other side's, or are loose. Raises `OSError`, `GitError`."""
        path = name if self._is_path(name) else self._path_of(recipe)
        before, after = _around(recipe.oid, dict(self._versions(path)))
        found: dict[Oid, Known] = {}
        for oid, size in (*islice(before.items(), VERSIONS), *islice(after.items(), VERSIONS), *self._newest()):
            self._find(recipe, oid, size, found)
        chosen = [each.oid for each in choose_predecessors(recipe, [known.recipe for known in found.values()], CHOSEN)]
        below = {each.oid: each.size for oid in chosen for each in self._below(found[oid].recipe, before)}
        far = {oid: size for oid, size in _far(before) if self._is_cut(oid)}
        for oid, size in (below | far).items():
            self._find(recipe, oid, size, found)
        order = dict.fromkeys((*chosen[:1], *list(below)[:FIRST], *chosen[1:], *below, *far))
        return [found[oid] for oid in order if oid in found][:MAX_BASES]

    def sent(self, stream: PackStreamWriter, file: AtomicFile) -> None:
        """Raises `WriteError`."""
        if not self._keep:
            return
        folder = self._store.packs
        try:
            os.makedirs(folder.folder, exist_ok=True)
            # Several objects are sent at once, and the folder's lock does not wait, as another process may hold it for long.
            with self._keeping, folder.lock(wait=False):
                if not (_fits(stream.index, folder) and self._is_whole(stream.index, folder)):
                    return
                name = stream.finish()
                file.durable = True
                file.commit(folder.path(name))
                with open(folder.path(name), "rb") as made:
                    check_hash(iter(lambda: made.read(CHUNK), b""), name)
        except PacksBusy:
            # It stays loose; `cwt pack` and `git lfs prune` pack it later.
            return
        self._kept += [Oid(oid) for oid in stream.index.objects()]

    def receiver(self, recipe: Recipe) -> Receiver | None:
        """Raises `WriteError`."""
        return StreamKeeper(self._store, recipe, self._commits, self._came) if self._keep else None

    def settle(self) -> None:
        """Drop the loose copies of objects that are in packs now. Call when nobody wants to copy them any more."""
        kept = [*self._kept, *self._commits.settle()]
        self._kept = []
        with self._lock:
            self._known.clear()
        for oid in kept:
            self._store.drop_loose(oid)

    def forget(self, oid: Oid) -> None:
        """Its recipe was made of other bytes than it has."""
        with self._lock:
            self._known.pop(oid, None)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._recipe_path(oid))

    def _find(self, recipe: Recipe, oid: Oid, size: int, found: dict[Oid, Known]) -> None:
        """Into `found`, where it is here and may be like `recipe`."""
        if oid == recipe.oid or oid in found or not recipe.size / LIKELY <= size <= recipe.size * LIKELY:
            return
        try:
            known = self.own(oid, size)
        except (DamageError, PackMissing):
            # What is wrong with an old object must not keep new ones from moving.
            return
        if known is not None:
            found[oid] = known

    def _below(self, recipe: Recipe, older: Collection[Oid]) -> list[Recipe]:
        if recipe.oid in self._commits.pending():
            self._commits.wait()
        return foundations(self._store.packs, recipe, older) if self._store.has_packs else []

    def _is_cut(self, oid: Oid) -> bool:
        """Whether its recipe is known without a look at its data."""
        return oid in self._known or os.path.exists(self._recipe_path(oid)) or self._store.loose_size(oid) < 0

    def _came(self, recipe: Recipe) -> None:
        """The object is here, loose, and that is its recipe: nobody need cut it to find out whether it is near the next one."""
        try:
            source = _LooseSource.open(self._store.path(recipe.oid))
        except FileNotFoundError:
            return
        with self._lock:
            self._remember(recipe.oid, Known(recipe, source))

    def _remember(self, oid: Oid, known: Known | None) -> None:
        """Called with the lock held."""
        while len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[oid] = known

    def _is_whole(self, index: IndexBuilder, folder: PackFolder) -> bool:
        """Whether the objects of a new pack are all in packs then: what the other side had already was not written to it."""
        known = [self._known.get(Oid(oid)) for oid in index.objects()]
        ids = {segment.id for each in known if each is not None for segment in each.recipe.segments}
        outside = {identity for identity in ids if identity not in index}
        return None not in known and not outside - folder.segments(outside).keys()

    def _open(self, oid: Oid, size: int) -> Known | None:
        if size < SMALLEST:
            return None
        try:
            source = _LooseSource.open(self._store.path(oid))
        except FileNotFoundError:
            recipe = self._store.packs.recipe(oid) if self._store.has_packs else None
            return None if recipe is None else Known(recipe, PackedSource(self._store.packs.reader, recipe))
        if source.size != size:
            return None
        loose = self._cut(oid, source)
        return None if loose is None else Known(loose, source)

    def _cut(self, oid: Oid, source: FileSource) -> Recipe | None:
        path = self._recipe_path(oid)
        try:
            with open(path, "rb") as file:
                # A copy that is younger was put there since, perhaps in place of a damaged one.
                fresh = os.fstat(file.fileno()).st_mtime_ns > os.fstat(source.fileno()).st_mtime_ns
                kept = Recipe.decode(file.read())
            if fresh and kept.oid == oid and kept.size == source.size:
                return kept
        except (FileNotFoundError, RecipeDamaged):
            pass
        try:
            recipe = cut(source, oid)
        except TooManySegments:
            return None
        try:
            write_file(path, recipe.encode())
        except WriteError:
            # It is cut again next time.
            return recipe
        return recipe

    def _recipe_path(self, oid: Oid) -> str:
        return os.path.join(self._recipes, oid[:2], oid)

    @staticmethod
    def _is_path(name: str) -> bool:
        """Whether it may be a path in the repository: who moves objects by their ids alone gives none."""
        return bool(name) and not os.path.isabs(name)

    def _path_of(self, recipe: Recipe) -> str:
        """A path that the object has, or had, in some commit; empty when no pointer of it is known."""
        git = self._workspace.git
        blob = git.text("hash-object", "--stdin", stdin=Pointer(recipe.oid, recipe.size).encode())
        found = git.run("log", "--all", "--max-count=1", "--format=", "--name-only", "-z", f"--find-object={blob}")
        return os.fsdecode(found.out).lstrip("\n").split("\0")[0]

    def _versions(self, name: str) -> Iterator[tuple[Oid, int]]:
        """Objects that the path had in the newest commits of all branches, the newest first."""
        if not name:
            return
        git = self._workspace.git
        listed = git.run(
            *("log", "--all", f"--max-count={HISTORY}", "--format=", "--raw", "-z", "--no-abbrev", "--no-renames"),
            *("--", f":(top,literal){name}"),
        )
        blobs: dict[str, str] = {}
        for field in os.fsdecode(listed.out).split("\0"):
            words = field.lstrip("\n").split(" ")
            if len(words) == 5 and words[0].startswith(":"):
                for blob in (words[3], words[2]):
                    if set(blob) != {"0"}:
                        blobs.setdefault(blob, name)
        for pointer in read_pointers(git, small_blobs(git, blobs_here(git, self._workspace.config, blobs.items()))):
            yield pointer.pointer.oid, pointer.pointer.size

    def _newest(self) -> Iterator[tuple[Oid, int]]:
        """Objects of the newest packs, first of those that are on their way to the disk."""
        yield from self._commits.pending().items()
        if not self._store.has_packs:
            return
        packs = self._store.packs
        names = sorted(packs.names(), key=lambda name: _modified(packs.path(name)), reverse=True)
        count = 0
        for name in names:
            for oid, _, _, size in packs.index(name).objects():
                yield Oid(oid), size
                count += 1
                if count == NEWEST:
                    return


class _LooseSource(FileSource):
    """Closed with its last reference: several uploads may read one earlier version."""

    def __del__(self) -> None:
        self.close()


def _fits(index: IndexBuilder, folder: PackFolder) -> bool:
    """Whether all bases of a new pack are in it or packed here, in chains that are no deeper than it says."""
    outside = folder.segments(index.outside_bases())
    return all(base in index or (base in outside and outside[base].depth < depth) for base, depth in index.deltas())


def _around(oid: Oid, versions: Mapping[Oid, int]) -> tuple[dict[Oid, int], dict[Oid, int]]:
    """Those before the object and those after it, the nearest first, out of versions from new to old; where it is none of them,
    all are before."""
    order = list(versions)
    place = order.index(oid) if oid in versions else -1
    later = order[: max(place, 0)]
    return {each: versions[each] for each in order[place + 1 :]}, {each: versions[each] for each in reversed(later)}


def _far(before: Mapping[Oid, int]) -> Iterator[tuple[Oid, int]]:
    """The oldest version, as chains begin early; then others further back, each at twice the distance."""
    older = list(before.items())[VERSIONS:]
    yield from older[-1:]
    for power in range(len(older).bit_length()):
        yield older[(1 << power) - 1]


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0
