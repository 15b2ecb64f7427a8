"""How the C library keeps memory that is free again: a hub moves gigabytes through buffers of some hundred KiB.

By default glibc maps each such buffer anew and gives it back when it is free, so every page of every buffer costs a fault: a
quarter of the processor time of an upload. Kept for the next buffer, they cost nothing; what is kept is bounded.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
KEPT = 64 << 20
MAPPED_FROM = 32 << 20


def keep_freed_memory() -> None:
    """Applies to the whole process. Does nothing where the C library has no such setting."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM)
    mallopt(_M_TRIM_THRESHOLD, KEPT)
