"""Averages and sums are the exact ones, rounded once; numpy and ml_dtypes are the oracles."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.client.merge_arithmetic import combine, decode, encode, regroup

TYPES: dict[str, Any] = {
    "F16": np.float16, "BF16": ml_dtypes.bfloat16, "F32": np.float32, "F64": np.float64, "C64": np.complex64,
    "C128": np.complex128,
}  # fmt: skip
BITS = {"F16": np.uint16, "BF16": np.uint16, "F32": np.uint32, "F64": np.uint64}


def values(dtype: str, seed: int, count: int = 5000) -> Any:
    drawn = np.random.default_rng(seed).standard_normal(count) * 10.0 ** np.random.default_rng(seed).integers(
        -4, 4, count
    )
    return drawn.astype(TYPES[dtype])


def combined(how: str, dtype: str, *arrays: Any) -> Any:
    ours, theirs, base = [[array.tobytes()] for array in (*arrays, arrays[0])[:3]]
    return np.frombuffer(b"".join(combine(how, dtype, ours, theirs, base)), TYPES[dtype])


@pytest.mark.parametrize("dtype", TYPES)
def test_the_average(dtype: str) -> None:
    ours, theirs = values(dtype, 1), values(dtype, 2)
    wide = np.complex128 if dtype.startswith("C") else np.float64
    expected = ((ours.astype(wide) + theirs.astype(wide)) / 2).astype(TYPES[dtype])
    assert expected.any()
    assert np.array_equal(combined("average", dtype, ours, theirs), expected)


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_the_sum_of_both_changes(dtype: str) -> None:
    base, ours, theirs = values(dtype, 1), values(dtype, 2), values(dtype, 3)
    ours[:1000], theirs[1000:2000] = base[:1000], base[1000:2000]
    made = combined("sum", dtype, ours, theirs, base)
    exact = ours.astype(np.float64) + (theirs.astype(np.float64) - base.astype(np.float64))
    # The oracle rounds bfloat16 twice, by way of float32: ours may be nearer, and nothing is farther off.
    expected = exact.astype(TYPES[dtype])
    off, oracle_off = (abs(found.astype(np.float64) - exact)[2000:] for found in (made, expected))
    assert (off <= oracle_off).all()
    assert np.mean(made[2000:] == expected[2000:]) > 0.999
    assert np.array_equal(made[:1000], theirs[:1000])
    assert np.array_equal(made[1000:2000], ours[1000:2000])


def test_the_other_sides_element_is_kept_to_the_bit() -> None:
    base = np.array([1e30, -0.0, np.inf, 0.0], np.float32)
    theirs = np.array([1e-3, -0.0, 1.0, np.nan], np.float32)
    made = combined("sum", "F32", base, theirs, base)
    assert made.tobytes() == theirs.tobytes()


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=50), st.sampled_from(["F16", "BF16"]))
def test_every_pattern_comes_back(patterns: list[int], dtype: str) -> None:
    data = np.array(patterns, np.uint16)
    floats = data.view(TYPES[dtype])
    again = np.frombuffer(encode(decode(data.tobytes(), dtype), dtype), np.uint16)
    nan = np.isnan(floats.astype(np.float64))
    assert np.array_equal(data[~nan], again[~nan])
    assert np.isnan(again.view(TYPES[dtype]).astype(np.float64))[nan].all()


def test_bfloat16_is_rounded_once() -> None:
    """Just above a tie in float64, on the tie in float32: rounding twice goes down, rounding once goes up."""
    tie = 1.0 + 2.0**-8
    found = np.frombuffer(encode(np.array([tie, tie + 2.0**-40, tie - 2.0**-40, 1e39, -1e39]), "BF16"), np.uint16)
    assert found.tolist() == [0x3F80, 0x3F81, 0x3F80, 0x7F80, 0xFF80]


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 16))
def test_regrouping_keeps_the_bytes(pieces: list[bytes], size: int) -> None:
    made = [bytes(piece) for piece in regroup(pieces, size)]
    assert b"".join(made) == b"".join(pieces)
    assert all(len(piece) == size for piece in made[:-1])
    assert all(made)
