"""Who may work now, of many that want to: in the order in which they came, so many at a time, or one that needs it all alone."""

from __future__ import annotations

import threading
import time
from collections import deque


class Turns:
    """Bounds the memory of work, and with it its number. Thread-safe."""

    def __init__(self, places: int) -> None:
        self._places = self._free = places
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    def acquire(self, seconds: float = -1, *, alone: bool = False) -> bool:
        """Wait for a place, or `alone` for all of them; False when it takes longer than `seconds` (negative: no limit)."""
        wanted = self._places if alone else 1
        own = object()
        end = time.monotonic() + seconds
        with self._changed:
            self._waiting.append(own)
            try:
                # Nobody overtakes: who wants all places would never have them.
                while self._waiting[0] is not own or self._free < wanted:
                    left = None if seconds < 0 else end - time.monotonic()
                    if left is not None and left <= 0:
                        return False
                    self._changed.wait(left)
                self._free -= wanted
                return True
            finally:
                self._waiting.remove(own)
                self._changed.notify_all()

    def release(self, *, alone: bool = False) -> None:
        """After `acquire`, with the same `alone`."""
        with self._changed:
            self._free += self._places if alone else 1
            self._changed.notify_all()
