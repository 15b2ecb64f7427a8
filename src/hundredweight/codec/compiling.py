"""How kernels are compiled by numba: at once, for given types alone, to run without the interpreter's lock, kept in numba's
cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba

if TYPE_CHECKING:
    from hundredweight.codec.numbers import Bits


def reads(item: Any) -> Any:
    """The type of an array that is only read: callers' buffers may be read-only."""
    return numba.types.Array(item, 1, "C", readonly=True)


def compile_passes(function: Any, *signatures: tuple[Any, ...], result: Any = numba.void) -> Any:
    """Compiled now, or loaded from numba's cache; for these types alone, so that nothing is compiled later."""
    return compile_signatures(function, *(result(*signature) for signature in signatures))


def compile_signatures(function: Any, *signatures: Any) -> Any:
    """The same for signatures with results of their own."""
    try:
        return numba.njit(list(signatures), nogil=True, cache=True)(function)
    except RuntimeError:
        # Neither the package's folder nor the user's cache can be written.
        return numba.njit(list(signatures), nogil=True)(function)


def part_of_kernels(function: Any) -> Any:
    """Compiled into each kernel that calls it, for the types that it is called with: nothing to load by itself. Those kernels
    stand in the same module: numba's cache takes what it has of a kernel for old when that module has changed, no other."""
    return numba.njit(nogil=True)(function)


def aligned(elements: Bits) -> Bits:
    """As it is, or a copy: kernels are compiled for contiguous elements at their natural addresses."""
    return elements if elements.flags.aligned and elements.flags.c_contiguous else elements.copy()
