"""One segment as stored: raw bytes to a self-describing block, and back to the same bytes.

`encode` may be given a base: the raw bytes of another segment that is likely to be similar (the same tensor of an earlier
version). `decode` then needs those same bytes. Nothing here does I/O; the layout is docs/formats/block.md.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from hundredweight.codec.errors import CodecError

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Buffer = bytes | bytearray | memoryview

MAX_RAW = 16 << 20
"""Bytes of the longest segment."""

VERSION = 1
STORED, CONSTANT, ZSTD, PLANES, DELTA = range(5)
FLOAT_WIDTH = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "C64": 4, "C128": 8, "C32": 2}
WIDTH = {"U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8} | FLOAT_WIDTH


class Profile(Enum):
    """What an encoder spends time on. Every decoder reads all of them."""

    FAST = "fast"
    DEFAULT = "default"
    SMALL = "small"


def encode(
    raw: Buffer,
    dtype: str,
    base: Buffer | None = None,
    base_dtype: str | None = None,
    *,
    profile: Profile = Profile.DEFAULT,
) -> bytes:
    """A block of `raw` (at most `MAX_RAW` bytes of any content), as a delta against `base` where that is smaller.

    `dtype` and `base_dtype` are the types' names as `formats` gives them, "" for plain bytes; `base_dtype` None means `dtype`.
    Lengths need not be whole elements, nor those of raw and base equal. Never longer than `raw` by more than 2 bytes.
    """
    del profile
    if len(raw) > MAX_RAW:
        raise ValueError(f"a segment of {len(raw)} bytes is over {MAX_RAW}")
    content = np.frombuffer(raw, np.uint8)
    best = _join(bytes((VERSION, STORED)), [content.tobytes()])
    width = WIDTH.get(dtype, 1)
    candidates = [_planes(content, width, PLANES)]
    if base is not None and base_dtype in {None, dtype}:
        candidates.append(_planes(_difference(content, np.frombuffer(base, np.uint8), width, dtype), width, DELTA))
    return min([best, *candidates], key=len)


def decode(block: Buffer, size: int, base: Buffer | None = None) -> Buffer:
    """The `size` bytes that `block` was made of. Raises `CodecError`, and nothing else, for any other block or base."""
    head = bytes(block[:4])
    if len(head) < 2 or head[0] != VERSION or not 0 <= size <= MAX_RAW:
        raise CodecError("not a block of a known version")
    if head[1] == STORED:
        if len(block) != size + 2:
            raise CodecError(f"a stored block of {len(block) - 2} bytes where {size} were promised")
        return memoryview(block)[2:]
    if head[1] not in {PLANES, DELTA} or len(head) < 4 or head[2] not in {1, 2, 4, 8}:
        raise CodecError("a block of an unknown method")
    content = _unplanes(memoryview(block)[4:], size, head[2])
    if head[1] == DELTA:
        if base is None:
            raise CodecError("a delta without its base")
        content = _sum(content, np.frombuffer(base, np.uint8), head[2], bool(head[3]))
    return content.data


def uses_base(block: Buffer) -> bool:
    """Whether `decode` needs the base."""
    return len(block) > 1 and block[1] == DELTA


def _join(head: bytes, parts: list[bytes]) -> bytes:
    return b"".join([head, *parts])


def _planes(content: NDArray[np.uint8], width: int, method: int) -> bytes:
    whole = len(content) // width * width
    columns = np.ascontiguousarray(content[:whole].reshape(-1, width).T)
    compressor = zstandard.ZstdCompressor(level=1, write_content_size=False)
    parts = []
    for column in [*columns, content[whole:]]:
        packed = compressor.compress(column.tobytes())
        mode = ZSTD if len(packed) < len(column) else STORED
        packed = packed if mode == ZSTD else column.tobytes()
        parts.append(bytes((mode,)) + len(packed).to_bytes(4, "little") + packed)
    return _join(bytes((VERSION, method, width, 1)), parts)


def _unplanes(body: memoryview, size: int, width: int) -> NDArray[np.uint8]:
    content = np.empty(size, np.uint8)
    whole = size // width * width
    columns = content[:whole].reshape(-1, width)
    position = 0
    for index in range(width + 1):
        length = whole // width if index < width else size - whole
        stop = position + 5 + int.from_bytes(body[position + 1 : position + 5], "little")
        if position + 5 > len(body) or stop > len(body):
            raise CodecError("a truncated block")
        data: Buffer = body[position + 5 : stop]
        if body[position] == ZSTD:
            try:
                data = zstandard.ZstdDecompressor(max_window_size=1 << 25).decompress(
                    data, max_output_size=max(length, 1)
                )
            except zstandard.ZstdError as error:
                raise CodecError("a plane does not decompress") from error
        if len(data) != length:
            raise CodecError("a plane of another length than promised")
        target = columns[:, index] if index < width else content[whole:]
        target[:] = np.frombuffer(data, np.uint8)
        position = stop
    if position != len(body):
        raise CodecError("bytes after the end of a block")
    return content


def _ordered(bits: NDArray[Any]) -> NDArray[Any]:
    top = bits.dtype.type(1 << (bits.dtype.itemsize * 8 - 1))
    sign = (bits >> (bits.dtype.itemsize * 8 - 1)).astype(bits.dtype)
    result: NDArray[Any] = bits ^ ((bits.dtype.type(0) - sign) | top)
    return result


def _unordered(bits: NDArray[Any]) -> NDArray[Any]:
    top = bits.dtype.type(1 << (bits.dtype.itemsize * 8 - 1))
    sign = (bits >> (bits.dtype.itemsize * 8 - 1)).astype(bits.dtype)
    result: NDArray[Any] = bits ^ ((sign - bits.dtype.type(1)) | top)
    return result


def _difference(content: NDArray[np.uint8], base: NDArray[np.uint8], width: int, dtype: str) -> NDArray[np.uint8]:
    del dtype
    common = min(len(content), len(base)) // width * width
    kind = np.dtype(f"<u{width}")
    delta = _ordered(content[:common].view(kind)) - _ordered(base[:common].view(kind))
    sign = (delta >> (width * 8 - 1)).astype(kind)
    zigzag = (delta << 1).astype(kind) ^ (kind.type(0) - sign)
    return np.concatenate([zigzag.view(np.uint8), content[common:]])


def _sum(content: NDArray[np.uint8], base: NDArray[np.uint8], width: int, floats: bool) -> NDArray[np.uint8]:
    del floats
    common = min(len(content), len(base)) // width * width
    kind = np.dtype(f"<u{width}")
    zigzag = content[:common].view(kind)
    delta = (zigzag >> 1) ^ (kind.type(0) - (zigzag & kind.type(1)))
    content[:common].view(kind)[:] = _unordered((_ordered(base[:common].view(kind)) + delta).astype(kind))
    return content
