"""How kernels are compiled by numba: at once, for given types alone, mostly to run without the interpreter's lock, kept
in numba's
cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba

if TYPE_CHECKING:
    from hundredweight.codec.numbers import Bits


def reads(item: Any) -> Any:
    """The type of an array that is only read: callers' buffers may be read-only."""
    return numba.types.Array(item, 1, "C", readonly=True)


def compile_passes(function: Any, *signatures: tuple[Any, ...], result: Any = numba.void, release: bool = True) -> Any:
    """Compiled now, or loaded from numba's cache; for these types alone, so that nothing is compiled later.

    `release` False is for what takes some microseconds: to get the interpreter's lock back may take longer.
    """
    typed = [result(*signature) for signature in signatures]
    try:
        return numba.njit(typed, nogil=release, cache=True)(function)
    except RuntimeError:
        # Neither the package's folder nor the user's cache can be written.
        return numba.njit(typed, nogil=release)(function)


def aligned(elements: Bits) -> Bits:
    """As it is, or a copy: kernels are compiled for contiguous elements at their natural addresses."""
    return elements if elements.flags.aligned and elements.flags.c_contiguous else elements.copy()
