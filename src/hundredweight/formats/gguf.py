"""GGUF, versions 2 and 3: typed metadata, a table of tensors, aligned data. Dimensions stand innermost first in the file."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hundredweight.formats.source import MAX_NAME, MAX_TENSORS, Cursor, FormatError, Source, Window, decode_text
from hundredweight.formats.tensors import (
    ArrayHead,
    Tensor,
    WeightFile,
    byte_count,
    check_shape,
    check_tensors,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "gguf"
MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_KEYS = 1 << 16
MAX_TEXT = 1 << 24
MAX_ITEMS = 1 << 24
"""Items of all arrays that must be walked one by one (texts, arrays of arrays)."""
MAX_DEPTH = 4
MAX_ALIGNMENT = 1 << 20
HEAD = 8
"""Items of an array that metadata keeps."""
DEFAULT_ALIGNMENT = 32

TEXT, ARRAY, BOOL = 8, 9, 7
_NUMBERS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", BOOL: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
    21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M",
    30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0",
}  # fmt: skip


def matches(source: Source) -> bool:
    return source.size >= 4 and source.read(0, 4) == MAGIC


def read(source: Source) -> WeightFile:
    """Metadata and the tensor table are read. Raises `FormatError`."""
    window = Window(source)
    cursor = Cursor(window, 4, source.size)
    version = cursor.unsigned(4)
    if version not in VERSIONS:
        if int.from_bytes(version.to_bytes(4, "big"), "little") in VERSIONS:
            raise FormatError("a big-endian GGUF file is not read", 4)
        raise FormatError(f"GGUF version {version} is not read, only 2 and 3", 4)
    tensor_count = _bounded(cursor, cursor.unsigned(8), MAX_TENSORS, "tensors", 24)
    key_count = _bounded(cursor, cursor.unsigned(8), MAX_KEYS, "metadata keys", 13)
    metadata: dict[str, object] = {"gguf.version": version}
    walker = _Values(cursor)
    for _ in range(key_count):
        at = cursor.offset
        key = _text(cursor, MAX_NAME)
        if key in metadata:
            raise FormatError(f"metadata key '{shorten(key)}' stands twice", at)
        metadata[key] = walker.value(cursor.unsigned(4), 0)
    entries = [_entry(cursor) for _ in range(tensor_count)]
    alignment = _alignment(metadata)
    base = -(-cursor.offset // alignment) * alignment
    tensors = check_tensors(_place(entry, base, alignment) for entry in entries)
    _check_ranges(tensors, source.size)
    return WeightFile(NAME, tensors, metadata)


def _bounded(cursor: Cursor, count: int, limit: int, what: str, least: int) -> int:
    if count > limit or count * least > cursor.end:
        raise FormatError(f"{count} {what} are more than a file of {cursor.end} bytes can have", cursor.offset - 8)
    return count


def _text(cursor: Cursor, limit: int) -> str:
    at = cursor.offset
    length = cursor.unsigned(8)
    if length > limit:
        raise FormatError(f"a text of {length} bytes, at most {limit} are read", at)
    return decode_text(cursor.take(length), at)


class _Values:
    """Reads metadata values; counts what it walks, so that nested arrays cannot keep it busy for ever."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._walked = 0

    def value(self, kind: int, depth: int) -> object:
        if kind == TEXT:
            return _text(self._cursor, MAX_TEXT)
        if kind == ARRAY:
            return self._array(depth)
        if kind == BOOL:
            return self._cursor.unsigned(1) != 0
        layout = _NUMBERS.get(kind)
        if layout is None:
            raise FormatError(f"unknown metadata type {kind}", self._cursor.offset - 4)
        return struct.unpack(layout, self._cursor.take(struct.calcsize(layout)))[0]

    def _array(self, depth: int) -> object:
        cursor = self._cursor
        at = cursor.offset
        if depth >= MAX_DEPTH:
            raise FormatError(f"arrays nested more than {MAX_DEPTH} deep", at)
        kind, length = cursor.unsigned(4), cursor.unsigned(8)
        kept = min(length, HEAD)
        if kind in _NUMBERS:
            width = struct.calcsize(_NUMBERS[kind])
            if length * width > cursor.end - cursor.offset:
                raise FormatError(f"an array of {length} items reaches beyond the end of the file", at)
            first = tuple(self.value(kind, depth + 1) for _ in range(kept))
            cursor.skip((length - kept) * width)
        else:
            self._walked += length
            if self._walked > MAX_ITEMS:
                raise FormatError(f"metadata arrays of more than {MAX_ITEMS} items", at)
            first = tuple(self.value(kind, depth + 1) for _ in range(kept))
            self._walk(kind, length - kept, depth + 1)
        return list(first) if length == kept else ArrayHead(length, first)

    def _walk(self, kind: int, count: int, depth: int) -> None:
        skip: Callable[[], object] = self._skip_text if kind == TEXT else lambda: self.value(kind, depth)
        for _ in range(count):
            skip()

    def _skip_text(self) -> None:
        self._cursor.skip(self._cursor.unsigned(8))


def _entry(cursor: Cursor) -> tuple[int, str, str, tuple[int, ...], int]:
    at = cursor.offset
    name = _text(cursor, MAX_NAME)
    dimensions = cursor.unsigned(4)
    if dimensions > 64:
        raise FormatError(f"tensor '{shorten(name)}' has {dimensions} dimensions", at)
    shape = tuple(cursor.unsigned(8) for _ in range(dimensions))[::-1]
    check_shape(shape, name, at)
    kind = cursor.unsigned(4)
    if kind not in _TYPES:
        raise FormatError(f"tensor '{shorten(name)}' has an unknown type {kind}", cursor.offset - 4)
    return at, name, _TYPES[kind], shape, cursor.unsigned(8)


def _alignment(metadata: dict[str, object]) -> int:
    found = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(found) is not int or not 0 < found <= MAX_ALIGNMENT:
        raise FormatError(f"general.alignment is '{shorten(str(found))}'")
    return found


def _place(entry: tuple[int, str, str, tuple[int, ...], int], base: int, alignment: int) -> Tensor:
    at, name, dtype, shape, offset = entry
    if offset % alignment:
        raise FormatError(f"tensor '{shorten(name)}' is not aligned to {alignment} bytes", at)
    start = base + offset
    return Tensor(name, dtype, shape, start, start + byte_count(dtype, shape))


def _check_ranges(tensors: tuple[Tensor, ...], size: int) -> None:
    at = 0
    for tensor in sorted(tensors, key=lambda item: (item.start, item.end)):
        if tensor.start < at and tensor.end > tensor.start:
            raise FormatError(f"tensor '{shorten(tensor.name)}' overlaps the one before it", tensor.start)
        if tensor.end > size:
            raise FormatError(
                f"tensor '{shorten(tensor.name)}' ends at byte {tensor.end}, the file has {size}: it is cut short", size
            )
        at = max(at, tensor.end)
