"""What the codec knows of tensor types: how wide an element is, where its exponent stands, and how one type becomes another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bits = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """Elements of `width` bytes whose `exponent` bits stand above `mantissa` bits (both 0 where there is no exponent)."""

    code: int
    width: int
    mantissa: int = 0
    exponent: int = 0

    @property
    def bits(self) -> np.dtype[Any]:
        return np.dtype(f"<u{self.width}")

    @property
    def least(self) -> int:
        """The exponent that counts as 0: of the 2048 that F64 has, weights use those of F32."""
        return 895 if self.exponent > 8 else 0


OCTETS = Kind(0, 1)
WORDS = Kind(1, 2)
DOUBLE_WORDS = Kind(2, 4)
QUAD_WORDS = Kind(3, 8)
F16 = Kind(4, 2, 10, 5)
BF16 = Kind(5, 2, 7, 8)
F32 = Kind(6, 4, 23, 8)
F64 = Kind(7, 8, 52, 11)
E4M3 = Kind(8, 1, 3, 4)
E5M2 = Kind(9, 1, 2, 5)
KINDS = {kind.code: kind for kind in (OCTETS, WORDS, DOUBLE_WORDS, QUAD_WORDS, F16, BF16, F32, F64, E4M3, E5M2)}

OF_DTYPE = {
    "F64": F64, "F32": F32, "F16": F16, "BF16": BF16, "C128": F64, "C64": F32, "C32": F16,
    "F8_E4M3": E4M3, "F8_E4M3FNUZ": E4M3, "F8_E5M2": E5M2, "F8_E5M2FNUZ": E5M2,
    "I64": QUAD_WORDS, "U64": QUAD_WORDS, "I32": DOUBLE_WORDS, "U32": DOUBLE_WORDS, "I16": WORDS, "U16": WORDS,
}  # fmt: skip
"""Types that are not named are taken as bytes: 8-bit integers, quantised blocks, anything unknown."""

SAME, TO_BF16, TO_F16, FROM_BF16, FROM_F16 = range(5)
CASTS = {("F32", "BF16"): TO_BF16, ("F32", "F16"): TO_F16, ("BF16", "F32"): FROM_BF16, ("F16", "F32"): FROM_F16}
SOURCE_WIDTH = {TO_BF16: 4, TO_F16: 4, FROM_BF16: 2, FROM_F16: 2}
TARGET_WIDTH = {TO_BF16: 2, TO_F16: 2, FROM_BF16: 4, FROM_F16: 4}


def kind_of(dtype: str) -> Kind:
    return OF_DTYPE.get(dtype, OCTETS)


def cast_of(base_dtype: str, dtype: str) -> int | None:
    """How a base of one type serves values of another; None where it does not."""
    if base_dtype == dtype:
        return SAME
    return CASTS.get((base_dtype, dtype))


def cast(bits: Bits, how: int) -> Bits:
    """The base's elements in the type of the values. Defined bit by bit, NaNs too, so that all machines agree."""
    if how == TO_BF16:
        odd = (bits >> np.uint32(16)) & np.uint32(1)
        rounded: Bits = (bits + (np.uint32(0x7FFF) + odd)) >> np.uint32(16)
        return rounded.astype("<u2")
    if how == TO_F16:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            half = bits.view("<f4").astype("<f2").view("<u2")
        half[(bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)] = 0x7E00
        return half
    if how == FROM_BF16:
        return bits.astype("<u4") << np.uint32(16)
    wide = bits.view("<f2").astype("<f4").view("<u4")
    wide[(bits & np.uint16(0x7FFF)) > np.uint16(0x7C00)] = 0x7FC00000
    return wide
