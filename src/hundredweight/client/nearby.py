"""What a clone has of an object and its kin: its earlier versions, by the history of its path and by what its packs hold.

A loose object is cut once; its recipe is kept in `lfs/recipes`, where it is only a saving of time.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.base.files import WriteError, write_file
from hundredweight.base.ids import Oid
from hundredweight.git.scan import read_pointers, small_blobs
from hundredweight.protocol.pointer import Pointer
from hundredweight.store.bases import choose_predecessors
from hundredweight.store.catalog import PackMissing
from hundredweight.store.packing import FileSource
from hundredweight.store.reader import PackedSource
from hundredweight.store.recipe import Recipe, RecipeDamaged
from hundredweight.store.segments import TooManySegments, cut
from hundredweight.transfer.blocks import Known

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hundredweight.client.workspace import Workspace

VERSIONS = 8
"""Commits of a path that are looked at."""
NEWEST = 12
"""Objects of the newest packs that are looked at besides."""
CHOSEN = 3
LIKELY = 4
"""Objects that differ in size by more than this factor are not looked at."""
SMALLEST = 64 << 10


class NearbyObjects:
    """See `transfer.blocks.Nearby`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._recipes = os.path.join(workspace.lfs_folder, "recipes")
        self._lock = threading.Lock()
        self._known: dict[Oid, Known | None] = {}

    def own(self, oid: Oid, size: int) -> Known | None:
        """Raises `OSError`, `DamageError`."""
        with self._lock:
            if oid not in self._known:
                self._known[oid] = self._open(oid, size)
            return self._known[oid]

    def near(self, recipe: Recipe, name: str) -> Sequence[Known]:
        """Raises `OSError`, `GitError`."""
        found: dict[Oid, Known] = {}
        path = name if self._is_path(name) else self._path_of(recipe)
        for oid, size in (*self._versions(path), *self._newest()):
            if oid == recipe.oid or oid in found or not recipe.size / LIKELY <= size <= recipe.size * LIKELY:
                continue
            try:
                known = self.own(oid, size)
            except (DamageError, PackMissing):
                # What is wrong with an old object must not keep new ones from moving.
                continue
            if known is not None:
                found[oid] = known
        chosen = choose_predecessors(recipe, [known.recipe for known in found.values()], CHOSEN)
        return [found[each.oid] for each in chosen]

    def _open(self, oid: Oid, size: int) -> Known | None:
        if size < SMALLEST:
            return None
        try:
            source = FileSource(self._store.path(oid))
        except FileNotFoundError:
            recipe = self._store.packs.recipe(oid) if self._store.has_packs else None
            return None if recipe is None else Known(recipe, PackedSource(self._store.packs.reader, recipe))
        if source.size != size:
            return None
        loose = self._cut(oid, source)
        return None if loose is None else Known(loose, source)

    def _cut(self, oid: Oid, source: FileSource) -> Recipe | None:
        path = os.path.join(self._recipes, oid[:2], oid)
        try:
            with open(path, "rb") as file:
                kept = Recipe.decode(file.read())
            if kept.oid == oid and kept.size == source.size:
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
            *("log", "--all", f"--max-count={VERSIONS}", "--format=", "--raw", "-z", "--no-abbrev", "--no-renames"),
            *("--", f":(top,literal){name}"),
        )
        blobs: dict[str, str] = {}
        for field in os.fsdecode(listed.out).split("\0"):
            words = field.lstrip("\n").split(" ")
            if len(words) == 5 and words[0].startswith(":"):
                for blob in (words[3], words[2]):
                    if set(blob) != {"0"}:
                        blobs.setdefault(blob, name)
        for pointer in read_pointers(git, small_blobs(git, blobs.items())):
            yield pointer.pointer.oid, pointer.pointer.size

    def _newest(self) -> Iterator[tuple[Oid, int]]:
        """Objects of the newest packs."""
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


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0
