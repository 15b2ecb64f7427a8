"""Two files that change places in one step, where the system can: renameat2(2) of Linux with RENAME_EXCHANGE."""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_HERE = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE


def find_exchange() -> Callable[[str, str], bool]:
    """A function of two paths in one file system. False from it: nothing has happened, whatever the reason; a plain rename then
    does it, or says why not."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):
        return lambda _one, _other: False
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return lambda one, other: rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0
