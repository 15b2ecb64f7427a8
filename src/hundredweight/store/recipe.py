"""A recipe: the segments that make up one object, in order, and the tensors that stand in it.

docs/formats/recipe.md has the layout. A decoded recipe holds together: its segments make up its size, its tensors lie within it,
its names are text and differ. Equal recipes have equal bytes, and the bytes carry their own checksum.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from blake3 import blake3

from hundredweight.base.errors import DamageError
from hundredweight.base.ids import Oid
from hundredweight.formats.identity import TensorDigest, weights_id
from hundredweight.formats.source import MAX_DIMENSIONS, FormatError
from hundredweight.formats.tensors import BITS, BLOCKS, byte_count, check_shape, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NOT_HASHED", "NOT_PLAIN", "Recipe", "RecipeDamaged", "Segment", "TensorRow"]

MAGIC = b"cwtr"
VERSION = 1
ID_SIZE = 32
MAX_SEGMENT = 16 << 20
"""Bytes of the longest segment; `codec.block.MAX_RAW`."""
MAX_SEGMENTS = 1 << 19
MAX_TENSORS = 1 << 18
MAX_NAME = (1 << 16) - 1
"""Bytes of a tensor's name."""
MAX_TABLE = 12 << 20
"""Bytes of the tensor table."""
MAX_ENCODED = 32 << 20
NOT_PLAIN = -1
"""`TensorRow.start` of a tensor whose canonical bytes do not stand in the file as they are: deflated, strided, swapped."""
NOT_HASHED = -2
"""`TensorRow.start` of a tensor whose digest is not known: it is in another file, or hashing it would cost too much."""
NO_DIGEST = bytes(ID_SIZE)

_HEAD = struct.Struct("<4sBBBB32sQII")
_SEGMENT = struct.Struct("<32sIB")
_ROW = struct.Struct("<HBBqQ32s")
ROW_SIZE = _ROW.size


class RecipeDamaged(DamageError):
    """The bytes of a recipe are not one. `what` is the fault, `offset` where in the bytes it was seen, or -1."""

    hint = "'git lfs fsck' names the objects that this concerns; 'git lfs fetch' brings them again"

    def __init__(self, what: str, offset: int = -1) -> None:
        super().__init__(f"a recipe is damaged: {what}" + (f" (at byte {offset})" if offset >= 0 else ""))
        self.what = what
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Segment:
    """A byte range of an object. `id` is the BLAKE3-256 of its bytes; `dtype` "" for plain bytes."""

    id: bytes
    size: int
    dtype: str


@dataclass(frozen=True, slots=True)
class TensorRow:
    """A tensor of an object. `digest` is the BLAKE3-256 of its canonical bytes, `length` how many these are; `start` is where
    they stand in the object, or `NOT_PLAIN`, or `NOT_HASHED` (`digest` is zeros then)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    length: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Recipe:
    """`format` is the name that `formats` gives, "" for an object that is no weight file."""

    oid: Oid
    size: int
    format: str
    segments: tuple[Segment, ...]
    tensors: tuple[TensorRow, ...] = ()

    def offsets(self) -> list[int]:
        """Where each segment begins, and at last where the object ends."""
        return [0, *accumulate(segment.size for segment in self.segments)]

    def locate(self, start: int, end: int) -> range:
        """Numbers of the segments that `[start, end)` touches. None for an empty or outlying range."""
        end = min(end, self.size)
        if not 0 <= start < end:
            return range(0)
        offsets = self.offsets()
        return range(bisect_right(offsets, start) - 1, bisect_left(offsets, end))

    def weights_id(self) -> str:
        """The weights id; "" where there are no tensors or the digest of one is not known."""
        if not self.tensors or any(row.start == NOT_HASHED for row in self.tensors):
            return ""
        return weights_id(TensorDigest(row.name, row.dtype, row.shape, row.digest) for row in self.tensors)

    def encode(self) -> bytes:
        """As docs/formats/recipe.md says. Raises `RecipeDamaged` for what `decode` would refuse for its bounds."""
        dtypes = sorted(_dtypes(self.segments, self.tensors))
        number = {dtype: place for place, dtype in enumerate(dtypes, 1)} | {"": 0}
        counts = (len(self.segments), len(self.tensors))
        head = _HEAD.pack(MAGIC, VERSION, len(self.format), len(dtypes), 0, bytes.fromhex(self.oid), self.size, *counts)
        parts = [head, self.format.encode("ascii")]
        parts += [bytes((len(dtype),)) + dtype.encode("ascii") for dtype in dtypes]
        parts += [_SEGMENT.pack(segment.id, segment.size, number[segment.dtype]) for segment in self.segments]
        parts += [_encode_row(row, number[row.dtype]) for row in self.tensors]
        body = b"".join(parts)
        if counts[0] > MAX_SEGMENTS or counts[1] > MAX_TENSORS or len(body) + ID_SIZE > MAX_ENCODED:
            raise RecipeDamaged(f"{counts[0]} segments and {counts[1]} tensors in {len(body)} bytes are too many")
        return body + blake3(body).digest()

    @classmethod
    def decode(cls, data: bytes | memoryview) -> Recipe:
        """Raises `RecipeDamaged` for anything that `encode` does not give."""
        if not _HEAD.size + ID_SIZE <= len(data) <= MAX_ENCODED:
            raise RecipeDamaged(f"it has {len(data)} bytes")
        body = memoryview(data)[:-ID_SIZE]
        magic, version, format_length, dtype_count, zero, oid, size, segment_count, tensor_count = _HEAD.unpack_from(
            body
        )
        if magic != MAGIC or version != VERSION or zero:
            raise RecipeDamaged("it is of no known version", 0)
        if blake3(body).digest() != data[-ID_SIZE:]:
            raise RecipeDamaged("its checksum is wrong")
        if segment_count > MAX_SEGMENTS or tensor_count > MAX_TENSORS:
            raise RecipeDamaged(f"{segment_count} segments and {tensor_count} tensors are too many", 0)
        fields = _Fields(body, _HEAD.size)
        form = fields.text(format_length)
        dtypes = _read_dtypes(fields, dtype_count)
        segments = _read_segments(fields, segment_count, dtypes, size)
        tensors = _read_rows(fields, tensor_count, dtypes, size)
        if fields.at != len(body):
            raise RecipeDamaged(f"{len(body) - fields.at} bytes follow its end", fields.at)
        if len(_dtypes(segments, tensors)) != dtype_count:
            raise RecipeDamaged("it names types that it does not use")
        return cls(Oid(oid.hex()), size, form, segments, tensors)


def _dtypes(segments: Iterable[Segment], tensors: Iterable[TensorRow]) -> set[str]:
    return ({item.dtype for item in segments} | {row.dtype for row in tensors}) - {""}


class _Fields:
    """Reads one field after the other."""

    def __init__(self, data: memoryview, at: int) -> None:
        self.data = data
        self.at = at

    def take(self, length: int) -> memoryview:
        end = self.at + length
        if end > len(self.data):
            raise RecipeDamaged(f"a part of {length} bytes reaches beyond its end", self.at)
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def text(self, length: int) -> str:
        """Printable ASCII: names of formats and types."""
        text = bytes(self.take(length))
        if not text.isascii() or not text.decode("ascii").isprintable():
            raise RecipeDamaged("a name of a format or type is no printable ASCII", self.at - length)
        return text.decode("ascii")


def _encode_row(row: TensorRow, dtype: int) -> bytes:
    name = row.name.encode()
    if len(name) > MAX_NAME or len(row.shape) > MAX_DIMENSIONS:
        raise RecipeDamaged(f"tensor '{shorten(row.name)}' has too long a name or shape")
    head = _ROW.pack(len(name), dtype, len(row.shape), row.start, row.length, row.digest)
    return head + struct.pack(f"<{len(row.shape)}Q", *row.shape) + name


def _read_dtypes(fields: _Fields, count: int) -> list[str]:
    found = [""]
    for _ in range(count):
        name = fields.text(fields.take(1)[0])
        if name not in BITS and name not in BLOCKS:
            raise RecipeDamaged(f"'{shorten(name)}' is no known type", fields.at)
        if name <= found[-1]:
            raise RecipeDamaged("its types are not in order", fields.at)
        found.append(name)
    return found


def _read_segments(fields: _Fields, count: int, dtypes: list[str], size: int) -> tuple[Segment, ...]:
    at = fields.at
    segments = []
    total = 0
    for name, length, number in _SEGMENT.iter_unpack(fields.take(count * _SEGMENT.size)):
        if not 0 < length <= MAX_SEGMENT:
            raise RecipeDamaged(f"a segment of {length} bytes", at)
        if number >= len(dtypes):
            raise RecipeDamaged("a segment of a type that is not named", at)
        total += length
        segments.append(Segment(name, length, dtypes[number]))
        at += _SEGMENT.size
    if total != size:
        raise RecipeDamaged(f"its segments make up {total} bytes, the object has {size}")
    return tuple(segments)


def _read_rows(fields: _Fields, count: int, dtypes: list[str], size: int) -> tuple[TensorRow, ...]:
    rows: dict[str, TensorRow] = {}
    for _ in range(count):
        row = _read_row(fields, dtypes, size)
        if row.name in rows:
            raise RecipeDamaged(f"two tensors are called '{shorten(row.name)}'", fields.at)
        rows[row.name] = row
    return tuple(rows.values())


def _read_row(fields: _Fields, dtypes: list[str], size: int) -> TensorRow:
    at = fields.at
    name_length, number, dimensions, start, length, digest = _ROW.unpack(fields.take(_ROW.size))
    if not 0 < number < len(dtypes) or dimensions > MAX_DIMENSIONS:
        raise RecipeDamaged(f"a tensor of {dimensions} dimensions or of a type that is not named", at)
    shape = struct.unpack(f"<{dimensions}Q", fields.take(8 * dimensions))
    try:
        name = bytes(fields.take(name_length)).decode()
        check_shape(shape, name)
        expected = byte_count(dtypes[number], shape)
    except UnicodeDecodeError:
        raise RecipeDamaged("a tensor's name is not UTF-8", at) from None
    except FormatError as error:
        raise RecipeDamaged(error.what, at) from None
    if length != expected:
        raise RecipeDamaged(f"tensor '{shorten(name)}' has {length} bytes, by its shape {expected}", at)
    if start < NOT_HASHED or (start >= 0 and start + length > size):
        raise RecipeDamaged(f"tensor '{shorten(name)}' does not lie within the object", at)
    if start == NOT_HASHED and digest != NO_DIGEST:
        raise RecipeDamaged(f"tensor '{shorten(name)}' has a digest although it was not hashed", at)
    return TensorRow(name, dtypes[number], shape, start, length, digest)
