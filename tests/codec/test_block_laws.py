"""Laws of blocks: any bytes of any type against any base come back; no block is longer than its bytes; both kernels agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hundredweight.codec import block, methods
from hundredweight.codec.block import Profile
from hundredweight.codec.errors import CodecError
from hundredweight.codec.kernel import Kernel
from tests.codec.material import DTYPES, SPECIAL_F32, Pair, bits_of, fine_tune, pairs

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def encode(pair: Pair, profile: Profile = Profile.DEFAULT, kernel: Kernel = Kernel.OFF) -> bytes:
    return block.encode(pair.raw, pair.dtype, pair.base, pair.base_dtype, profile=profile, kernel=kernel)


@quick
@given(pair=pairs(), profile=st.sampled_from(Profile))
def test_any_bytes_come_back_and_no_block_is_long(pair: Pair, profile: Profile) -> None:
    made = encode(pair, profile)
    assert len(made) <= len(pair.raw) + block.HEAD
    assert bytes(block.decode(made, len(pair.raw), pair.base, kernel=Kernel.OFF)) == pair.raw
    if not block.uses_base(made):
        assert bytes(block.decode(made, len(pair.raw), kernel=Kernel.OFF)) == pair.raw


@quick
@given(raw=st.binary(max_size=2000), dtype=st.sampled_from(DTYPES))
def test_any_bytes_come_back_without_a_base(raw: bytes, dtype: str) -> None:
    made = block.encode(raw, dtype)
    assert not block.uses_base(made)
    assert len(made) <= len(raw) + block.HEAD
    assert bytes(block.decode(made, len(raw))) == raw


@quick
@given(pair=pairs())
def test_both_kernels_give_the_same_bytes(pair: Pair) -> None:
    pytest.importorskip("numba")
    made = encode(pair)
    assert encode(pair, kernel=Kernel.ON) == made
    assert bytes(block.decode(made, len(pair.raw), pair.base, kernel=Kernel.ON)) == pair.raw


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16", "F64", "F8_E4M3", "I64", "I16", "U8"])
def test_a_fine_tune_is_small_by_either_kernel(dtype: str) -> None:
    pytest.importorskip("numba")
    pair = fine_tune(dtype, 300_000)
    made = encode(pair)
    assert block.uses_base(made)
    assert len(made) < len(encode(Pair(dtype, pair.raw, b"", dtype))) * 0.75
    assert encode(pair, kernel=Kernel.ON) == made
    for kernel in (Kernel.ON, Kernel.OFF):
        assert bytes(block.decode(made, len(pair.raw), pair.base, kernel=kernel)) == pair.raw


def test_rows_that_only_decay_cost_next_to_nothing() -> None:
    random = np.random.default_rng(3)
    base = (random.standard_normal(1 << 18) * 0.05).astype(np.float32)
    new = base
    for step in range(30):
        new = new * np.float32(1 - 5e-7 * (1 - step / 60))
    made = block.encode(new.tobytes(), "F32", base.tobytes())
    assert len(made) < new.nbytes * 0.02


def test_rows_that_decay_by_much_cost_much_less() -> None:
    base = (np.random.default_rng(3).standard_normal(1 << 18) * 0.05).astype(np.float32)
    made = block.encode((base * np.float32(0.99)).tobytes(), "F32", base.tobytes())
    assert len(made) < base.nbytes * 0.32


def test_magnitudes_of_every_kind_come_back() -> None:
    """More levels of magnitude than there may be contexts."""
    random = np.random.default_rng(4)
    base = random.integers(0, 1 << 62, 1 << 17, dtype=np.uint64)
    moved = base + (
        random.integers(0, 1 << 62, 1 << 17, dtype=np.uint64)
        >> np.repeat(np.arange(1 << 10) % 62, 128).astype(np.uint64)
    )
    made = block.encode(moved.tobytes(), "I64", base.tobytes())
    assert len(made) < moved.nbytes * 0.6
    assert bytes(block.decode(made, moved.nbytes, base.tobytes())) == moved.tobytes()


def test_a_cast_of_the_base_costs_nothing() -> None:
    base = fine_tune("F32", 100_000).base
    values = np.frombuffer(base, np.float32)
    for dtype in ("BF16", "F16"):
        raw = bits_of(values, dtype)
        made = block.encode(raw, dtype, base, "F32")
        assert len(made) < 100
        assert bytes(block.decode(made, len(raw), base)) == raw
        back = (
            np.frombuffer(raw, "<f2").astype("<f4").tobytes()
            if dtype == "F16"
            else b"".join(b"\0\0" + raw[at : at + 2] for at in range(0, len(raw), 2))
        )
        assert len(block.encode(back, "F32", raw, dtype)) < 100


def test_special_values_of_base_and_raw_come_back() -> None:
    special = np.array(SPECIAL_F32, np.uint32)
    raw, base = np.meshgrid(special, special)
    for dtype in ("F32", "BF16", "F16"):
        pair = Pair(dtype, raw.tobytes() * 300, base.tobytes() * 300, "F32")
        for kernel in (Kernel.OFF, Kernel.ON):
            made = encode(pair, kernel=kernel)
            assert bytes(block.decode(made, len(pair.raw), pair.base, kernel=kernel)) == pair.raw


def test_every_bf16_against_a_shifted_one_comes_back() -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    raw, base = (
        np.tile(every, 4).tobytes(),
        np.concatenate([np.roll(every, by) for by in (0, 1, 300, 1 << 15)]).tobytes(),
    )
    made = block.encode(raw, "BF16", base)
    assert bytes(block.decode(made, len(raw), base)) == raw


def test_noise_is_stored() -> None:
    noise = np.random.default_rng(0).bytes(1 << 20)
    for dtype in ("", "F32", "I64"):
        assert block.encode(noise, dtype, noise[::-1]) == bytes((methods.VERSION, methods.STORED)) + noise


def test_rows_beyond_the_base_are_stored_by_themselves() -> None:
    pair = fine_tune("F32", 200_000)
    short = Pair("F32", pair.raw, pair.base[:400_002], "F32")
    made = encode(short)
    assert block.uses_base(made)
    assert bytes(block.decode(made, len(short.raw), short.base)) == short.raw
    assert len(encode(pair)) < len(made) < len(encode(Pair("F32", pair.raw, b"", "F32")))


def test_buffers_of_any_kind_serve() -> None:
    pair = fine_tune("F32", 50_000)
    shifted = memoryview(b"x" + pair.raw)[1:]
    base = bytearray(b"xyz" + pair.base)
    for kernel in (Kernel.OFF, Kernel.ON):
        made = block.encode(shifted, "F32", memoryview(base)[3:], kernel=kernel)
        assert made == encode(pair)
        assert (
            bytes(block.decode(memoryview(b"ab" + made)[2:], len(shifted), memoryview(base)[3:], kernel=kernel))
            == pair.raw
        )


def test_a_segment_over_the_limit_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="over"):
        block.encode(bytes(block.MAX_RAW + 1), "")
    with pytest.raises(CodecError, match="most"):
        block.decode(b"\1\0", block.MAX_RAW + 1)


def test_an_estimate_tells_a_good_base_from_a_bad_one() -> None:
    pair = fine_tune("F32", 400_000)
    good = block.estimate(pair.raw, "F32", pair.base)
    alone = block.estimate(pair.raw, "F32")
    assert good < 0.7 * alone
    assert block.estimate(pair.raw, "F32", fine_tune("F32", 400_000, seed=9).base) > 0.9 * alone
    assert abs(good - len(encode(pair))) < 0.1 * len(pair.raw)
