"""Averages and sums of tensors, piece by piece: computed in float64, rounded once, to nearest even.

Elements that one side left as they were are the other side's, to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hundredweight.client.merge_rules import AVERAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Array = np.ndarray[Any, np.dtype[Any]]

PIECE = 1 << 20
"""Bytes that are computed at once: in float64 they are up to four times as many, a few times over."""
_PLAIN = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<f4", "C128": "<f8"}


def combine(
    how: str, dtype: str, ours: Iterable[bytes | memoryview], theirs: Iterable[bytes | memoryview],
    base: Iterable[bytes | memoryview] | None,
) -> Iterator[bytes]:  # fmt: skip
    """The average of ours and theirs, or base + (ours - base) + (theirs - base). The three have equally many bytes."""
    pairs = [regroup(ours), regroup(theirs)] + ([regroup(base)] if base is not None and how != AVERAGE else [])
    for pieces in zip(*pairs, strict=True):
        values = [decode(piece, dtype) for piece in pieces]
        with np.errstate(all="ignore"):
            made = (values[0] + values[1]) * 0.5 if how == AVERAGE else _sum(*values)
        yield encode(made, dtype)


def regroup(pieces: Iterable[bytes | memoryview], size: int = PIECE) -> Iterator[bytes | memoryview]:
    """The same bytes in pieces of exactly `size`, and a last one."""
    rest = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        if rest:
            needed = size - len(rest)
            rest += view[:needed]
            view = view[needed:]
            if len(rest) < size:
                continue
            yield bytes(rest)
            rest.clear()
        whole = len(view) // size * size
        for start in range(0, whole, size):
            yield view[start : start + size]
        rest += view[whole:]
    if rest:
        yield bytes(rest)


def decode(piece: bytes | memoryview, dtype: str) -> Array:
    """As float64; complex numbers as pairs."""
    if dtype == "BF16":
        return (np.frombuffer(piece, "<u2").astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return np.frombuffer(piece, _PLAIN[dtype]).astype(np.float64)


def encode(values: Array, dtype: str) -> bytes:
    """float64 rounded to the type, to nearest even; what is too large becomes infinite."""
    with np.errstate(all="ignore"):
        made = _bfloat16(values) if dtype == "BF16" else values
        return made.astype("<u2" if dtype == "BF16" else _PLAIN[dtype]).tobytes()


def _sum(ours: Array, theirs: Array, base: Array) -> Array:
    # By the formula alone an element that one side left could round to a neighbour, or be lost beside a large one.
    made = ours + (theirs - base)
    made = np.where(ours == base, theirs, made)
    return np.where(theirs == base, ours, made)


def _bfloat16(values: Array) -> Array:
    """By way of float32 rounded to odd, so that the second rounding is the only one."""
    single = values.astype(np.float32)
    wide = single.astype(np.float64)
    bits = single.view(np.uint32)
    bits = np.where(np.abs(wide) > np.abs(values), bits - 1, bits)
    bits = np.where((wide != values) & ~np.isnan(values), bits | 1, bits)
    rounded = bits + 0x7FFF + (bits >> 16 & 1)
    # A NaN's payload must not carry into infinity.
    return (np.where(np.isnan(values), bits | 0x400000, rounded) >> 16).astype(np.uint16)
