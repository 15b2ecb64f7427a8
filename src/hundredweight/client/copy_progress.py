"""GIT_LFS_PROGRESS for a single copy: lines `EVENT 1/1 DONE/SIZE PATH` appended to the file that the variable names."""

from __future__ import annotations

import os
import time

from hundredweight.base.errors import UsageError
from hundredweight.base.files import open_append

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INTERVAL = 0.2


class BadProgressPath(UsageError):
    """GIT_LFS_PROGRESS is no absolute path."""


def open_progress(variables: Mapping[str, str], event: str, path: str, size: int) -> Callable[[int], None] | None:
    """A function that hears of each piece's length and writes at most one line every 200 ms, and one at the end; None
    when nobody asked. `size` is the whole length, as far as known. Raises `BadProgressPath`."""
    target = variables.get("GIT_LFS_PROGRESS", "")
    if not target or not path or size <= 0:
        return None
    if not os.path.isabs(target):
        raise BadProgressPath("GIT_LFS_PROGRESS must be an absolute path")
    done = 0
    told = time.monotonic()

    def advance(length: int) -> None:
        nonlocal done, told
        done += length
        if done >= size or time.monotonic() - told >= INTERVAL:
            told = time.monotonic()
            descriptor = open_append(target)
            try:
                os.lseek(descriptor, 0, os.SEEK_END)
                os.write(descriptor, os.fsencode(f"{event} 1/1 {done}/{size} {path}\n"))
            finally:
                os.close(descriptor)

    return advance
