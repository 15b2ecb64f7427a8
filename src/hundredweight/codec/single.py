"""A segment by itself: floats by exponent, other numbers by byte planes, anything else by zstd. See docs/formats/block.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hundredweight.codec.values import Runs, read_values, write_cut

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
    turned, origin = passes.turn(raw, low)
    writer.varint(origin)
    write_cut(writer, passes.cut(turned, Runs(np.array([len(turned)]), np.array([low]))))


def read_floats(reader: Reader, length: int, kind: Kind, passes: Passes) -> Bits:
    low = float_low(kind)
    origin = reader.varint((1 << (8 * kind.width - low)) - 1)
    turned = read_values(reader, np.array([length]), kind.bits, passes)
    passes.turn_back(turned, origin << low)
    return turned


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
