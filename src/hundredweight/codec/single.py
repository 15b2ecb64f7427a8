"""A segment by itself: floats by exponent, other numbers by byte planes, anything else by zstd. See docs/formats/block.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hundredweight.codec.passes import pieces
from hundredweight.codec.values import ESCAPE, Runs, read_values, write_cut

if TYPE_CHECKING:
    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.passes import Passes
    from hundredweight.codec.streams import Bytes, Reader, Writer


def float_low(kind: Kind) -> int:
    """Bits below the symbol: sign and lower mantissa, so that the symbol has the exponent and three to five bits of mantissa."""
    return {2: 8 if kind.mantissa == 10 else 4, 4: 20, 8: 48}[kind.width]


def write_floats(writer: Writer, raw: Bits, kind: Kind, passes: Passes) -> None:
    """The exponent with the top of the mantissa as a symbol: both are far from uniform, the rest is not."""
    low = float_low(kind)
    top, one = kind.bits.type(8 * kind.width - 1), kind.bits.type(1)
    turned = (raw << one) | (raw >> top)
    origin = _window(turned[:: len(turned) // 65536 + 1] >> kind.bits.type(low))
    turned -= kind.bits.type(origin << low)
    writer.varint(origin)
    write_cut(writer, passes.cut(turned, Runs(np.array([len(turned)]), np.array([low]))))


def read_floats(reader: Reader, length: int, kind: Kind, passes: Passes) -> Bits:
    low = float_low(kind)
    top, one = kind.bits.type(8 * kind.width - 1), kind.bits.type(1)
    origin = reader.varint((1 << (8 * kind.width - low)) - 1)
    turned = read_values(reader, np.array([length]), kind.bits, passes)
    for piece in pieces(length):
        part = turned[piece]
        part += kind.bits.type(origin << low)
        turned[piece] = (part >> one) | (part << top)
    return turned


def _window(symbols: Bits) -> int:
    """Where the 255 symbols begin that hold most of the sample."""
    counts = np.bincount(symbols.astype(np.int64), minlength=ESCAPE)
    sums = np.concatenate([[0], np.cumsum(counts)])
    return int(np.argmax(sums[ESCAPE:] - sums[:-ESCAPE]))


def write_planes(writer: Writer, content: Bytes, width: int) -> None:
    """Bytes of like significance together."""
    for index in range(width):
        writer.plane(np.ascontiguousarray(content[index::width]))


def read_planes(reader: Reader, length: int, width: int) -> Bytes:
    """`length` is a multiple of `width`."""
    content = np.empty(length, np.uint8)
    for index in range(width):
        content[index::width] = reader.run(length // width)
    return content
