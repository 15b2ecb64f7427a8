"""Hashing in a second thread, for content too large to be worth hashing in line.

hashlib and os.write both let other threads run, so that reading and writing one block overlaps with hashing another.
"""

from __future__ import annotations

import hashlib
import threading
from queue import SimpleQueue

from hundredweight.base.ids import Oid
from hundredweight.protocol.filter import Inbound

DEPTH = 4


class HashThread:
    """A ring of frames: `give` one to be hashed, `take` a free one. Use as a context; leaving it stops the thread."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._todo: SimpleQueue[tuple[Inbound, int] | None] = SimpleQueue()
        self._free: SimpleQueue[Inbound] = SimpleQueue()
        for _ in range(DEPTH - 1):
            self._free.put(Inbound())
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def give(self, frame: Inbound, length: int) -> None:
        """Hash the first `length` bytes of the payload, after all that was given before. The frame may be read, but not be
        changed, until `take` hands it out again."""
        self._todo.put((frame, length))

    def take(self) -> Inbound:
        return self._free.get()

    def finish(self) -> Oid:
        """Call once, after the last `give`."""
        self._stop()
        return Oid(self._hash.hexdigest())

    def __enter__(self) -> HashThread:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._todo.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._todo.get()) is not None:
            frame, length = job
            self._hash.update(frame.payload[:length])
            self._free.put(frame)
