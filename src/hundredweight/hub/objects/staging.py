"""Unfinished uploads in parts: whose they are, how many there may be, when they are given up, and who reads behind them.

An upload belongs to one user, repository and object: whoever comes back with the same three goes on where it stopped, after a
restart of the hub too, and nobody else can name it. Everything is in the name of its stage, so nothing has to be remembered.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, cast

from hundredweight.base.errors import CwtError
from hundredweight.hub.errors import NotFound, Refusal
from hundredweight.protocol.parts import choose_part_size
from hundredweight.store.blocks import BlockPool
from hundredweight.store.staged import StagedObject, StagedStream
from hundredweight.store.staged_pack import StagedPack

if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.backend.interface import Stage
    from hundredweight.base.ids import Oid
    from hundredweight.hub.objects.signing import Grant
    from hundredweight.protocol.blocks import StreamName
    from hundredweight.store.objects import ObjectStore

T = TypeVar("T", bound=StagedStream)
EXPECTED = 2 << 30
"""Bytes of an object up to which it is read ahead after its upload: larger ones would drive others out of the cache."""
EXPECT_AFTER = 0.5
ABANDONED = 24 * 3600.0
"""Seconds without a byte after which an unfinished upload is removed."""
MAX_UPLOADS = 256
"""Unfinished uploads of one user."""


MAX_STREAMS = 16
"""Pack streams of all users that are in memory: what is known of each may be many megabytes."""
STREAM_IDLE = 30.0
"""Seconds without a request after which one of them makes room for another."""


class TooManyUploads(Refusal):
    """The user has as many unfinished uploads as one may have (429). A whole PUT is still taken."""

    status = 429
    hint = "finish the uploads that were begun: repeat the pushes that were interrupted; what is left is removed after a day"


class UploadUnknown(NotFound):
    """There is no such upload in parts: never begun, ended, or given up (404)."""

    hint = "repeat the push; it begins anew"


class Staging:
    """The unfinished uploads of this hub. Thread-safe; the methods block. `close` ends its threads."""

    def __init__(self, store: ObjectStore, part_size: int, max_bytes: int) -> None:
        """`part_size` is the smallest that is asked for, `max_bytes` the most that one user's unfinished uploads may announce."""
        self.part_size = part_size
        self.max_bytes = max_bytes
        self.pool = BlockPool()
        self._store = store
        self._uploads: dict[str, StagedStream] = {}
        self._running: dict[Callable[[], object], bool] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._expecting = ThreadPoolExecutor(1, "expect")
        # They hash or wait for the disk; what hashes gains nothing by more threads than processors.
        self._threads = ThreadPoolExecutor(2 + (os.cpu_count() or 1), "follow")

    def takes(self, size: int) -> bool:
        """Whether an object of that size gains by coming in parts."""
        return size > self.part_size

    def open(self, grant: Grant, oid: Oid) -> StagedObject:
        """Begin the upload, or go on with it. Raises `TooManyUploads`, `BackendFull`, `BackendFailed`."""
        return self._open(
            _name(grant, oid, grant.size, self.part_size), grant, grant.size, self._object_maker(grant, oid)
        )

    def find(self, grant: Grant, oid: Oid) -> StagedObject:
        """The upload that was begun. Raises `UploadUnknown`, `BackendFailed`."""
        with self._lock:
            name = _name(grant, oid, grant.size, self.part_size)
            return self._find(name, grant.size, self._object_maker(grant, oid))

    def known(self, grant: Grant, oid: Oid) -> StagedObject | None:
        """As `find`, where that needs no look at the disk. Does not block."""
        found = self._uploads.get(_name(grant, oid, grant.size, self.part_size))
        return found if isinstance(found, StagedObject) else None

    def open_pack(
        self, grant: Grant, oid: Oid, stream: StreamName, make: Callable[[Stage, int], StagedPack]
    ) -> StagedPack:
        """As `open`, for a pack stream; `make` takes its stage and the size of a part. Raises `TooManyUploads` also where the hub
        is checking as many streams as it can."""
        if grant.size > self.max_bytes:
            raise TooManyUploads(f"this hub takes no object of {grant.size} bytes in blocks")
        name = _name(grant, oid, stream.size, self.part_size, stream.digest)
        with self._lock:
            if name not in self._uploads:
                self._make_room()
        return self._open(name, grant, stream.size, make)

    def find_pack(self, grant: Grant, oid: Oid, stream: StreamName) -> StagedPack:
        """As `find`, for a pack stream that was opened since the hub started."""
        with self._lock:
            found = self._uploads.get(_name(grant, oid, stream.size, self.part_size, stream.digest))
        if not isinstance(found, StagedPack):
            raise UploadUnknown(f"no stream of blocks for object '{oid}' was begun")
        found.touched = time.monotonic()
        return found

    def follow(self, stream: StagedStream) -> None:
        """Hash what came, and bring it to the disk, in the background. Returns at once."""
        with self._lock:
            for work in (stream.follow, stream.sync) if stream.sync_due else (stream.follow,):
                if work not in self._running:
                    self._threads.submit(self._run, work)
                self._running[work] = work in self._running

    def end(self, upload: StagedStream) -> None:
        """Forget the upload; what is left of its stage is removed. Raises `BackendFailed`."""
        with self._lock:
            if self._uploads.get(upload.stage.name) is upload:
                del self._uploads[upload.stage.name]
        upload.stage.remove()

    def expect(self, upload: StagedObject) -> None:
        """What was just uploaded is often downloaded next, and blocks were written around the system's cache: have it read into
        it, in the background, as soon as the push has had time to end."""
        if upload.size <= EXPECTED:
            self._expecting.submit(self._expect, upload.oid, upload.size, time.monotonic() + EXPECT_AFTER)

    def _expect(self, oid: Oid, size: int, moment: float) -> None:
        if not self._closing.wait(max(0.0, moment - time.monotonic())):
            self._store.backend.expect(self._store.key(oid), size)

    def close(self) -> None:
        self._closing.set()
        self._expecting.shutdown(wait=True, cancel_futures=True)
        for upload in list(self._uploads.values()):
            upload.halt()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run(self, work: Callable[[], object]) -> None:
        again = True
        while again:
            try:
                work()
            except CwtError:
                pass  # the end of the upload goes on from the same place, and tells what is wrong
            finally:
                with self._lock:
                    again = self._running[work]
                    self._running[work] = False
                    if not again:
                        del self._running[work]

    def _open(self, name: str, grant: Grant, size: int, make: Callable[[Stage, int], T]) -> T:
        with self._lock:
            try:
                return self._find(name, size, make)
            except UploadUnknown:
                self._sweep()
                self._check_room(grant, size)
                return self._take(name, size, make, create=True)

    def _make_room(self) -> None:
        """Let go of the stream that nobody went on with for longest, if there are many in memory: its stage stays, so that its
        sender goes on. With the lock held."""
        streams = [upload for upload in self._uploads.values() if isinstance(upload, StagedPack)]
        if len(streams) < MAX_STREAMS:
            return
        idle = [upload for upload in streams if not upload.receiving]
        oldest = min(idle, key=lambda upload: upload.touched, default=None)
        if oldest is None or time.monotonic() - oldest.touched < STREAM_IDLE:
            raise TooManyUploads(f"the hub is checking {len(streams)} uploads in blocks already")
        oldest.halt()
        del self._uploads[oldest.stage.name]

    def _object_maker(self, grant: Grant, oid: Oid) -> Callable[[Stage, int], StagedObject]:
        return lambda stage, part_size: StagedObject(self._store, stage, oid, grant.size, part_size, self.pool)

    # With the lock held.

    def _find(self, name: str, size: int, make: Callable[[Stage, int], T]) -> T:
        found = self._uploads.get(name)
        return cast("T", found) if found is not None else self._take(name, size, make, create=False)

    def _take(self, name: str, size: int, make: Callable[[Stage, int], T], *, create: bool) -> T:
        """The upload whose stage is there, perhaps from before the hub's last start, or with `create` a new one."""
        stage = self._store.backend.stage(name, create=create)
        if stage is None:
            raise UploadUnknown("no such upload in parts was begun")
        upload = make(stage, choose_part_size(size, self.part_size))
        self._uploads[name] = upload
        return upload

    def _sweep(self) -> None:
        """Remove what nobody has gone on with for long."""
        now = time.time()
        for stat in self._store.backend.stages():
            upload = self._uploads.get(stat.key)
            idle = now - stat.modified if upload is None else time.monotonic() - upload.touched
            if idle > ABANDONED:
                self._uploads.pop(stat.key, None)
                stage = self._store.backend.stage(stat.key, create=False)
                if stage is not None:
                    stage.remove()

    def _check_room(self, grant: Grant, size: int) -> None:
        owner = _owner(grant)
        sizes = [_size(stat.key) for stat in self._store.backend.stages() if stat.key.partition(".")[0] == owner]
        if len(sizes) >= MAX_UPLOADS or sum(sizes) + size > self.max_bytes:
            raise TooManyUploads(f"user '{grant.user}' has {len(sizes)} unfinished uploads of {sum(sizes)} bytes")


def _name(grant: Grant, oid: Oid, size: int, part_size: int, digest: str = "") -> str:
    """Everything that tells an upload from others; `digest` where several streams may bring one object."""
    tail = f".{digest[:32]}" if digest else ""
    return f"{_owner(grant)}.{size}.{grant.holder.id}.{part_size}.{oid}{tail}"


def _owner(grant: Grant) -> str:
    """The user as part of a name, whatever characters it has."""
    return hashlib.sha256(grant.user.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _size(name: str) -> int:
    size = name.split(".")[1]
    return int(size) if size.isdigit() else 0
