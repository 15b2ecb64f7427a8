"""How the C library keeps memory that is free again: weights move through buffers of some hundred KiB to some MiB.

By default glibc maps each such buffer anew and gives it back when it is free, so every page of every buffer costs a fault: a
quarter of the processor time of an upload, a third of that of decoding. Kept for the next buffer, they cost nothing. What is kept
is bounded, in one arena for all threads: with one for each, every thread that ever worked would keep as much.
"""

from __future__ import annotations

import ctypes
import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
KEPT = 64 << 20
MAPPED_FROM = 32 << 20


@functools.cache
def keep_freed_memory() -> None:
    """Applies to the whole process, best before threads begin. Does nothing where the C library has no such setting."""
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM)
        mallopt(_M_TRIM_THRESHOLD, KEPT)
        mallopt(_M_ARENA_MAX, 1)


def give_back_freed_memory() -> None:
    """All of it goes to the system, also what lies between buffers in use: for a process that will be idle. Takes some ms."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


def _function(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):
        return None
    return found
