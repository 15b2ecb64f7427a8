"""Memory for what comes in: a bounded number of pieces of one size, for all uploads together.

They begin on a page's border, as writes around the system's cache need it, and are used again at once: memory that is touched for
the first time costs more than what is done with it.
"""

from __future__ import annotations

import mmap
import threading

BLOCK_SIZE = 2 << 20
BLOCKS = 48
RESERVE = 8
"""Blocks that whoever wants to keep one leaves to those who have none."""


class Block:
    """One piece of memory, `size` bytes of it in use, and where in the stream they belong."""

    __slots__ = ("offset", "room", "size", "view")

    def __init__(self, capacity: int) -> None:
        self.view = memoryview(mmap.mmap(-1, capacity, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self.begin(0, capacity)

    def begin(self, offset: int, room: int) -> None:
        """Empty it; it is to take `room` bytes at most."""
        self.offset = offset
        self.room = min(room, len(self.view))
        self.size = 0

    @property
    def full(self) -> bool:
        return self.size == self.room

    @property
    def content(self) -> memoryview:
        return self.view[: self.size]

    def fill(self, data: memoryview) -> memoryview:
        """Append what there is room for; gives the rest."""
        count = min(len(data), self.room - self.size)
        self.view[self.size : self.size + count] = data[:count]
        self.size += count
        return data[count:]


class BlockPool:
    """Thread-safe. Holds no memory while nobody has a block."""

    def __init__(self, size: int = BLOCK_SIZE, count: int = BLOCKS, reserve: int = RESERVE) -> None:
        self.size = size
        self._count = count
        self._reserve = reserve
        self._free: list[Block] = []
        self._used = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> list[Block]:
        """So many blocks, or none."""
        with self._lock:
            return self._take(count) if self._used + count <= self._count else []

    def swap(self, block: Block) -> Block:
        """Another block, so that `block` can be kept for a while; itself when there are few."""
        with self._lock:
            return self._take(1)[0] if self._used + self._reserve < self._count else block

    def give(self, block: Block) -> None:
        """Nobody looks at its content any more."""
        with self._lock:
            self._used -= 1
            self._free.append(block)
            if not self._used:
                self._free.clear()

    @property
    def used(self) -> int:
        """How many are with somebody."""
        return self._used

    def _take(self, count: int) -> list[Block]:
        self._used += count
        return [self._free.pop() if self._free else Block(self.size) for _ in range(count)]
