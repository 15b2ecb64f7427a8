"""An object on its way in: `lfs/incomplete/OID.part`, hashed while written, published whole or kept for the next try.

One writer a file, by a lock that ends with its process; whoever comes second writes to a file of its own. What a killed
process left behind is hashed again and continued. Bytes that are not the object's never get its name.
"""

from __future__ import annotations

import hashlib
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.base.files import WriteError, open_append, open_exclusive, read_chunks, temp_path

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from hundredweight.base.ids import Oid
    from hundredweight.store.loose import LooseStore

    Buffer = bytes | memoryview


THREADED_FROM = 8 << 20
_IN_FLIGHT = 4


class WrongContent(DamageError):
    """What arrived is not the object: `expected` and `got` are SHA-256, `size` the bytes that came."""

    hint = (
        "run the command again; if that fails too, the server's copy is damaged: have its owner delete it, "
        "then run 'git lfs push --all' in a clone that has the object"
    )

    def __init__(self, expected: str, got: str, size: int) -> None:
        super().__init__(f"expected OID {expected}, got {got} after {size} bytes written")
        self.expected = expected
        self.got = got
        self.size = size


class HashThread:
    """SHA-256 in a second thread, so that it runs beside the network and the disk. `digest` once, at the end."""

    def __init__(self, hasher: hashlib._Hash) -> None:
        self._hasher = hasher
        self._queue: queue.Queue[Buffer | None] = queue.Queue(_IN_FLIGHT)
        self._thread = threading.Thread(target=self._run, name="hash", daemon=True)
        self._thread.start()

    def update(self, data: Buffer) -> None:
        """Keeps `data` until it is hashed, and waits when `_IN_FLIGHT` buffers are not hashed yet: memory stays bounded."""
        self._queue.put(data)

    def hexdigest(self) -> str:
        self.stop()
        return self._hasher.hexdigest()

    def stop(self) -> None:
        """End the thread; harmless twice."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (data := self._queue.get()) is not None:
            self._hasher.update(data)


def part_path(store: LooseStore, oid: Oid) -> str:
    """Where what came of the object so far is kept."""
    return os.path.join(store.incomplete, f"{oid}.part")


class PartFile:
    """Use as a context. `size` is how many bytes are there; `write` appends; `publish` verifies and names the object.

    Leaving without `publish` keeps the bytes for the next try (a private file is dropped)."""

    def __init__(self, store: LooseStore, oid: Oid, size: int) -> None:
        """Raises `WriteError`."""
        self._store = store
        self._oid = oid
        self._wanted = size
        self.size = 0
        self._hasher: hashlib._Hash | HashThread = hashlib.sha256()
        self._published = False
        self.path = part_path(store, oid)
        try:
            descriptor = self._open_locked()
            self._private = descriptor is None
            if descriptor is None:
                self.path = temp_path(store.incomplete, oid)
                descriptor = open_exclusive(self.path, store.mode | 0o200)
        except OSError as error:
            raise WriteError(self.path, error) from error
        self.descriptor = descriptor
        self._take_over()

    def write(self, data: Buffer) -> None:
        """Raises `WriteError`."""
        self._hasher.update(data)
        view = memoryview(data)
        try:
            while view:
                count = os.write(self.descriptor, view)
                self.size += count
                view = view[count:]
        except OSError as error:
            raise WriteError(self.path, error) from error

    def use_thread(self) -> None:
        """Hash in a second thread from here on, if so much is still to come that it pays."""
        if self._wanted - self.size >= THREADED_FROM and not isinstance(self._hasher, HashThread):
            self._hasher = HashThread(self._hasher)

    def restart(self) -> None:
        """Forget all bytes."""
        self._stop_thread()
        self._hasher = hashlib.sha256()
        self.size = 0
        try:
            os.ftruncate(self.descriptor, 0)
            os.lseek(self.descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise WriteError(self.path, error) from error

    def publish(self) -> None:
        """Raises `WrongContent` unless the bytes are the object's; they are then forgotten."""
        got = self._hasher.hexdigest()
        if got != self._oid or self.size != self._wanted:
            size = self.size
            self.restart()
            raise WrongContent(self._oid, got, size)
        try:
            self._store.adopt(self.path, self._oid)
        except OSError as error:
            raise WriteError(self._store.path(self._oid), error) from error
        self._published = True

    def close(self) -> None:
        self._stop_thread()
        if not self._published and (self._private or self.size == 0):
            try:
                os.unlink(self.path)
            except FileNotFoundError:
                pass
        os.close(self.descriptor)

    def __enter__(self) -> PartFile:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _open_locked(self) -> int | None:
        """The shared part, locked; None when another process has it. Between opening and locking, its owner may publish it, and
        then the descriptor is the finished object: the name must still lead to the same file."""
        if sys.platform == "win32":
            # No advisory locks there: every writer gets a file of its own, and nothing is resumed.
            return None
        while True:
            descriptor = open_append(self.path, self._store.mode | 0o200)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                return None
            try:
                if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                    return descriptor
            except FileNotFoundError:
                pass
            os.close(descriptor)

    def _take_over(self) -> None:
        for chunk in read_chunks(self.descriptor, 1 << 20):
            self._hasher.update(chunk)
            self.size += len(chunk)
            if self.size > self._wanted:
                self.restart()
                return

    def _stop_thread(self) -> None:
        if isinstance(self._hasher, HashThread):
            self._hasher.stop()
