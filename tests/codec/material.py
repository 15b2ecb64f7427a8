"""Segments to encode: fine-tunes in small, and whatever else bytes can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from hundredweight.codec import numbers

DTYPES = (
    "",
    "F32",
    "BF16",
    "F16",
    "F64",
    "I64",
    "I32",
    "I16",
    "U8",
    "F8_E4M3",
    "F8_E5M2",
    "Q4_K",
    "BOOL",
    "C64",
    "C128",
)
SPECIAL_F32 = (
    0,
    0x80000000,
    1,
    0x80000001,
    0x007FFFFF,
    0x7F800000,
    0xFF800000,
    0x7FC00000,
    0x7F800001,
    0xFFFFFFFF,
    0x7F7FFFFF,
)


@dataclass(frozen=True)
class Pair:
    """A segment and its base."""

    dtype: str
    raw: bytes
    base: bytes
    base_dtype: str

    def __repr__(self) -> str:
        return f"Pair({self.dtype}, {self.raw[:9].hex()} of {len(self.raw)}, {self.base_dtype}, {len(self.base)} bytes)"


def bits_of(values: NDArray[np.float32], dtype: str) -> bytes:
    """The bytes of a type; of those without floats, rounded multiples."""
    if dtype == "BF16":
        return numbers.cast(values.view("<u4"), numbers.TO_BF16).tobytes()
    kind = numbers.kind_of(dtype)
    if dtype in {"F16", "F32", "F64"}:
        return values.astype(f"<f{kind.width}").tobytes()
    integers = (values * 1000).astype(np.int64)
    return integers.astype(f"<i{kind.width}").tobytes()


def fine_tune(dtype: str, elements: int, seed: int = 0, rows: int = 128) -> Pair:
    """Normal weights; of the rows a third stays, a third decays, the rest moves by like absolute steps."""
    random = np.random.default_rng(seed)
    base = (random.standard_normal(elements) * 0.05).astype(np.float32)
    new = base.copy()
    kinds = random.integers(0, 3, elements // rows + 1).repeat(rows)[:elements]
    for _ in range(20):
        new = np.where(kinds == 1, new * np.float32(1 - 6e-7), new)
    new = np.where(kinds == 2, new + random.standard_normal(elements).astype(np.float32) * np.float32(3e-4), new)
    return Pair(dtype, bits_of(new, dtype), bits_of(base, dtype), dtype)


@st.composite
def pairs(draw: st.DrawFn, max_elements: int = 6000) -> Pair:
    """Fine-tunes with special values, cut or lengthened at either end, of any two types; or any bytes at all."""
    dtype = draw(st.sampled_from(DTYPES))
    base_dtype = draw(st.sampled_from([dtype] * 4 + ["F32", "BF16", "F16"]))
    if draw(st.integers(0, 4)) == 0:
        return Pair(dtype, draw(st.binary(max_size=600)), draw(st.binary(max_size=600)), base_dtype)
    elements = draw(st.integers(0, max_elements))
    seed = draw(st.integers(0, 1000))
    raw = bytearray(fine_tune(dtype, elements, seed).raw)
    base = bytearray(fine_tune(base_dtype, elements, seed).base)
    for target in (raw, base):
        for _ in range(draw(st.integers(0, 3))):
            special = draw(st.sampled_from(SPECIAL_F32)).to_bytes(4, "little")
            at = draw(st.integers(0, max(len(target) // 4, 1))) * 4
            target[at : at + 4] = special
    raw += draw(st.binary(max_size=9))
    cut = draw(st.integers(0, len(base)))
    return Pair(dtype, bytes(raw), bytes(base[:cut] if draw(st.booleans()) else base), base_dtype)
