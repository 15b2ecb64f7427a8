"""A run of unsigned integers of like magnitude as one symbol each, the bits below it, and the few that exceed it.

The symbol is the value without its `low` lowest bits, at most 255: that is where nearly all of the redundancy is, when `low` is
chosen well. Where most symbols are zero, only the gaps between the others are coded: Huffman cannot go below a bit a symbol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hundredweight.codec.errors import CodecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hundredweight.codec.streams import Bytes, Reader, Writer

    Values = NDArray[Any]

ESCAPE = 255
SPARSE = 0x80
MAX_STEPS = 15
STEP = 4
"""`low` is a multiple of this: halves of bytes are cheap to split and join by whole arrays, and coarse enough to choose from."""


def write_values(writer: Writer, values: Values, low: int) -> None:
    """All of `values` (unsigned, of any width); `low` is less than their width in bits."""
    symbols = _symbols(values, low)
    nonzero = int(np.count_nonzero(symbols))
    sparse = 2 * nonzero < len(symbols)
    writer.octets(low // STEP | (SPARSE if sparse else 0))
    if sparse:
        _write_sparse(writer, symbols, nonzero)
    else:
        writer.symbols(symbols)
    escapes = np.flatnonzero(symbols == ESCAPE)
    if len(escapes):
        writer.run(values[escapes].view(np.uint8), None)
    if low:
        _write_low(writer, values, low)


def read_values(reader: Reader, out: Values) -> None:
    """Fill `out` with as many values as it is long."""
    head = reader.byte()
    low = (head & ~SPARSE) * STEP
    width = out.dtype.itemsize
    if low >= 8 * width:
        raise CodecError("a block splits values below their lowest bit")
    symbols = _read_sparse(reader, len(out)) if head & SPARSE else reader.run(len(out))
    escapes = np.flatnonzero(symbols == ESCAPE)
    escaped = reader.run(len(escapes) * width).view(out.dtype) if len(escapes) else None
    if low:
        np.left_shift(symbols, out.dtype.type(low), out=out, dtype=out.dtype, casting="same_kind")
        _read_low(reader, out, low)
    else:
        out[:] = symbols
    if escaped is not None:
        out[escapes] = escaped


def _symbols(values: Values, low: int) -> Bytes:
    shifted = values >> values.dtype.type(low) if low else values
    if values.dtype.itemsize > 1:
        shifted = np.minimum(shifted, values.dtype.type(ESCAPE))
    return shifted.astype(np.uint8)


def _write_sparse(writer: Writer, symbols: Bytes, nonzero: int) -> None:
    writer.varint(nonzero)
    if not nonzero:
        return
    positions = np.flatnonzero(symbols != 0)
    gaps = np.diff(positions, prepend=-1) - 1
    longer = gaps // 255
    if longer.any():
        coded = np.full(nonzero + int(longer.sum()), 255, np.uint8)
        coded[np.cumsum(longer + 1) - 1] = gaps - 255 * longer
    else:
        coded = gaps.astype(np.uint8)
    writer.varint(len(coded) - nonzero)
    writer.symbols(coded)
    writer.symbols(symbols[positions] - np.uint8(1))


def _read_sparse(reader: Reader, length: int) -> Bytes:
    symbols = np.zeros(length, np.uint8)
    nonzero = reader.varint(length)
    if not nonzero:
        return symbols
    longer = reader.varint(length // 255)
    coded = reader.run(nonzero + longer)
    ends = coded != 255
    positions = np.cumsum(coded.astype(np.int64) + ends)[ends] - 1
    if len(positions) != nonzero or positions[-1] >= length:
        raise CodecError("gaps in a block lead past its end")
    symbols[positions] = reader.run(nonzero) + np.uint8(1)
    return symbols


def _write_low(writer: Writer, values: Values, low: int) -> None:
    whole = low // 8
    octets = values.view(np.uint8)
    for index in range(whole):
        writer.noise(np.ascontiguousarray(octets[index :: values.dtype.itemsize]))
    if low % 8:
        half = octets[whole :: values.dtype.itemsize] & np.uint8(15)
        middle = (len(half) + 1) // 2
        half[: len(half) - middle] |= half[middle:] << np.uint8(4)
        writer.noise(half[:middle])


def _read_low(reader: Reader, out: Values, low: int) -> None:
    whole = low // 8
    octets = out.view(np.uint8)
    for index in range(whole):
        octets[index :: out.dtype.itemsize] = reader.run(len(out))
    if low % 8:
        middle = (len(out) + 1) // 2
        halves = reader.run(middle)
        target = octets[whole :: out.dtype.itemsize]
        target[:middle] |= halves & np.uint8(15)
        target[middle:] |= halves[: len(out) - middle] >> np.uint8(4)
