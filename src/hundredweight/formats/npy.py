"""NumPy's arrays: `.npy` (one array) and `.npz` (a zip file of them). Pickled object arrays are refused."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING

from hundredweight.formats import zipdir
from hundredweight.formats.source import BytesSource, FormatError, Source, Window, decode_text
from hundredweight.formats.tensors import (
    Deflated,
    Tensor,
    WeightFile,
    byte_count,
    check_shape,
    check_tensors,
    element_count,
    shorten,
)

if TYPE_CHECKING:
    from hundredweight.formats.zipdir import Member

NAME = "npy"
NAME_NPZ = "npz"
MAGIC = b"\x93NUMPY"
MAX_HEADER = 1 << 16
ALONE = "arr_0"
"""The name of a `.npy` file's array, as `numpy.savez` calls one without a name."""
TYPES = {
    "b1": "BOOL", "u1": "U8", "i1": "I8", "u2": "U16", "i2": "I16", "u4": "U32", "i4": "I32", "u8": "U64", "i8": "I64",
    "f2": "F16", "f4": "F32", "f8": "F64", "c8": "C64", "c16": "C128",
}  # fmt: skip
"""Our names of NumPy's types, which it writes after a mark of their byte order."""


def matches(source: Source) -> bool:
    return source.size >= len(MAGIC) and source.read(0, len(MAGIC)) == MAGIC


def is_npz(members: dict[str, Member]) -> bool:
    return bool(members) and all(name.endswith(".npy") for name in members)


def read(source: Source) -> WeightFile:
    """Only the header is read. Raises `FormatError`."""
    header, start, version = _header(source, source.size, 0)
    tensor = _tensor(ALONE, header, start, source.size, None)
    return WeightFile(NAME, (tensor,), {"npy.version": version})


def read_npz(source: Source) -> WeightFile:
    """The zip directory and each array's header are read. Raises `FormatError`."""
    window = Window(source)
    members = zipdir.members(window)
    if not is_npz(members):
        raise FormatError("no npz file: members are no arrays")
    return WeightFile(NAME_NPZ, check_tensors(_member(window, member) for member in members.values()))


def _member(window: Window, member: Member) -> Tensor:
    name = member.name.removesuffix(".npy")
    if member.method == zipdir.STORED:
        header, start, _ = _header(window, member.start + member.size, member.start)
        return _tensor(name, header, start, member.start + member.size, None)
    head = b""
    for piece in zipdir.inflate(window, member.start, member.packed, member.size):
        head += piece
        if len(head) >= MAX_HEADER + 12:
            break
    header, skip, _ = _header(BytesSource(head), min(len(head), member.size), 0)
    return _tensor(name, header, skip, member.size, member)


def _header(source: Source, end: int, at: int) -> tuple[dict[str, object], int, str]:
    """The header at `at`, where its data begin, and the format's version."""
    if end - at < 10 or source.read(at, 6) != MAGIC:
        raise FormatError("an array without NumPy's magic", at)
    major, minor = source.read(at + 6, 2)
    width = 2 if major == 1 else 4
    if major not in (1, 2, 3) or end - at < 8 + width:
        raise FormatError(f"npy version {major} is not read", at)
    length = int.from_bytes(source.read(at + 8, width), "little")
    start = at + 8 + width
    if length > MAX_HEADER or start + length > end:
        raise FormatError(f"an array's header has {length} bytes", at)
    data = source.read(start, length)
    text = decode_text(data, start) if major == 3 else data.decode("latin-1")
    try:
        with warnings.catch_warnings():
            # Odd escapes in a text make Python warn its own programmer, who did not write this one.
            warnings.simplefilter("ignore")
            header = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise FormatError("an array's header is not readable", start) from error
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise FormatError("an array's header has not exactly descr, fortran_order and shape", start)
    return header, start + length, f"{major}.{minor}"


def _tensor(name: str, header: dict[str, object], start: int, end: int, member: Member | None) -> Tensor:
    """`[start, end)` is what is left for the data: of the file, or of the inflated `member`."""
    label = shorten(name)
    descr, shape = header["descr"], header["shape"]
    if isinstance(descr, str) and descr.endswith("O"):
        raise FormatError(f"array '{label}' holds pickled Python objects, which are never loaded", start)
    if not isinstance(descr, str) or descr[1:] not in TYPES or descr[0] not in "<>|=":
        raise FormatError(f"array '{label}' has type '{shorten(str(descr), 60)}', which is no number", start)
    if not isinstance(shape, tuple) or not all(type(extent) is int for extent in shape):
        raise FormatError(f"array '{label}' has a shape that is no tuple of numbers", start)
    check_shape(shape, name, start)
    dtype = TYPES[descr[1:]]
    size = byte_count(dtype, shape)
    if start + size != end:
        raise FormatError(f"array '{label}' takes {size} bytes by shape, {end - start} are there", start)
    strides = None
    if header["fortran_order"] is True and sum(extent > 1 for extent in shape) > 1 and element_count(shape):
        strides = _column_major(shape)
    swapped = descr[0] == ">" and descr[2:] != "1"
    if member is None:
        return Tensor(name, dtype, shape, start, end, None, strides, swapped)
    deflated = Deflated(member.start, member.packed, member.size, start)
    return Tensor(name, dtype, shape, member.start, member.start + member.packed, deflated, strides, swapped)


def _column_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for extent in shape:
        strides.append(step)
        step *= extent
    return tuple(strides)
