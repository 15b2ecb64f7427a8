"""SHA-256 of content that is moved at the same time: in line when it is short, else in a second thread.

hashlib and the system calls both let other threads run, so that reading and writing one block overlaps with hashing another.
"""

from __future__ import annotations

import hashlib
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from hundredweight.base.ids import Oid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEPTH = 4


class Frame(Protocol):
    """A block of memory that content passes through."""

    def content(self, length: int, /) -> Sequence[memoryview]:
        """The first `length` bytes, in order."""


F = TypeVar("F", bound=Frame)


class HashThread(Generic[F]):
    """A ring of frames: `give` one to be hashed, `take` a free one. Use as a context; leaving it stops the thread."""

    def __init__(self, make: Callable[[], F]) -> None:
        """`make` gives the ring its frames; the caller brings one more."""
        self._hash = hashlib.sha256()
        self._todo: SimpleQueue[tuple[F, int] | None] = SimpleQueue()
        self._free: SimpleQueue[F] = SimpleQueue()
        for _ in range(DEPTH - 1):
            self._free.put(make())
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def give(self, frame: F, length: int) -> None:
        """Hash the first `length` bytes of its content, after all that was given before. The frame may be read, but not be
        changed, until `take` hands it out again."""
        self._todo.put((frame, length))

    def take(self) -> F:
        return self._free.get()

    def finish(self) -> Oid:
        """Call once, after the last `give`."""
        self._stop()
        return Oid(self._hash.hexdigest())

    def __enter__(self) -> HashThread[F]:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._todo.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._todo.get()) is not None:
            frame, length = job
            for part in frame.content(length):
                self._hash.update(part)
            self._free.put(frame)
