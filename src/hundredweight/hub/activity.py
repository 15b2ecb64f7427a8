"""Whether people wait for the hub right now: what can be done later stands back."""

from __future__ import annotations

import threading
import time


class Activity:
    """Requests that are being served, and when the last one ended. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._ended = 0.0

    def begin(self) -> None:
        with self._lock:
            self._running += 1

    def end(self) -> None:
        with self._lock:
            self._running -= 1
            self._ended = time.monotonic()

    def quiet_for(self, seconds: float) -> bool:
        """Whether nothing runs, and nothing did in the last `seconds`."""
        with self._lock:
            return self._running == 0 and time.monotonic() - self._ended >= seconds
