"""The passes over whole segments, in numpy. `compiled` has the same ones; either gives the same bits.

A difference is taken in the frame of the base: as if the base were positive, so that "towards zero" has one sign. Floats count
in units of their last place, and neighbours on either side of zero or of a power of two are neighbours. It then loses what
`drift` expects of it: entry i of 256 is the step that an element whose leading mantissa bits are i takes when nothing but weight
decay moves it. Zigzag makes the rest unsigned. All of it is modulo 2**bits, hence exact for any bits at all, integers included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hundredweight.codec import plan, statistics
from hundredweight.codec.plan import UNCHANGED, Differences
from hundredweight.codec.statistics import exponents, leading_mantissa, steps
from hundredweight.codec.values import BASE, DIGITS, ESCAPE, SINGLE, SPARSE, Cut, Parts, Runs, best_mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.plan import Grouping, Plan
    from hundredweight.codec.streams import Bytes

PIECE = 1 << 17
"""Elements at a time: temporaries stay in the cache, and calls are long enough for threads to overlap."""

TURNED_SAMPLE = 65536
"""Of about so many the most frequent ones are told."""


class Partition(Protocol):
    """Elements of a base by context, stable. `counts[c]` of them have context c."""

    counts: NDArray[np.int64]

    def join(self, parts: Bits) -> Bits:
        """Values, given those of each context together, in order of contexts; those of groups left out are zero."""


class Passes(Protocol):
    """One way to run them."""

    def difference(self, raw: Bits, base: Bits, kind: Kind, drift: NDArray[np.int32] | None) -> Bits:
        """Zigzag differences of as many elements as both have."""

    def differences(self, raw: Bits, frame: Bits, base: Bits, kind: Kind, *, decays: bool) -> Differences:
        """Zigzag differences of two frames of equal length, less what weight decay alone does (if `decays`, and if there is any),
        and a plan for them by the exponents of `base`."""

    def restore(self, values: Bits, base: Bits, kind: Kind, drift: NDArray[np.int32] | None) -> Bits:
        """The inverse of `difference`."""

    def partition(self, base: Bits, kind: Kind, grouping: Grouping) -> Partition:
        """Group the elements of a base."""

    def turn(self, raw: Bits, low: int) -> tuple[Bits, int]:
        """Each with its sign as the lowest bit, less what leaves most of them below 255 above their `low` bits: that without them
        comes second. Not of bytes."""

    def turn_back(self, turned: Bits, origin: int) -> None:
        """In place; `origin` with its low bits."""

    def cut(self, values: Bits, runs: Runs) -> Cut:
        """What is written of values."""

    def cut_by_context(self, values: Bits, base: Bits, kind: Kind, plan: Plan) -> Cut:
        """The same of values by context: the runs are those of the contexts, and in each of them the order stays."""

    def paste(self, parts: Parts, runs: Runs, bits: np.dtype[Any]) -> Bits:
        """Values from their parts, but for those whose symbols say only that a value exceeds them."""

    def find(self, symbols: Bytes, wanted: int) -> NDArray[np.int64]:
        """Where `wanted` is, in order."""

    def unfold(self, packed: Bytes, base: int, symbols: Bytes) -> int:
        """The digits of `fold`'s bytes into `symbols`; how many are `base - 1`: to these `exceed` adds the rest."""

    def exceed(self, symbols: Bytes, most: int, excess: Bytes) -> None:
        """Add what exceeds it to all symbols that are `most`, as many as `excess` has."""


def pieces(length: int, size: int = PIECE) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


class NumpyPartition:
    """By a stable sort of the contexts (a radix sort, for bytes)."""

    def __init__(self, base: Bits, kind: Kind, grouping: Grouping) -> None:
        group = grouping.group
        self.length = len(base)
        self.rows = None
        classes = grouping.classes
        found = exponents(base, kind)
        if group:
            unchanged = classes == UNCHANGED
            if unchanged.any():
                self.rows = np.flatnonzero(~unchanged)
                classes = classes[self.rows]
                found = found.reshape(-1, group)[self.rows].reshape(-1)
            cells = (found.reshape(-1, group) + (classes << np.uint16(8))[:, None]).reshape(-1)
            contexts = grouping.table.take(cells)
        else:
            contexts = grouping.table.take(found)
        self.group = group
        self.order = np.argsort(contexts, kind="stable")
        self.counts = np.bincount(contexts, minlength=grouping.contexts).astype(np.int64)

    def split(self, values: Bits) -> Bits:
        if self.rows is not None:
            values = values.reshape(-1, self.group)[self.rows].reshape(-1)
        return values.take(self.order)

    def join(self, parts: Bits) -> Bits:
        values = np.empty_like(parts)
        values[self.order] = parts
        if self.rows is None:
            return values
        out = np.zeros(self.length, parts.dtype)
        out.reshape(-1, self.group)[self.rows] = values.reshape(-1, self.group)
        return out


class NumpyPasses:
    """Numpy alone. Without state: for any number of threads at once."""

    def difference(self, raw: Bits, base: Bits, kind: Kind, drift: NDArray[np.int32] | None) -> Bits:
        signed = np.dtype(f"<i{kind.width}")
        out = np.empty(len(raw), kind.bits)
        for piece in pieces(len(raw)):
            step = steps(raw[piece], base[piece])
            if drift is not None:
                step -= drift.take(leading_mantissa(base[piece], kind)).astype(signed, copy=False)
            sign = step >> signed.type(8 * kind.width - 1)
            step <<= signed.type(1)
            np.bitwise_xor(step, sign, out=out[piece].view(signed))
        return out

    def differences(self, raw: Bits, frame: Bits, base: Bits, kind: Kind, *, decays: bool) -> Differences:
        drift = statistics.drift(raw, frame, kind) if decays else None
        values = self.difference(raw, frame, kind, drift)
        return Differences(values, drift, plan.make(values, base, kind))

    def restore(self, values: Bits, base: Bits, kind: Kind, drift: NDArray[np.int32] | None) -> Bits:
        signed = np.dtype(f"<i{kind.width}")
        top = kind.bits.type(1 << (8 * kind.width - 1))
        rest = kind.bits.type(int(top) - 1)
        out = np.empty(len(values), kind.bits)
        for piece in pieces(len(values)):
            part, frame = values[piece], base[piece]
            step = (part >> kind.bits.type(1)).view(signed)
            step ^= -(part & kind.bits.type(1)).view(signed)
            if drift is not None:
                step += drift.take(leading_mantissa(frame, kind)).astype(signed, copy=False)
            step += (frame & rest).view(signed)
            flip = step >> signed.type(8 * kind.width - 1)
            flip &= signed.type(int(rest))
            step ^= flip
            np.bitwise_xor(step.view(kind.bits), frame & top, out=out[piece])
        return out

    def partition(self, base: Bits, kind: Kind, grouping: Grouping) -> Partition:
        return NumpyPartition(base, kind, grouping)

    def turn(self, raw: Bits, low: int) -> tuple[Bits, int]:
        word = raw.dtype.type
        turned = (raw << word(1)) | (raw >> word(8 * raw.dtype.itemsize - 1))
        origin = _window(turned[:: len(turned) // TURNED_SAMPLE + 1] >> word(low))
        turned -= word(origin << low)
        return turned, origin

    def turn_back(self, turned: Bits, origin: int) -> None:
        word = turned.dtype.type
        for piece in pieces(len(turned)):
            part = turned[piece]
            part += word(origin)
            turned[piece] = (part >> word(1)) | (part << word(8 * turned.dtype.itemsize - 1))

    def cut(self, values: Bits, runs: Runs) -> Cut:
        all_symbols, octets, halves = _cut(values, runs)
        modes, streams, start = [], [], 0
        for count in runs.counts.tolist():
            symbols = all_symbols[start : start + count]
            start += count
            modes.append(best_mode(symbols))
            streams.append(_streams(symbols, modes[-1]))
        exceeding = values[all_symbols == ESCAPE]
        middle = (len(halves) + 1) // 2
        packed = halves[:middle].copy()
        packed[: len(halves) - middle] |= halves[middle:] << np.uint8(4)
        return Cut(runs.lows.tolist(), modes, streams, exceeding, octets, packed)

    def cut_by_context(self, values: Bits, base: Bits, kind: Kind, plan: Plan) -> Cut:
        partition = NumpyPartition(base, kind, plan.grouping)
        return self.cut(partition.split(values), Runs(partition.counts, np.array(plan.lows, np.int64)))

    def paste(self, parts: Parts, runs: Runs, bits: np.dtype[Any]) -> Bits:
        values = np.empty(runs.total, bits)
        halves = _two_of_each(parts.halves, runs.halves)
        octets = [0] * len(parts.octets)
        start = half = 0
        for count, low in zip(runs.counts.tolist(), runs.lows.tolist(), strict=True):
            run = values[start : start + count]
            np.left_shift(
                parts.symbols[start : start + count], bits.type(low), out=run, dtype=bits, casting="same_kind"
            )
            start += count
            split = run.view(np.uint8)
            for index in range(low // 8):
                split[index :: len(octets)] = parts.octets[index][octets[index] : octets[index] + count]
                octets[index] += count
            if low % 8:
                split[low // 8 :: len(octets)] |= halves[half : half + count]
                half += count
        return values

    def find(self, symbols: Bytes, wanted: int) -> NDArray[np.int64]:
        return np.flatnonzero(symbols == wanted)

    def unfold(self, packed: Bytes, base: int, symbols: Bytes) -> int:
        share = len(packed)
        rest = packed
        for start in range(0, len(symbols), max(share, 1)):
            part = symbols[start : start + share]
            higher = rest // np.uint8(base)
            part[:] = (rest - higher * np.uint8(base))[: len(part)]
            rest = higher
        return int(np.count_nonzero(symbols == base - 1))

    def exceed(self, symbols: Bytes, most: int, excess: Bytes) -> None:
        symbols[np.flatnonzero(symbols == most)] += excess


def _window(symbols: Bits) -> int:
    """Where the 255 symbols begin that hold most of the sample."""
    counts = np.bincount(symbols.astype(np.int64), minlength=ESCAPE)
    sums = np.concatenate([[0], np.cumsum(counts)])
    return int(np.argmax(sums[ESCAPE:] - sums[:-ESCAPE]))


def _cut(values: Bits, runs: Runs) -> tuple[Bytes, list[Bytes], Bytes]:
    """Symbols, bytes below them by significance, and half bytes, one a byte."""
    symbols, halves = np.empty(runs.total, np.uint8), np.empty(runs.halves, np.uint8)
    octets = [np.empty(runs.octets(index), np.uint8) for index in range(values.dtype.itemsize)]
    kind = values.dtype.type
    places = [0] * len(octets)
    start = half = 0
    for count, low in zip(runs.counts.tolist(), runs.lows.tolist(), strict=True):
        run = values[start : start + count]
        shifted = run >> kind(low)
        np.minimum(shifted, kind(ESCAPE), out=shifted)
        symbols[start : start + count] = shifted
        start += count
        split = run.view(np.uint8)
        for index in range(low // 8):
            octets[index][places[index] : places[index] + count] = split[index :: len(octets)]
            places[index] += count
        if low % 8:
            np.bitwise_and(split[low // 8 :: len(octets)], np.uint8(15), out=halves[half : half + count])
            half += count
    return symbols, octets, halves


def _two_of_each(packed: Bytes, count: int) -> Bytes:
    """Half bytes, one a byte."""
    halves = np.empty(count, np.uint8)
    np.bitwise_and(packed, np.uint8(15), out=halves[: len(packed)])
    np.right_shift(packed[: count - len(packed)], np.uint8(4), out=halves[len(packed) :])
    return halves


def _streams(symbols: Bytes, mode: int) -> tuple[Bytes, Bytes]:
    """Symbols in this mode."""
    if mode == SINGLE:
        return symbols, symbols[:0]
    if mode == SPARSE:
        return gaps(symbols)
    return fold(symbols, BASE[mode], DIGITS[BASE[mode]])


def fold(symbols: Bytes, base: int, digits: int) -> tuple[Bytes, Bytes]:
    """Bytes of so many digits, each a symbol or `base - 1` if that is less, lowest first: those of byte i stand a share of
    the symbols apart. And of all symbols that are at least `base - 1` what exceeds it, in order."""
    most = np.uint8(base - 1)
    capped = np.minimum(symbols, most)
    share = -(-len(symbols) // digits)
    packed = capped[:share].copy()
    for place in range(1, digits):
        part = capped[place * share : (place + 1) * share]
        packed[: len(part)] += part * np.uint8(base**place)
    return packed, symbols[capped == most] - most


def gaps(symbols: Bytes) -> tuple[Bytes, Bytes]:
    """How many zeros stand before each symbol that is not zero, 255 for as many and more to come; and those less one."""
    positions = np.flatnonzero(symbols != 0)
    between = np.diff(positions, prepend=-1) - 1
    longer = between // 255
    coded = np.full(len(positions) + int(longer.sum()), 255, np.uint8)
    coded[np.cumsum(longer + 1) - 1] = between - 255 * longer
    return coded, symbols[positions] - np.uint8(1)
