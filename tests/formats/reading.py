"""Reading weight files out of memory, for tests."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import pytest

from hundredweight.formats import content, recognise
from hundredweight.formats.source import BytesSource, FormatError
from hundredweight.formats.tensors import WeightFile

Plain = dict[str, tuple[str, tuple[int, ...], bytes]]


def weights_of(data: bytes) -> WeightFile:
    return recognise.read(BytesSource(data))


def tensors_of(data: bytes) -> Plain:
    """Type, shape and canonical bytes of every tensor by name."""
    source = BytesSource(data)
    return {
        tensor.name: (tensor.dtype, tensor.shape, b"".join(content.chunks(source, tensor)))
        for tensor in recognise.read(source).tensors
    }


def fault_of(data: bytes) -> str:
    """What is said about a file that must be refused."""
    with pytest.raises(FormatError) as caught:
        tensors_of(data)
    return caught.value.what


def training_arguments(value: object, protocol: int = 2) -> bytes:
    """`training_args.bin` as torch.save makes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("training_args/data.pkl", pickle.dumps(value, protocol))
        archive.writestr("training_args/version", "3\n")
    return buffer.getvalue()


def as_plain(arrays: dict[str, Any], types: dict[str, str]) -> Plain:
    """NumPy arrays as `tensors_of` gives them; `types` maps numpy's names of types to ours."""
    return {
        name: (types[a.dtype.name], a.shape, a.astype(a.dtype.newbyteorder("<")).tobytes())
        for name, a in arrays.items()
    }


NUMPY_TYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float16": "F16", "float32": "F32", "float64": "F64",
    "complex64": "C64", "complex128": "C128",
}  # fmt: skip
