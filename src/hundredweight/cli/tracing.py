"""Trace lines in git-lfs's form, to stderr or a file. Loaded only when GIT_TRACE asks."""

from __future__ import annotations

import os
import threading
import time

from hundredweight.base.files import open_append

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO


def open_sink(target: str, stderr: TextIO) -> Callable[[str], None]:
    """A thread-safe writer of single lines. As for git, 3 to 9 are open descriptors."""
    inherited = len(target) == 1 and target in "3456789"
    descriptor = open_append(target) if target.startswith("/") else int(target) if inherited else -1
    lock = threading.Lock()

    def sink(text: str) -> None:
        now = time.time()
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        line = f"{clock}.{int(now % 1 * 1e6):06d} trace git-lfs: {text}\n"
        with lock:
            if descriptor < 0:
                stderr.write(line)
                stderr.flush()
            else:
                if not inherited:
                    os.lseek(descriptor, 0, os.SEEK_END)
                os.write(descriptor, line.encode("utf-8", "surrogateescape"))

    return sink
