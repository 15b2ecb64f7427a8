"""How kernels are compiled by numba: at once, for given types alone, to run without the interpreter's lock, kept in numba's
cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
from numba.core.registry import cpu_target

if TYPE_CHECKING:
    from hundredweight.codec.numbers import Bits

WIDE = frozenset(("+avx512f", "+avx512bw", "+avx512vbmi", "+avx512vbmi2"))


def has_wide_vectors() -> bool:
    """Whether numba compiles for a processor that has what `wide` takes."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return set(features.split(",")) >= WIDE


def reads(item: Any) -> Any:
    """The type of an array that is only read: callers' buffers may be read-only."""
    return numba.types.Array(item, 1, "C", readonly=True)


def compile_passes(
    function: Any, *signatures: tuple[Any, ...], result: Any = numba.void, any_order: bool = False
) -> Any:
    """Compiled now, or loaded from numba's cache; for these types alone, so that nothing is compiled later. `any_order` lets
    sums of floats be formed in any order: what vector instructions need."""
    return compile_signatures(function, *(result(*signature) for signature in signatures), any_order=any_order)


def compile_signatures(function: Any, *signatures: Any, any_order: bool = False) -> Any:
    """The same for signatures with results of their own."""
    options: Any = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz"} if any_order else False}
    try:
        return numba.njit(list(signatures), cache=True, **options)(function)
    except RuntimeError:
        # Neither the package's folder nor the user's cache can be written.
        return numba.njit(list(signatures), **options)(function)


def part_of_kernels(function: Any) -> Any:
    """Compiled into each kernel that calls it, for the types that it is called with: nothing to load by itself. Those kernels
    stand in the same module: numba's cache takes what it has of a kernel for old when that module has changed, no other."""
    return numba.njit(nogil=True)(function)


def aligned(elements: Bits) -> Bits:
    """As it is, or a copy: kernels are compiled for contiguous elements at their natural addresses."""
    return elements if elements.flags.aligned and elements.flags.c_contiguous else elements.copy()
