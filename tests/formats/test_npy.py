"""NumPy's files as numpy writes them, row- and column-major, of either byte order, stored and compressed."""

from __future__ import annotations

import io
import zipfile
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.formats.reading import NUMPY_TYPES, as_plain, fault_of, tensors_of, weights_of

Array = Any
ARRAYS = hnp.arrays(
    st.sampled_from(sorted(NUMPY_TYPES)), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
)


def saved(array: Array) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@settings(max_examples=60, deadline=None)
@given(ARRAYS, st.sampled_from("CF"), st.booleans())
def test_npy(array: Array, order: Literal["C", "F"], swap: bool) -> None:
    stored = np.asarray(array, order=order, dtype=array.dtype.newbyteorder(">" if swap else "<"))
    assert tensors_of(saved(stored)) == as_plain({"arr_0": array}, NUMPY_TYPES)


@settings(max_examples=30, deadline=None)
@given(st.lists(ARRAYS, min_size=1, max_size=3), st.booleans())
def test_npz(arrays: list[Array], compressed: bool) -> None:
    named: dict[str, Any] = {f"layer.{place}/weight": array for place, array in enumerate(arrays)}
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **named)
    assert tensors_of(out.getvalue()) == as_plain(named, NUMPY_TYPES)
    assert weights_of(out.getvalue()).format == "npz"


def test_a_large_compressed_member_is_streamed() -> None:
    array = np.arange(1_500_000, dtype=np.float32)
    out = io.BytesIO()
    np.savez_compressed(out, w=array)
    assert tensors_of(out.getvalue()) == as_plain({"w": array}, NUMPY_TYPES)
    assert not weights_of(out.getvalue()).tensors[0].plain


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.array([{}], dtype=object), "pickled Python objects"),
        (np.array(["text"]), "which is no number"),
        (np.zeros(2, dtype=[("a", "f4")]), "which is no number"),
    ],
)
def test_arrays_that_are_no_numbers(array: Array, fault: str) -> None:
    assert fault in fault_of(saved(array))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ((b"(3, 4)", b"(3, 5)"), "takes 120 bytes by shape, 96 are there"),
        ((b"(3, 4)", b"(-3,4)"), "negative dimension"),
        ((b"(3, 4)", b"(3.,4)"), "no tuple of numbers"),
        ((b"'shape'", b"'shade'"), "has not exactly"),
        ((b"{'descr'", b"((((((((("), "not readable"),
        ((b"\x93NUMPY\x01", b"\x93NUMPY\x09"), "version 9 is not read"),
        ((b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00"), "header has"),
    ],
)
def test_headers_that_lie(change: tuple[bytes, bytes], fault: str) -> None:
    data = saved(np.ones((3, 4)))
    assert change[0] in data
    assert fault in fault_of(data.replace(*change))


def test_members_that_lie() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", saved(np.zeros(500_000)))
    data = bytearray(out.getvalue())
    size = data.rfind(b"PK\1\2") + 24
    real = int.from_bytes(data[size : size + 4], "little")
    data[size : size + 4] = (real - 8).to_bytes(4, "little")
    assert "takes 4000000 bytes" in fault_of(bytes(data))
    data[size : size + 4] = real.to_bytes(4, "little")
    data[200:220] = b"\xff" * 20
    assert "damaged" in fault_of(bytes(data)) or "inflates" in fault_of(bytes(data))
    assert "zip directory" in fault_of(bytes(data[:-30]))
