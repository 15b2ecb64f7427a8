"""Recipes: what is written is read, and nothing else is."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base.ids import Oid
from hundredweight.codec import block
from hundredweight.formats.identity import TensorDigest, weights_id
from hundredweight.store import pack, recipe
from hundredweight.store.recipe import NOT_HASHED, NOT_PLAIN, Recipe, RecipeDamaged, Segment, TensorRow
from tests.store.weights import arrays, recipe_of, safetensors_of

GOLDEN = Path(__file__).parent / "golden" / "v1.recipe"
SAMPLE = Recipe(
    Oid("ab" * 32),
    1000,
    "safetensors",
    (Segment(b"\1" * 32, 488, ""), Segment(b"\2" * 32, 400, "F32"), Segment(b"\3" * 32, 112, "BF16")),
    (
        TensorRow("größe", "F32", (10, 10), 488, 400, b"\4" * 32),
        TensorRow("b", "BF16", (56,), 888, 112, b"\5" * 32),
        TensorRow("view", "F32", (2, 0, 3), NOT_PLAIN, 0, b"\6" * 32),
        TensorRow("other", "BF16", (), NOT_HASHED, 2, bytes(32)),
    ),
)


def sealed(body: bytes) -> bytes:
    return body + blake3(body).digest()


def test_golden_file() -> None:
    assert SAMPLE.encode() == GOLDEN.read_bytes()
    assert Recipe.decode(GOLDEN.read_bytes()) == SAMPLE


def test_bounds_agree_with_the_codec() -> None:
    assert recipe.MAX_SEGMENT == pack.MAX_RAW == block.MAX_RAW
    assert pack.MAX_RECIPE == recipe.MAX_ENCODED


segments = st.builds(
    Segment, st.binary(min_size=32, max_size=32), st.integers(1, 1 << 24), st.sampled_from(("", "F32", "Q4_K"))
)


@given(st.lists(segments, max_size=20))
def test_what_is_encoded_is_decoded(parts: list[Segment]) -> None:
    made = Recipe(Oid("0" * 64), sum(part.size for part in parts), "", tuple(parts))
    assert Recipe.decode(made.encode()) == made


def test_segments_of_a_range() -> None:
    assert SAMPLE.offsets() == [0, 488, 888, 1000]
    assert SAMPLE.locate(0, 1000) == range(3)
    assert SAMPLE.locate(487, 488) == range(1)
    assert SAMPLE.locate(487, 489) == range(2)
    assert SAMPLE.locate(888, 5000) == range(2, 3)
    for start, end in ((5, 5), (7, 3), (1000, 1001), (-1, 4)):
        assert not SAMPLE.locate(start, end)


def test_weights_id_is_that_of_the_tensors() -> None:
    known = replace(SAMPLE, tensors=SAMPLE.tensors[:3])
    assert known.weights_id() == weights_id(TensorDigest(r.name, r.dtype, r.shape, r.digest) for r in known.tensors)
    assert SAMPLE.weights_id() == "", "the digest of one is not known"
    assert replace(SAMPLE, tensors=()).weights_id() == ""


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_flipped_bits_are_noticed(place: int, bits: int) -> None:
    data = bytearray(SAMPLE.encode())
    data[place % len(data)] ^= bits
    with pytest.raises(RecipeDamaged):
        Recipe.decode(bytes(data))


@given(st.binary(max_size=200), st.integers(0, 500))
def test_sealed_nonsense_is_refused_or_read(noise: bytes, place: int) -> None:
    body = bytearray(SAMPLE.encode()[:-32])
    place %= len(body)
    body[place : place + len(noise)] = noise
    try:
        read = Recipe.decode(sealed(bytes(body)))
    except RecipeDamaged:
        return
    assert read.encode() == sealed(bytes(body))
    assert sum(part.size for part in read.segments) == read.size


@pytest.mark.parametrize("cut_at", range(0, 400, 37))
def test_truncated_is_refused(cut_at: int) -> None:
    with pytest.raises(RecipeDamaged):
        Recipe.decode(sealed(SAMPLE.encode()[:cut_at]))


ROW = SAMPLE.tensors[0]
BAD = {
    "sum of sizes": (replace(SAMPLE, size=999), "make up"),
    "empty segment": (replace(SAMPLE, segments=(*SAMPLE.segments, Segment(b"x" * 32, 0, ""))), "0 bytes"),
    "huge segment": (replace(SAMPLE, segments=(Segment(b"x" * 32, (16 << 20) + 1, ""),)), "segment of"),
    "unknown type": (replace(SAMPLE, tensors=(replace(ROW, dtype="F33"),)), "no known type"),
    "no type": (replace(SAMPLE, tensors=(replace(ROW, dtype=""),)), "not named"),
    "tensor outside": (replace(SAMPLE, tensors=(replace(ROW, start=700),)), "within"),
    "negative start": (replace(SAMPLE, tensors=(replace(ROW, start=-3),)), "within"),
    "length by shape": (replace(SAMPLE, tensors=(replace(ROW, length=396),)), "by its shape"),
    "impossible shape": (replace(SAMPLE, tensors=(replace(ROW, shape=(1 << 40, 1 << 40)),)), "impossible"),
    "twice": (replace(SAMPLE, tensors=(ROW, ROW)), "two tensors"),
    "digest of the unhashed": (replace(SAMPLE, tensors=(replace(ROW, start=NOT_HASHED),)), "digest"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_hold_together_is_refused(case: str) -> None:
    bad, words = BAD[case]
    with pytest.raises(RecipeDamaged, match=words):
        Recipe.decode(bad.encode())


def test_counts_are_bounded_before_anything_is_made() -> None:
    """A header that promises millions costs nothing."""
    body = bytearray(SAMPLE.encode()[:-32])
    tracemalloc.start()
    for place in (48, 52):
        lying = bytearray(body)
        lying[place : place + 4] = b"\xff\xff\xff\xff"
        with pytest.raises(RecipeDamaged):
            Recipe.decode(sealed(bytes(lying)))
        lying[place : place + 4] = (1 << 18).to_bytes(4, "little")
        with pytest.raises(RecipeDamaged):
            Recipe.decode(sealed(bytes(lying)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    with pytest.raises(RecipeDamaged):
        Recipe.decode(bytes(recipe.MAX_ENCODED + 1))


def test_too_much_is_not_encoded() -> None:
    with pytest.raises(RecipeDamaged, match="too long"):
        replace(SAMPLE, tensors=(replace(ROW, name="n" * 70_000),)).encode()
    many = replace(SAMPLE, segments=(Segment(b"x" * 32, 1, ""),) * (recipe.MAX_SEGMENTS + 1))
    with pytest.raises(RecipeDamaged, match="too many"):
        many.encode()


def test_a_real_file() -> None:
    made = recipe_of(safetensors_of(arrays()))
    assert Recipe.decode(made.encode()) == made
    assert made.weights_id().startswith("w1-")
