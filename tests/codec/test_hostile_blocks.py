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


def outcomes(made: bytes, size: int, base: bytes | None) -> list[bytes | None]:
    """What numpy and the kernel make of a block: its content, or None where they refuse it."""
    found: list[bytes | None] = []
    for kernel in (Kernel.OFF, Kernel.ON):
        try:
            found.append(bytes(block.decode(made, size, base, kernel=kernel)))
        except CodecError:
            found.append(None)
    return found


@quick
@given(which=st.integers(0, len(BLOCKS) - 1), at=st.integers(0, 1 << 20), bit=st.integers(0, 7), early=st.booleans())
def test_a_flipped_bit_gives_an_error_or_some_bytes(which: int, at: int, bit: int, early: bool) -> None:
    made, pair = BLOCKS[which]
    damaged = bytearray(made)
    damaged[at % min(len(made), 120 if early else len(made))] ^= 1 << bit
    by_numpy, by_kernel = outcomes(bytes(damaged), len(pair.raw), pair.base)
    assert by_numpy == by_kernel
    assert by_numpy is None or len(by_numpy) == len(pair.raw)


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
    by_numpy, by_kernel = outcomes(bytes((methods.VERSION, method)) + body, size, base)
    assert by_numpy == by_kernel
    assert by_numpy is None or len(by_numpy) == size


@quick
@given(which=st.integers(0, len(BLOCKS) - 1), size=st.integers(0, block.MAX_RAW), length=st.integers(0, 100_000))
def test_a_false_size_or_base_gives_an_error_or_some_bytes(which: int, size: int, length: int) -> None:
    made, pair = BLOCKS[which]
    wanted = size % (2 * len(pair.raw))
    by_numpy, by_kernel = outcomes(made, wanted, pair.base[:length])
    assert by_numpy == by_kernel
    assert by_numpy is None or len(by_numpy) == wanted


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
    outer = block.encode(pair.raw + b"abc", "F32")
    inner = bytes((methods.VERSION, methods.STORED)) + b"abc"
    assert outer.endswith(inner)
    nested = outer[: -len(inner)] + bytes((methods.VERSION, methods.DELTA, 0, 0, 0))
    with pytest.raises(CodecError, match="within"):
        block.decode(nested, len(pair.raw) + 3, b"abc")


F32, BF16 = 6, 5
CONSTANT, RAW, ZSTD = 1, 2, 3
LIES = {
    "kind": (methods.DELTA, (99,)),
    "without exponents": (methods.FLOATS, (2, 0)),
    "impossible conversion": (methods.DELTA, (F32, 1)),
    "unknown flags": (methods.DELTA, (F32, 0, 8)),
    "end in 32 zeros": (methods.DELTA, (F32, 0, 4, 32)),
    "type that has none": (methods.DELTA, (BF16, 0, 1)),
    r"groups of 2\*\*17": (methods.DELTA, (F32, 0, 2, 17)),
    "255 classes": (methods.DELTA, (F32, 0, 2, 2, 255)),
    "class that it does not have": (methods.DELTA, (F32, 0, 2, 2, 1, CONSTANT, 2)),
    "65 contexts": (methods.DELTA, (F32, 0, 0, 65, 0, 0)),
    "exponents 9 to 3": (methods.DELTA, (F32, 0, 0, 1, 9, 3)),
    "context that it does not have": (methods.DELTA, (F32, 0, 0, 1, 0, 0, CONSTANT, 1)),
    "below their lowest bit": (methods.DELTA, (F32, 0, 0, 1, 0, 0, CONSTANT, 0, 8, CONSTANT, 0)),
    "unknown kind 80": (methods.DELTA, (F32, 0, 0, 1, 0, 0, CONSTANT, 0, 0x50)),
    "past its end": (methods.DELTA, (F32, 0, 0, 1, 0, 0, CONSTANT, 0, 0x40, 1, 0, CONSTANT, 250, CONSTANT, 0)),
    "says 200": (methods.DELTA, (F32, 0, 0, 1, 0, 0, CONSTANT, 0, 0x40, 200, 1)),
    "too long": (methods.DELTA, (F32, 0, 0, 1, 0, 0, CONSTANT, 0, 0x40, *(128,) * 6)),
    "run in a block is of unknown kind": (methods.DELTA, (F32, 0, 0, 1, 0, 0, 7)),
    "does not decompress": (methods.DELTA, (F32, 0, 0, 1, 0, 0, ZSTD, 1, 0)),
    "ends too early": (methods.DELTA, (F32, 0, 0, 1, 0, 0, CONSTANT, 0, 0, RAW, 1)),
    "unknown method": (9, (F32,)),
    "longer than it": (methods.FLOATS, (7,)),
}


@pytest.mark.parametrize("complaint", LIES)
def test_each_lie_is_named(complaint: str) -> None:
    method, body = LIES[complaint]
    size = 7 if complaint == "longer than it" else 400
    with pytest.raises(CodecError, match=complaint):
        block.decode(bytes((methods.VERSION, method, *body)), size, bytes(400), kernel=Kernel.OFF)


def test_a_delta_of_nothing_gives_the_base() -> None:
    base = np.arange(100, dtype=np.float32).tobytes()
    made = bytes((methods.VERSION, methods.DELTA, F32, 0, 2, 2, 0, CONSTANT, 0, 1, 0, 0, 0))
    for kernel in (Kernel.OFF, Kernel.ON):
        assert bytes(block.decode(made, 400, base, kernel=kernel)) == base


@pytest.mark.full
@pytest.mark.timeout(900)
def test_many_damaged_blocks_give_an_error_or_some_bytes() -> None:
    random = np.random.default_rng(20)
    refused = 0
    for _ in range(40_000):
        made, pair = BLOCKS[int(random.integers(len(BLOCKS)))]
        damaged = bytearray(made)
        reach = len(made) if random.random() < 0.5 else min(len(made), 300)
        for at in random.integers(0, reach, random.integers(1, 5)).tolist():
            damaged[at] = int(random.integers(256))
        try:
            assert len(block.decode(bytes(damaged), len(pair.raw), pair.base, kernel=Kernel.ON)) == len(pair.raw)
        except CodecError:
            refused += 1
    print(f"40000 damaged blocks: {refused} refused, the others gave as many bytes as promised")
    assert refused > 1000
