"""Trace lines in git-lfs's form, to stderr or a file. Loaded only when GIT_TRACE asks."""

from __future__ import annotations

import threading
import time

from hundredweight.base.files import open_append

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO


def open_sink(target: str, stderr: TextIO) -> Callable[[str], None]:
    """A thread-safe writer of single lines."""
    out = open(open_append(target), "a", buffering=1) if target.startswith("/") else stderr
    lock = threading.Lock()

    def sink(text: str) -> None:
        now = time.time()
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        with lock:
            out.write(f"{clock}.{int(now % 1 * 1e6):06d} trace git-lfs: {text}\n")
            out.flush()

    return sink
