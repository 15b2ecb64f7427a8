"""Packing what came loose, shortening what came deep: one thread at low priority, that stands back while the hub has other work.

An object is packed once, against the newest packed objects of the repositories that possess it whose tensors agree most. The pack
is durable and was read back whole before its rows are written, and its rows are before the loose copy goes: a crash at any
moment leaves the object readable, and the next start goes on.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from hundredweight.backend.interface import KeyMissing
from hundredweight.base.allocator import give_back_freed_memory
from hundredweight.base.errors import CwtError, DamageError
from hundredweight.base.ids import Oid
from hundredweight.hub.database.statements import SLICE
from hundredweight.hub.packs.readback import read_back
from hundredweight.hub.packs.service import WORKERS, contents_of, pack_key
from hundredweight.hub.packs.shortening import Shortener
from hundredweight.store.bases import choose_predecessors
from hundredweight.store.catalog import PackMissing
from hundredweight.store.pack import PackStreamWriter
from hundredweight.store.packer import Packer
from hundredweight.store.segments import cut
from hundredweight.store.worth import LEAST_GAIN, gains

if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.hub.activity import Activity
    from hundredweight.hub.packs.service import Packs
    from hundredweight.store.objects import ObjectStore
    from hundredweight.store.recipe import Recipe

RULES = 1
"""Raised when a better way to pack is found: objects that gained nothing are then tried again."""
SMALLEST = 64 << 10
"""Bytes of the smallest object that is packed."""
CANDIDATES = 32
"""Packed objects that are looked at for predecessors."""
PREDECESSORS = 2
IDLE_SECONDS = 3.0
"""How long the hub must have been idle before the packer begins, and how often it looks."""
MAX_STANDING = 60.0
"""How long at most an object that is being packed waits for a busy hub: one that is never idle packs too, slowly."""
RETRY_SECONDS = 300.0
"""How long an object that could not be packed is left alone."""
BATCH = 16


class BackgroundPacker:
    """Packs loose objects, oldest first. `start` once; `close` waits for the block that is being made."""

    def __init__(
        self, store: ObjectStore, packs: Packs, activity: Activity, report: Callable[[CwtError], None]
    ) -> None:
        """`report` is told what could not be packed."""
        self._store = store
        self._packs = packs
        self._activity = activity
        self._report = report
        self._ending = threading.Event()
        self._failed: dict[Oid, float] = {}
        self._stood = 0.0
        self._shortener = Shortener(packs, store.backend, self._predecessors, self.pause)
        self._thread = threading.Thread(target=self._run, name="packer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def pack_all(self) -> int:
        """Pack everything that can be packed now, in the caller's thread; how many objects were."""
        self.drop_doubles()
        count = 0
        while todo := self._todo():
            for oid, size in todo:
                if self._ending.is_set():
                    return count
                count += self._try(oid, partial(self._pack, oid, size))
        for oid in self._shortener.todo():
            self._try(oid, partial(self._shortener.shorten, oid))
        return count

    def drop_doubles(self) -> int:
        """Remove the loose copies of packed objects that a crash left between rows and removal, where the packs give the objects;
        how many."""
        count = 0
        try:
            loose = (oid for oid, _ in self._store.ids())
            while batch := list(islice(loose, SLICE)):
                for oid in self._packs.tables.packed(batch):
                    count += self._is_readable(oid) and self._store.remove_loose(oid)
        except _Ending:
            return count
        except CwtError as error:
            self._report(error)
        return count

    def _is_readable(self, oid: Oid) -> bool:
        digest = hashlib.sha256()
        try:
            for piece in self._packs.content(oid):
                digest.update(piece)
                self.pause()
        except (DamageError, KeyMissing, PackMissing) as error:
            self._report(error)
            return False
        return digest.hexdigest() == oid

    def _run(self) -> None:
        _lower_priority()
        given_back = looked = False
        while not self._ending.wait(IDLE_SECONDS):
            if not self._activity.quiet_for(IDLE_SECONDS):
                given_back = False
                continue
            if not looked:
                self.drop_doubles()
                looked = True
            given_back = not self._round() and given_back
            if not given_back:
                # Once for each time that the hub comes to rest: what many requests at once took need not stay.
                give_back_freed_memory()
                given_back = True

    def _round(self) -> bool:
        """Whether there was anything to do."""
        try:
            todo = self._todo()
            deep = self._shortener.todo()
            self._shortener.sweep()
        except CwtError as error:
            self._report(error)
            return False
        work = [(oid, partial(self._pack, oid, size)) for oid, size in todo]
        work += [(oid, partial(self._shortener.shorten, oid)) for oid in deep]
        for oid, each in work:
            if not self._ending.is_set():
                self._try(oid, each)
        return bool(work)

    def _todo(self) -> list[tuple[Oid, int]]:
        """Loose objects that nobody gave up, oldest first; those that failed lately are left out."""
        now = time.monotonic()
        self._failed = {oid: at for oid, at in self._failed.items() if now - at < RETRY_SECONDS}
        found = self._packs.tables.loose(SMALLEST, RULES, BATCH + len(self._failed))
        return [(oid, size) for oid, size in found if oid not in self._failed]

    def _try(self, oid: Oid, work: Callable[[], bool]) -> bool:
        self._stood = 0.0
        try:
            return work()
        except _Ending:
            return False
        except CwtError as error:
            self._failed[oid] = time.monotonic()
            self._report(error)
            return False

    def _pack(self, oid: Oid, size: int) -> bool:
        """Whether the object is packed now. Raises `CwtError`."""
        source = _LooseSource(self._store, oid, size, self)
        recipe = cut(source, oid)
        predecessors = self._predecessors(recipe)
        have = _Known(self._packs, recipe)
        if not predecessors and not gains(source, recipe, have):
            self._packs.tables.give_up(oid, RULES)
            return False
        with self._store.backend.writer() as target, Packer(self._packs.reader, WORKERS) as packer:
            stream = PackStreamWriter(lambda data: target.write([data]))
            packer.pack(source, recipe, predecessors, stream, have)
            name = stream.finish()
            if stream.offset > size * (1 - LEAST_GAIN):
                self._packs.tables.give_up(oid, RULES)
                return False
            target.commit(pack_key(name), replace=True)
        read_back(self._packs, self._store.backend, oid, name, stream.offset, self.pause)
        self._packs.enter(contents_of(self._packs, name, stream.offset))
        self._store.remove_loose(oid)
        return True

    def _predecessors(self, recipe: Recipe) -> list[Recipe]:
        """Packed objects of the same repositories that may serve as bases, best first."""
        found = (self._packs.recipe(other) for other in self._packs.tables.neighbours(recipe.oid, CANDIDATES))
        return choose_predecessors(recipe, (each for each in found if each is not None), PREDECESSORS)

    def pause(self) -> None:
        """Between two pieces of work: stand back while the hub is busy, give up when the process ends. Raises `_Ending`."""
        while self._stood < MAX_STANDING and not self._activity.quiet_for(0) and not self._ending.is_set():
            begun = time.monotonic()
            self._ending.wait(0.05)
            self._stood += time.monotonic() - begun
        if self._ending.is_set():
            raise _Ending


class _Ending(CwtError):
    """The process ends; what was begun is dropped."""

    def __init__(self) -> None:
        super().__init__("the hub stops")


class _LooseSource:
    """A loose object, to be read anywhere."""

    def __init__(self, store: ObjectStore, oid: Oid, size: int, packer: BackgroundPacker) -> None:
        self.size = size
        self._store = store
        self._key = store.key(oid)
        self._packer = packer

    def read(self, offset: int, length: int) -> bytes:
        self._packer.pause()
        return b"".join(self._store.backend.read(self._key, offset, offset + length))


class _Known:
    """The segments of a recipe that are packed already."""

    def __init__(self, packs: Packs, recipe: Recipe) -> None:
        self._found = packs.segments(segment.id for segment in recipe.segments).keys()

    def __contains__(self, identity: object) -> bool:
        return identity in self._found


def _lower_priority() -> None:
    """Only this thread, and the threads that it starts (Linux: they inherit it); elsewhere nothing."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
    except (OSError, AttributeError):
        return
