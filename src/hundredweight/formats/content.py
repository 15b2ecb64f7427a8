"""A tensor's canonical bytes, streamed: row-major, little-endian, whatever way its file keeps them."""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Literal

from hundredweight.formats.protobuf import Walker
from hundredweight.formats.source import FormatError, Source, Window
from hundredweight.formats.tensors import BITS, Tensor, shorten
from hundredweight.formats.zipdir import inflate

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 22
MAX_STRIDED = 1 << 28
"""Bytes of a view that is not row-major: it is gathered in memory."""
MAX_ROWS = 1 << 26
_CODES: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


def chunks(source: Source, tensor: Tensor) -> Iterator[bytes | memoryview]:
    """The canonical bytes in pieces of a few MiB, `tensor.nbytes` in all. `source` is the file that the tensor's range is in.

    Raises `FormatError` for damaged content.
    """
    if tensor.nbytes == 0:
        return
    pieces: Iterator[bytes | memoryview]
    if tensor.varints:
        pieces = _from_varints(source, tensor)
    elif tensor.strides is not None:
        pieces = _gather(source, tensor)
    else:
        pieces = _stored(source, tensor, tensor.nbytes)
    yield from _little_endian(pieces, tensor) if tensor.swapped else pieces


def _stored(source: Source, tensor: Tensor, length: int) -> Iterator[bytes | memoryview]:
    """`length` bytes from where the tensor begins, as they stand in the file or in its inflated member."""
    if tensor.deflated is None:
        at = tensor.start
        while at < tensor.start + length:
            piece = source.read(at, min(CHUNK, tensor.start + length - at))
            at += len(piece)
            yield piece
        return
    packed = tensor.deflated
    skip, left = packed.skip, length
    for data in inflate(source, packed.start, packed.packed, packed.size):
        if skip >= len(data):
            skip -= len(data)
            continue
        piece = data[skip : skip + left]
        skip, left = 0, left - len(piece)
        yield piece
        if not left:
            return
    raise FormatError(f"tensor '{shorten(tensor.name)}' reaches beyond its member", packed.start)


def _gather(source: Source, tensor: Tensor) -> Iterator[memoryview]:
    """A view with strides, row by row out of the range it touches."""
    assert tensor.strides is not None
    width = BITS[tensor.dtype] // 8
    span = 1 + sum((extent - 1) * stride for extent, stride in zip(tensor.shape, tensor.strides, strict=True))
    if span * width > MAX_STRIDED or tensor.nbytes > 16 * MAX_STRIDED:
        raise FormatError(f"tensor '{shorten(tensor.name)}' is a view of more than {MAX_STRIDED} bytes", tensor.start)
    if tensor.elements // tensor.shape[-1] > MAX_ROWS:
        raise FormatError(f"tensor '{shorten(tensor.name)}' is a view of more than {MAX_ROWS} rows", tensor.start)
    data = memoryview(b"".join(_stored(source, tensor, span * width)))
    code = _CODES.get(width)
    rows = _rows(tensor.shape[:-1], tensor.strides[:-1])
    extent, step = tensor.shape[-1], tensor.strides[-1]
    if code is not None and step:
        elements = data.cast(code)
        for start in rows:
            yield memoryview(elements[start : start + (extent - 1) * step + 1 : step].tobytes())
        return
    for start in rows:
        places = [(start + place * step) * width for place in range(extent)]
        yield memoryview(b"".join([data[place : place + width] for place in places]))


def _rows(shape: tuple[int, ...], strides: tuple[int, ...]) -> Iterator[int]:
    """Where each row begins, in elements, in row-major order."""
    if not shape:
        yield 0
        return
    for outer in range(shape[0]):
        for inner in _rows(shape[1:], strides[1:]):
            yield outer * strides[0] + inner


def _little_endian(pieces: Iterator[bytes | memoryview], tensor: Tensor) -> Iterator[bytes]:
    # Parts of a complex number are swapped each for itself.
    width = BITS[tensor.dtype] // 8 // (2 if tensor.dtype.startswith("C") else 1)
    rest = b""
    for piece in pieces:
        data = rest + bytes(piece)
        whole = len(data) // width * width
        rest = data[whole:]
        items = array(_CODES[width], data[:whole])
        items.byteswap()
        yield items.tobytes()


def _from_varints(source: Source, tensor: Tensor) -> Iterator[bytes]:
    """Protobuf's integer lists: each number is one element (for types below a byte, one byte), its upper bits dropped."""
    width = max(BITS[tensor.dtype] // 8, 1)
    mask = (1 << 8 * width) - 1
    walker = Walker(Window(source), 1)
    made, at = array(_CODES[width]), tensor.start
    left = tensor.nbytes // width
    while at < tensor.end:
        value, at = walker.varint(at, tensor.end)
        left -= 1
        if left < 0:
            break
        made.append(value & mask)
        if len(made) * width >= CHUNK:
            yield _ordered(made)
            del made[:]
    if left:
        raise FormatError(
            f"tensor '{shorten(tensor.name)}' has another number of elements than its shape", tensor.start
        )
    yield _ordered(made)


def _ordered(items: array[int]) -> bytes:
    if sys.byteorder == "big":
        items.byteswap()
    return items.tobytes()
