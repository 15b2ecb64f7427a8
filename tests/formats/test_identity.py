"""The weights id: the test vectors of docs/formats/weights-id.md, and what it does and does not depend on."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from hundredweight.formats import content, recognise
from hundredweight.formats.identity import TensorDigest, digest_tensor, weights_id
from hundredweight.formats.source import BytesSource

VECTORS = {
    "none": "w1-5c1fe622370a4359f936971f761435a88a186e11a268698c9e48e3ac63377368",
    "one": "w1-dba537ba6459f65ef75185dce1c458e3157020aa49b3be17addc79eca795a445",
    "two": "w1-b68520379312a93d6685c9b10c2f3c8cb22cc2ccc595f1d6c643588b03f44724",
}


def id_of(data: bytes) -> str:
    source = BytesSource(data)
    return weights_id(digest_tensor(t, content.chunks(source, t)) for t in recognise.read(source).tensors)


ONE: dict[str, Any] = {"w": np.array([1, 2], dtype=np.float32)}
TWO = ONE | {"b": np.array(7, dtype=np.int64)}


def test_vectors() -> None:
    assert {"none": weights_id([]), "one": id_of(save(ONE)), "two": id_of(save(TWO))} == VECTORS


def test_the_container_does_not_matter() -> None:
    stored, packed = io.BytesIO(), io.BytesIO()
    np.savez(stored, **TWO)
    backwards: dict[str, Any] = {name: np.asarray(a, order="F") for name, a in reversed(TWO.items())}
    np.savez_compressed(packed, **backwards)
    assert {id_of(stored.getvalue()), id_of(packed.getvalue())} == {VECTORS["two"]}


def test_header_order_and_metadata_do_not_matter() -> None:
    entry = {
        "b": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]},
        "__metadata__": {"a": "b"},
        "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }
    header = json.dumps(entry).encode()
    data = len(header).to_bytes(8, "little") + header + ONE["w"].tobytes() + TWO["b"].tobytes()
    assert id_of(data) == VECTORS["two"]


DIGESTS = st.builds(
    TensorDigest,
    st.text(st.characters(codec="utf-8"), max_size=3),
    st.sampled_from(["F32", "F3", "I64"]),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.binary(min_size=32, max_size=32),
)


@settings(deadline=None)
@given(
    st.lists(DIGESTS, unique_by=lambda d: d.name, max_size=4), st.lists(DIGESTS, unique_by=lambda d: d.name, max_size=4)
)
def test_equal_exactly_for_equal_tensors(one: list[TensorDigest], other: list[TensorDigest]) -> None:
    assert weights_id(one) == weights_id(reversed(one))
    assert (weights_id(one) == weights_id(other)) is (set(one) == set(other))
