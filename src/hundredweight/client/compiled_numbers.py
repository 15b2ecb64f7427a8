"""The sums of `tensor_numbers` for the types that most weights have, compiled by numba: one pass over both versions in place of a
dozen, without the interpreter's lock. Worth importing only where numba is loaded already, as it is where many packed bytes are
decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from hundredweight.codec.compiling import aligned, compile_passes, reads

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PIECE = 4096
"""Numbers that are added up as singles, in as many lanes as the processor has, before the sum becomes a double."""
_INFINITE = 0x7F800000


def _add(old: Any, new: Any, sums: Any) -> None:
    """`sums`: d*d, d*a, a*a, the largest |d| as bits, units that differ, whether any a is not zero."""
    shift = np.uint32(32 - 8 * old.itemsize)
    rest = np.uint32(0x7FFFFFFF)
    largest: Any = np.uint32(0)
    some: Any = np.uint32(0)
    changed = 0
    for start in range(0, len(old), _PIECE):
        first, second = old[start : start + _PIECE], new[start : start + _PIECE]
        dd = da = aa = np.float32(0)
        differing: Any = np.uint32(0)
        for i in range(len(first)):
            x, y = np.uint32(first[i]) << shift, np.uint32(second[i]) << shift
            a, b = np.uint32(x).view(np.float32), np.uint32(y).view(np.float32)
            d = b - a
            dd += d * d
            da += d * a
            aa += a * a
            differing += np.uint32(x != y)
            # As bits: a maximum of integers takes any order, one of floats keeps the compiler from vector instructions.
            largest = max(largest, np.uint32(np.float32(d).view(np.uint32) & rest))
            some |= x & rest
        sums[0] += dd
        sums[1] += da
        sums[2] += aa
        changed += differing
    sums[3], sums[4], sums[5] = largest, changed, some


_SIGNATURES = tuple((reads(word), reads(word), numba.float64[::1]) for word in (numba.uint16, numba.uint32))
_sums = compile_passes(_add, *_SIGNATURES, any_order=True)


def sums_of(old: NDArray[Any], new: NDArray[Any], size: int) -> tuple[float, float, float, float, int, bool] | None:
    """Of two blocks of singles, or (`size` 2) of BF16: the sums of d*d, d*a and a*a, the largest |d|, how many differ in their
    bits, whether any of the old is not zero; None where something is not finite."""
    found = np.zeros(6)
    _sums(aligned(old.view(f"<u{size}")), aligned(new.view(f"<u{size}")), found)
    dd, da, aa, largest, changed, some = found.tolist()
    if largest >= _INFINITE:
        return None
    return dd, da, aa, float(np.uint32(largest).view(np.float32)), int(changed), some != 0
