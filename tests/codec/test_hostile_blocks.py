"""Blocks that are damaged or made to deceive: `CodecError` and nothing else, in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hundredweight.codec import block, methods
from hundredweight.codec.block import Profile
from hundredweight.codec.errors import CodecError
from hundredweight.codec.kernel import Kernel
from tests.codec.material import Pair, fine_tune

quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def blocks() -> list[tuple[bytes, Pair]]:
    """One of every method and kind."""
    made = []
    for dtype in ("F32", "BF16", "F64", "I64", "U8"):
        pair = fine_tune(dtype, 9000)
        made.append((block.encode(pair.raw, dtype, pair.base), pair))
        made.append((block.encode(pair.raw, dtype, pair.base, profile=Profile.FAST), pair))
        made.append((block.encode(pair.raw + b"abc", dtype), Pair(dtype, pair.raw + b"abc", b"", dtype)))
        made.append(
            (block.encode(pair.raw, dtype, pair.base[: len(pair.base) // 2]), Pair(dtype, pair.raw, pair.base, dtype))
        )
    return made


BLOCKS = blocks()


def try_to_decode(made: bytes, size: int, base: bytes | None) -> None:
    for kernel in (Kernel.OFF, Kernel.ON):
        try:
            content = block.decode(made, size, base, kernel=kernel)
        except CodecError:
            continue
        assert len(content) == size


@quick
@given(which=st.integers(0, len(BLOCKS) - 1), at=st.integers(0, 1 << 20), bit=st.integers(0, 7), early=st.booleans())
def test_a_flipped_bit_gives_an_error_or_some_bytes(which: int, at: int, bit: int, early: bool) -> None:
    made, pair = BLOCKS[which]
    damaged = bytearray(made)
    damaged[at % min(len(made), 120 if early else len(made))] ^= 1 << bit
    try_to_decode(bytes(damaged), len(pair.raw), pair.base)


@quick
@given(which=st.integers(0, len(BLOCKS) - 1), length=st.integers(0, 1 << 20))
def test_a_truncated_block_is_refused(which: int, length: int) -> None:
    made, pair = BLOCKS[which]
    with pytest.raises(CodecError):
        block.decode(made[: length % len(made)], len(pair.raw), pair.base, kernel=Kernel.OFF)


@quick
@given(which=st.integers(0, len(BLOCKS) - 1), extra=st.binary(min_size=1, max_size=9))
def test_trailing_bytes_are_refused(which: int, extra: bytes) -> None:
    made, pair = BLOCKS[which]
    with pytest.raises(CodecError):
        block.decode(made + extra, len(pair.raw), pair.base, kernel=Kernel.OFF)


@quick
@given(
    method=st.integers(0, 6),
    body=st.binary(max_size=200),
    size=st.integers(0, 70_000),
    base=st.none() | st.binary(max_size=600),
)
@example(method=methods.DELTA, body=bytes((6, 0, 0, 1, 5, 2)), size=0, base=b"")
def test_any_bytes_as_a_block_give_an_error_or_some_bytes(
    method: int, body: bytes, size: int, base: bytes | None
) -> None:
    try_to_decode(bytes((methods.VERSION, method)) + body, size, base)


@quick
@given(which=st.integers(0, len(BLOCKS) - 1), size=st.integers(0, block.MAX_RAW), length=st.integers(0, 100_000))
def test_a_false_size_or_base_gives_an_error_or_some_bytes(which: int, size: int, length: int) -> None:
    made, pair = BLOCKS[which]
    try_to_decode(made, size % (2 * len(pair.raw)), pair.base[:length])


def test_a_delta_without_its_base_is_refused() -> None:
    made, pair = BLOCKS[0]
    assert block.uses_base(made)
    with pytest.raises(CodecError, match="without its base"):
        block.decode(made, len(pair.raw))


def test_a_bomb_takes_no_more_memory_than_the_size_that_was_asked_for() -> None:
    bomb = block.encode(bytes(block.MAX_RAW), "", profile=Profile.DEFAULT)
    assert len(bomb) < 2000
    tracemalloc.start()
    with pytest.raises(CodecError):
        block.decode(bomb, 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_blocks_within_blocks_end_at_one() -> None:
    """A rest is a block of its own, which no delta may be: the depth of decoding cannot be the sender's choice."""
    pair = fine_tune("F32", 1000)
    head = bytes((methods.VERSION, methods.FLOATS, 6, 0, 0))
    nested = block.encode(pair.raw, "F32", pair.base)
    with pytest.raises(CodecError):
        block.decode(head + nested, 3 + len(pair.raw), np.zeros(1000, np.float32).tobytes())
