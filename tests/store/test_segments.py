"""Cutting: segments cover the bytes, tensors begin where segments begin, nothing makes it fail."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hundredweight.formats import content, recognise
from hundredweight.formats.identity import digest_tensor, weights_id
from hundredweight.formats.source import BytesSource
from hundredweight.formats.tensors import Tensor, WeightFile
from hundredweight.store.recipe import NOT_HASHED, NOT_PLAIN, Recipe
from hundredweight.store.segments import cut, segment_bytes
from tests.store.weights import arrays, oid_of, recipe_of, safetensors_of

CHECKPOINTS = Path(__file__).parents[1] / "formats" / "golden"


def check(data: bytes, made: Recipe) -> None:
    """Every segment is what its id says, together they are the object, every plain tensor's digest is right."""
    place = 0
    for segment in made.segments:
        assert segment.id == blake3(data[place : place + segment.size]).digest()
        place += segment.size
    assert place == made.size == len(data)
    for row in made.tensors:
        if row.start >= 0:
            assert row.digest == blake3(data[row.start : row.start + row.length]).digest()
    assert Recipe.decode(made.encode()) == made


def check_weights(data: bytes, made: Recipe) -> None:
    """That, and the weights id is the one that the formats give."""
    check(data, made)
    source = BytesSource(data)
    weights = recognise.read(source)
    assert made.format == weights.format
    assert made.weights_id() == weights_id(digest_tensor(t, content.chunks(source, t)) for t in weights.tensors)


def test_safetensors() -> None:
    data = safetensors_of(arrays())
    made = recipe_of(data)
    check_weights(data, made)
    assert [segment.dtype for segment in made.segments] == ["", "F32", "F32"]
    assert made.segments[1].size == 300 * 384 * 4
    assert all(row.start >= 0 for row in made.tensors)


def test_large_tensors_are_cut_from_their_start() -> None:
    data = safetensors_of({"a": np.arange(2_500_000, dtype=np.float32), "b": np.arange(70_000, dtype=np.int64)})
    made = recipe_of(data)
    check_weights(data, made)
    whole = 4 << 20
    sizes = [segment.size for segment in made.segments if segment.dtype == "F32"]
    assert sizes == [whole, whole, 10_000_000 - 2 * whole]
    assert [segment.size for segment in made.segments if segment.dtype == "I64"] == [560_000]


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("F32", 4 << 20), ("BF16", 2 << 20), ("F4", 1 << 19), ("F64", 8 << 20), ("C128", 8 << 20), ("U8", 1 << 20)],
)
def test_bytes_of_a_segment(dtype: str, size: int) -> None:
    assert segment_bytes(dtype) == size
    assert segment_bytes("Q6_K") == (4 << 20) // 210 * 210


def test_small_tensors_of_one_type_share_a_segment() -> None:
    few = {f"t{number:04}": np.full(1000, number, np.float32) for number in range(2000)}
    few["u"] = np.ones(10, np.int32)
    made = recipe_of(safetensors_of(few))
    sizes = [segment.size for segment in made.segments if segment.dtype == "F32"]
    assert len(sizes) == 2
    assert sizes[0] == (4 << 20) // 4000 * 4000
    assert made.segments[-1].dtype in {"F32", "I32"}
    check_weights(safetensors_of(few), made)


@pytest.mark.parametrize("name", ["types", "lightning", "scripted", "protocol4"])
def test_pytorch(name: str) -> None:
    data = (CHECKPOINTS / f"{name}.pt").read_bytes()
    made = recipe_of(data)
    check_weights(data, made)
    assert any(segment.dtype for segment in made.segments)


def test_npz_stored_and_deflated() -> None:
    tensors = {"a": np.arange(100_000, dtype=np.float32), "b": np.asfortranarray(np.arange(600.0).reshape(20, 30))}
    for save in (np.savez, np.savez_compressed):
        out = io.BytesIO()
        save(out, a=tensors["a"], b=tensors["b"])
        made = recipe_of(out.getvalue())
        check_weights(out.getvalue(), made)
        starts = {row.name: row.start for row in made.tensors}
        assert starts["b"] == NOT_PLAIN
        assert (starts["a"] >= 0) == (save is np.savez)


def test_members_that_cost_too_much_are_not_hashed() -> None:
    """A deflated member of a thousand times its size is stored as bytes; only the digest is given up."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        head = np.lib.format.magic(1, 0)
        text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }" % (1 << 25)
        text += b" " * (117 - len(text)) + b"\n"
        with archive.open("a.npy", "w") as member:
            member.write(head + struct.pack("<H", len(text)) + text)
            for _ in range(128):
                member.write(bytes(1 << 20))
    made = recipe_of(out.getvalue())
    assert [row.start for row in made.tensors] == [NOT_HASHED]
    assert made.weights_id() == ""
    check(out.getvalue(), made)


def test_onnx_with_its_data_elsewhere() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "w.bin"), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    graph = helper.make_graph([], "g", [], [], [tensor, helper.make_tensor("v", TensorProto.FLOAT, [2], [1.0, 2.0])])
    data = bytes(helper.make_model(graph).SerializeToString())
    made = recipe_of(data)
    check(data, made)
    assert made.format == "onnx"
    assert {row.name: row.start for row in made.tensors}["w"] == NOT_HASHED


def test_not_weights() -> None:
    data = np.random.default_rng(3).bytes(3 << 20)
    made = recipe_of(data)
    check(data, made)
    assert made.format == ""
    assert 3 < len(made.segments) < 30
    inserted = recipe_of(data[:1000] + b"inserted" + data[1000:])
    shared = {segment.id for segment in made.segments} & {segment.id for segment in inserted.segments}
    assert len(shared) >= len(made.segments) - 2


def test_the_cuts_are_the_same_everywhere() -> None:
    """Another version of the chunker, another machine: dedup depends on these very sizes."""
    data = b"".join(blake3(number.to_bytes(4, "little")).digest(32768) for number in range(64))
    assert [segment.size for segment in recipe_of(data).segments] == CUTS


CUTS = [327939, 673674, 685615, 409924]


class InPieces(BytesSource):
    """A source that notes how much is asked of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.asked = 0

    def read(self, offset: int, length: int) -> bytes:
        self.asked += length
        assert 0 <= offset <= offset + length <= self.size
        return super().read(offset, length)


def test_one_pass_at_flat_memory() -> None:
    data = safetensors_of({"a": np.zeros(4_000_000, np.float32), "b": np.ones(4_000_000, np.float32)})
    source = InPieces(data)
    oid = oid_of(data)
    tracemalloc.start()
    cut(source, oid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20
    assert source.asked < len(data) + 4096


def test_damaged_weights_are_plain_bytes() -> None:
    data = safetensors_of(arrays(rows=400))
    for broken in (data[:-5], data + b"trailing", data[:2000] + data[2001:], b"\xff" * 8 + data[8:], data[:40]):
        made = recipe_of(broken)
        check(broken, made)
        assert (made.format, made.tensors) == ("", ())
    check(b"", recipe_of(b""))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(("types.pt", "lightning.pt", "types.safetensors")),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=6),
)
def test_any_damage(name: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray((CHECKPOINTS / name).read_bytes())
    for place, value in flips:
        data[-1 - place % min(len(data), 3000) if place % 2 else place % len(data)] = value
    check(bytes(data), recipe_of(bytes(data)))


def test_tied_and_overlapping_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two names for one range, and a range within another: cut once, hashed right."""
    data = bytes(range(256)) * 40
    rows = (
        Tensor("a", "F32", (100,), 1000, 1400),
        Tensor("tied", "F32", (10, 10), 1000, 1400),
        Tensor("inside", "F32", (10,), 1100, 1140),
        Tensor("across", "F16", (100,), 1390, 1590),
        Tensor("empty", "F16", (0, 4), 9000, 9000),
        Tensor("odd", "F32", (3,), 2001, 2013),
    )
    found = WeightFile("safetensors", rows)
    made_of = recognise.Format("safetensors", lambda _again: found)
    monkeypatch.setattr(recognise, "recognise", lambda _source: made_of)
    made = recipe_of(data)
    check(data, made)
    assert [row.name for row in made.tensors] == [row.name for row in rows]
    assert all(row.start >= 0 for row in made.tensors)
    assert [segment.size for segment in made.segments if segment.dtype == "F32"] == [400, 12]
