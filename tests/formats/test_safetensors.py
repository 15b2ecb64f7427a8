"""safetensors: the official writer's files come back; headers that lie are refused and said why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from hundredweight.formats.safetensors import parse_index
from hundredweight.formats.source import FormatError
from tests.formats.reading import NUMPY_TYPES, as_plain, fault_of, tensors_of, weights_of

Array = Any
TYPES = [name for name in NUMPY_TYPES if name not in ("complex64", "complex128")]
ARRAYS = hnp.arrays(st.sampled_from(TYPES), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
NAMES = st.text(st.characters(codec="utf-8"), max_size=12).filter(lambda name: name != "__metadata__")


def file_of(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def one(**changes: object) -> dict[str, object]:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, ARRAYS, max_size=5), st.dictionaries(NAMES, NAMES, max_size=3))
def test_what_the_official_library_wrote(arrays: dict[str, Array], metadata: dict[str, str]) -> None:
    data = save(arrays, metadata or None)
    assert tensors_of(data) == as_plain(arrays, NUMPY_TYPES)
    found = weights_of(data)
    assert (found.format, found.metadata) == ("safetensors", metadata)


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [("F8_E4M3", [3], 3), ("BF16", [2, 1], 4), ("F4", [4], 2), ("F6_E2M3", [4], 3), ("C64", [], 8)],
)
def test_types_that_numpy_lacks(dtype: str, shape: list[int], size: int) -> None:
    data = file_of({"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}, b"\x81" * size)
    assert tensors_of(data) == {"w": (dtype, tuple(shape), b"\x81" * size)}


DEEP = b'{"w":' + b'{"a":' * 5000 + b"1" + b"}" * 5001


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (file_of(one(), bytes(8))[:-1], "the file has"),
        (file_of(one(), bytes(9)), "1 bytes follow the last tensor"),
        (file_of(one())[:20], "the header has"),
        ((90_000_000).to_bytes(8, "little") + b"{}" + bytes(100), "the header has 90000000 bytes"),
        (file_of(one(shape=[3]), bytes(8)), "takes 12 bytes by shape"),
        (file_of(one(shape=[-2]), bytes(8)), "no lists of whole numbers"),
        (file_of(one(shape=[True]), bytes(8)), "no lists of whole numbers"),
        (file_of(one(shape=[1 << 62, 1 << 62]), bytes(8)), "impossible shape"),
        (file_of(one(shape=[1] * 65), bytes(8)), "65 dimensions"),
        (file_of(one(dtype="F31"), bytes(8)), "unknown type 'F31'"),
        (file_of(one(dtype="F4", shape=[3], data_offsets=[0, 2]), bytes(2)), "does not fill its last byte"),
        (file_of(one(data_offsets=[8, 0]), bytes(8)), "takes 8 bytes by shape"),
        (file_of(one(data_offsets=[8, 16]), bytes(16)), "leaves a hole"),
        (file_of({**one(), "v": one()["w"]}, bytes(8)), "overlaps"),
        (file_of(one(extra=1), bytes(8)), "has not exactly"),
        (file_of(b'{"w":{},"w":{}}'), "'w' stands twice"),
        (file_of(b'{"a":NaN}'), "'NaN' is not JSON"),
        (file_of(b'{"a":'), "malformed JSON"),
        (file_of(b'{"\xff":1}'), "not UTF-8"),
        (file_of(b'{"a":' + b"9" * 5000 + b"}"), "unreadable JSON"),
        (file_of(DEEP), "unreadable JSON"),
        (file_of({"__metadata__": {"a": 1}}), "not a map of texts"),
        (file_of(b'{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'), "no valid text"),
        (file_of(b"{" * 2_000_000), "too many parts"),
    ],
)
def test_headers_that_lie(data: bytes, fault: str) -> None:
    assert fault in fault_of(data)


def test_an_index_of_shards() -> None:
    index = parse_index(json.dumps({"metadata": {"total_size": 8}, "weight_map": {"a": "2.st", "b": "1.st"}}).encode())
    assert index is not None
    assert (index.files, index.metadata) == (("1.st", "2.st"), {"total_size": 8})
    assert parse_index(b'{"other": 1}') is None


@pytest.mark.parametrize("file", ["../x", "/x", "a/b", "..", "", "a\\b", "c:x", "a\x1b", "\ud800"])
def test_shards_lie_beside_their_index(file: str) -> None:
    with pytest.raises(FormatError, match="not a file beside the index"):
        parse_index(json.dumps({"weight_map": {"a": file}}).encode())
