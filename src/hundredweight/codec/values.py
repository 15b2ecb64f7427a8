"""Runs of unsigned integers, each of like magnitudes: one symbol a value, the bits below it, and the few that exceed it.

The symbol is the value without its `low` lowest bits, at most 255: that is where nearly all of the redundancy is, when `low` is
chosen well. Huffman cannot go below a bit a symbol and is wasteful near it: so small symbols share a byte, as digits of it, and
where hardly any differs from zero only the gaps between those are coded. Symbols are coded run by run; what is below them and
beyond them is joined over all runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hundredweight.codec.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hundredweight.codec.passes import Passes
    from hundredweight.codec.streams import Bytes, Reader, Writer

    Values = NDArray[Any]

ESCAPE = 255
MODE_SAMPLE = 4096
LOW = 0x0F
SINGLE, PAIRS, TRIPLES, QUADS, SPARSE = range(0, 0x50, 0x10)
BASE = {PAIRS: 16, TRIPLES: 6, QUADS: 4}
DIGITS = {16: 2, 6: 3, 4: 4}
STEP = 4
"""`low` is a multiple of this: halves of bytes are cheap to split and join by whole arrays, and coarse enough to choose from."""


@dataclass(frozen=True, slots=True)
class Runs:
    """How long each run is, and how many bits are below its symbols."""

    counts: NDArray[np.int64]
    lows: NDArray[np.int64]

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def octets(self, index: int) -> int:
        """Values with a whole byte `index` below their symbols."""
        return int(self.counts[self.lows >= 8 * index + 8].sum())

    @property
    def halves(self) -> int:
        """Values with half a byte below their symbols, above the whole ones."""
        return int(self.counts[self.lows % 8 > 0].sum())


@dataclass(frozen=True, slots=True)
class Parts:
    """Values as they are read: a symbol each; bytes below, `octets[i]` those of significance i; half bytes, the second half of
    all above the first."""

    symbols: Bytes
    octets: Sequence[Bytes]
    halves: Bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """Values cut in pieces and ready to be written; of each run the bits below symbols, how these are coded, and that in one or
    two streams.

    `exceeding` has the values that exceed their symbols, `octets[i]` the bytes of significance i below symbols, `halves` the half
    bytes below them, the second half of all above the first.
    """

    lows: Sequence[int]
    modes: Sequence[int]
    streams: Sequence[tuple[Bytes, Bytes]]
    exceeding: Values
    octets: Sequence[Bytes]
    halves: Bytes


def write_cut(writer: Writer, cut: Cut) -> None:
    """All values. The reader knows the lengths of the runs; each low is less than the width."""
    for low, mode, (first, second) in zip(cut.lows, cut.modes, cut.streams, strict=True):
        writer.octets(low // STEP | mode)
        if mode == SPARSE:
            writer.varint(len(second))
            if len(second):
                writer.varint(len(first) - len(second))
        writer.symbols(first)
        writer.symbols(second)
    writer.run(cut.exceeding.view(np.uint8), None)
    for octets in cut.octets:
        writer.noise(octets)
    writer.noise(cut.halves)


def read_values(reader: Reader, counts: NDArray[np.int64], bits: np.dtype[Any], passes: Passes) -> Values:
    """The values of runs of these lengths."""
    runs = Runs(counts, np.zeros(len(counts), np.int64))
    symbols = np.empty(runs.total, np.uint8)
    start = 0
    for index, count in enumerate(counts.tolist()):
        head = reader.byte()
        runs.lows[index] = (head & LOW) * STEP
        _read_symbols(reader, symbols[start : start + count], head & ~LOW, passes)
        start += count
    if len(counts) and int(runs.lows.max()) >= 8 * bits.itemsize:
        raise CodecError("a block splits values below their lowest bit")
    escapes = passes.find(symbols, ESCAPE)
    escaped = reader.run(len(escapes) * bits.itemsize).view(bits)
    octets = [reader.run(runs.octets(index)) for index in range(bits.itemsize)]
    values = passes.paste(Parts(symbols, octets, reader.run((runs.halves + 1) // 2)), runs, bits)
    if len(escapes):
        values[escapes] = escaped
    return values


def _read_symbols(reader: Reader, symbols: Bytes, mode: int, passes: Passes) -> None:
    if mode == SINGLE:
        symbols[:] = reader.run(len(symbols))
    elif mode == SPARSE:
        _read_sparse(reader, symbols)
    elif mode in BASE:
        _read_digits(reader, symbols, BASE[mode], passes)
    else:
        raise CodecError(f"symbols in a block are of unknown kind {mode}")


def best_mode(symbols: Bytes) -> int:
    """How the symbols are coded best, from some of them."""
    some = symbols[:: len(symbols) // MODE_SAMPLE + 1]
    counts = np.bincount(some, minlength=16)
    at_least = len(some) - np.cumsum(counts)[[0, 2, 4, 14]]
    if not len(some) or at_least[0] * 8 < len(some):
        return SPARSE
    for mode, more in ((QUADS, at_least[1]), (TRIPLES, at_least[2]), (PAIRS, at_least[3])):
        if more * 24 < len(some):
            return mode
    return SINGLE


def _read_digits(reader: Reader, symbols: Bytes, base: int, passes: Passes) -> None:
    more = passes.unfold(reader.run(-(-len(symbols) // DIGITS[base])), base, symbols)
    if more:
        passes.exceed(symbols, base - 1, reader.run(more))


def _read_sparse(reader: Reader, symbols: Bytes) -> None:
    symbols[:] = 0
    nonzero = reader.varint(len(symbols))
    if not nonzero:
        return
    longer = reader.varint(len(symbols) // 255)
    coded = reader.run(nonzero + longer)
    ends = coded != 255
    positions = np.cumsum(coded.astype(np.int64) + ends)[ends] - 1
    if len(positions) != nonzero or positions[-1] >= len(symbols):
        raise CodecError("gaps in a block lead past its end")
    symbols[positions] = reader.run(nonzero) + np.uint8(1)
