"""What is known of the differences of a segment, from a sample: how large they are where, and which contexts that makes.

In integers and by tables: the same plan must come out on any machine, and by either way (`compiled_plan` is the other).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hundredweight.codec.values import STEP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.streams import Bytes

    Ints = NDArray[np.int64]

GROUP = 128
SAMPLE = 1 << 14
"""Elements that statistics are taken of."""
LOOKED_AT = 4
"""Of so many elements of a group one is looked at for its level."""
STILL = 255
"""In place of a level: all values of the group are zero."""
CONTEXTS = 48
EXPONENTS = 48
"""So many exponents are told apart; those below count as the lowest of them, the rare ones above as the highest."""
FEW = 64
"""A context should hold this fraction of all."""

FEWEST = 64
"""Groups that a segment must have for its drift to be looked for."""
ROWS = (128, 1024)
"""Of about so many groups it is told: first whether there is any at all."""
RARE = 32
"""One of so many at least must show it."""
SPAN = 4096
"""So many different steps are counted each by itself; of more the mean is taken."""

# Logarithms to base 2 in 1/256, of the counts that a sample can have: floating point must not decide between two plans.
LOG = np.rint(np.log2(np.maximum(np.arange(2 * SAMPLE), 1)) * 256).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Allotment:
    """Which context each class and exponent has (`Grouping.table`), and how many bits are below the symbols of each context.

    `cost` is what the `counted` values of the sample take, in 1/256 bits.
    """

    table: Bytes
    lows: tuple[int, ...]
    cost: int
    counted: int


def steps(raw: Bits, base: Bits) -> NDArray[Any]:
    """Signed differences in the frame of the base."""
    width = raw.dtype.itemsize
    signed = np.dtype(f"<i{width}")
    top = raw.dtype.type(1 << (8 * width - 1))
    rest = raw.dtype.type((1 << (8 * width - 1)) - 1)
    turned: NDArray[Any] = (raw ^ (base & top)).view(signed)
    flip = turned >> signed.type(8 * width - 1)
    flip &= signed.type(int(rest))
    turned ^= flip
    turned -= (base & rest).view(signed)
    return turned


def leading_mantissa(base: Bits, kind: Kind) -> NDArray[np.uint8]:
    """The eight bits below the exponent, of a kind that has as many."""
    shifted: Bits = base >> base.dtype.type(kind.mantissa - 8)
    return shifted.astype(np.uint8)


def exponents(base: Bits, kind: Kind) -> NDArray[np.uint8]:
    """0 to 255, comparable among elements of one kind; 0 where the kind has no exponent."""
    if not kind.exponent:
        return np.zeros(len(base), np.uint8)
    shifted: Bits = base >> base.dtype.type(kind.mantissa)
    if kind.exponent == 8:
        return shifted.astype(np.uint8)
    field: NDArray[np.uint16] = shifted.astype(np.uint16) & np.uint16((1 << kind.exponent) - 1)
    field = np.maximum(field, np.uint16(kind.least)) - np.uint16(kind.least)
    return np.minimum(field, np.uint16(255)).astype(np.uint8)


def bit_lengths(values: Bits) -> NDArray[np.uint8]:
    """Of each value, exactly: 0 for 0."""
    if values.dtype.itemsize <= 2:
        return _exponent(values.astype(np.float32).view(np.uint32), 23, 126)
    # Without the bit below the top one no rounding can reach the next power of two.
    thinned = values >> values.dtype.type(1)
    np.invert(thinned, out=thinned)
    thinned &= values
    if values.dtype.itemsize == 4:
        return _exponent(thinned.astype(np.float32).view(np.uint32), 23, 126)
    return _exponent(thinned.astype(np.float64).view(np.uint64), 52, 1022)


def _exponent(bits: NDArray[Any], mantissa: int, bias: int) -> NDArray[np.uint8]:
    """What is in `bits` is lost."""
    shifted: NDArray[Any] = np.right_shift(bits, bits.dtype.type(mantissa), out=bits)
    if bias < 256:
        # No sign is set, so that a byte holds the field: two arrays fewer.
        octets: NDArray[np.uint8] = shifted.astype(np.uint8)
        np.maximum(octets, np.uint8(bias), out=octets)
        octets -= np.uint8(bias)
        return octets
    field: NDArray[np.int16] = shifted.astype(np.int16)
    lengths: NDArray[np.int16] = np.maximum(field - np.int16(bias), np.int16(0))
    return lengths.astype(np.uint8)


def drift(raw: Bits, base: Bits, kind: Kind) -> NDArray[np.int32] | None:
    """What weight decay alone does to an element, by its leading mantissa bits; None where no rows show it.

    AdamW multiplies a weight by 1 - rate * decay at each step, even where the gradient is zero, and each product is rounded:
    in units of the last place the sum of all steps depends on the mantissa alone. Such rows have steps of one sign and like
    size.
    """
    whole = len(raw) // GROUP
    if kind.mantissa != 23 or whole < FEWEST:
        return None
    rows, frames = (side[: whole * GROUP].reshape(-1, GROUP) for side in (raw, base))
    for most in ROWS:
        every = (whole - 1) // most + 1
        frame = frames[::every]
        moved = steps(rows[::every], frame)
        quiet = _quiet(moved)
        if int(np.count_nonzero(quiet)) * RARE < len(quiet):
            return None
    found = moved[quiet].reshape(-1).astype(np.int64)
    leading = leading_mantissa(frame[quiet].reshape(-1), kind).astype(np.int64)
    low, span = int(found.min()), int(found.max()) - int(found.min()) + 1
    if span <= SPAN:
        seen = np.bincount(leading * span + (found - low), minlength=256 * span).reshape(256, span)
        typical = seen.argmax(axis=1) + low
    else:
        sums = np.bincount(leading, weights=found, minlength=256).astype(np.int64)
        typical = sums // np.maximum(np.bincount(leading, minlength=256), 1)
    known = np.bincount(leading, minlength=256) > 0
    # An entry without a sample takes its neighbour's: the steps grow with the mantissa.
    typical = typical[np.maximum.accumulate(np.where(known, np.arange(256), 0))]
    return typical.astype(np.int32) if typical.any() else None


def survey(values: Bits) -> tuple[Bytes, Ints]:
    """The level of each group of `GROUP` values (twice the mean bit length of a quarter of them) or `STILL`; and how many
    groups have each level."""
    rows = values.reshape(-1, GROUP)
    lengths = bit_lengths(rows[:, ::LOOKED_AT].reshape(-1)).view(np.uint64).reshape(-1, GROUP // 32)
    levels = (_sums(lengths) * np.uint16(2) // np.uint16(GROUP // LOOKED_AT)).astype(np.uint8)
    levels[~_changed(rows, lengths)] = STILL
    return levels, np.bincount(levels, minlength=256)[:STILL]


def seen(values: Bits, base: Bits, kind: Kind, rows: Ints, run: int, classes: Ints, count: int) -> tuple[int, Ints]:
    """Of the elements `[row * run, (row + 1) * run)` of all `rows`, which have these `classes` of `count`: the first
    exponent that is told apart, and how often each class, exponent and bit length occur together."""
    whole = len(values) // run * run
    sample, frame = (both[:whole].reshape(-1, run)[rows].reshape(-1) for both in (values, base))
    found = exponents(frame, kind)
    tails = np.cumsum(np.bincount(found, minlength=256)[::-1])
    last = 255 - int(np.searchsorted(tails, len(found) // 1024, side="right")) if len(found) else 0
    first = min(max(last - EXPONENTS + 1, 0), 256 - EXPONENTS)
    lengths = 8 * kind.width + 2
    column = np.minimum(np.maximum(found, np.uint8(first)) - np.uint8(first), np.uint8(EXPONENTS - 1))
    keys = (classes.repeat(run) * EXPONENTS + column).astype(np.int64, copy=False)
    keys *= lengths
    keys += bit_lengths(sample)
    return first, np.bincount(keys, minlength=count * EXPONENTS * lengths).reshape(count, EXPONENTS, lengths)


def allot(seen: Ints, first: int, width: int, levels: Ints) -> Allotment:
    """A context for each class and exponent, by mean bit length. `levels` are those of the classes as wholes, in case
    that the sample has none of them."""
    cells = seen.reshape(-1, seen.shape[2])
    counts = cells.sum(axis=1)
    level = cells @ (2 * np.arange(seen.shape[2])) // np.maximum(counts, 1)
    _fill(level, counts, levels)
    merged = _merge(np.bincount(level, weights=counts, minlength=2 * seen.shape[2]).astype(np.int64))
    context = merged[level]
    by_context = np.zeros((int(merged[-1]) + 1, seen.shape[2]), np.int64)
    held = np.flatnonzero(counts)
    np.add.at(by_context, context[held], cells[held])
    costs = _costs(by_context, width)
    columns = np.clip(np.arange(256) - first, 0, EXPONENTS - 1)
    table = context.reshape(-1, EXPONENTS)[:, columns].reshape(-1).astype(np.uint8)
    lows = tuple((costs.argmin(axis=1) * STEP).tolist())
    return Allotment(table, lows, int(costs.min(axis=1).sum()), int(counts.sum()))


def _quiet(moved: NDArray[Any]) -> NDArray[np.bool_]:
    """Rows whose steps have one sign and like size."""
    least, most = moved.min(axis=1).astype(np.int64), moved.max(axis=1).astype(np.int64)
    near, far = np.minimum(abs(least), abs(most)), np.maximum(abs(least), abs(most))
    quiet: NDArray[np.bool_] = ((least > 0) == (most > 0)) & (far > 0) & (far <= 3 * near + 8) & (far < 1 << 24)
    return quiet


def _sums(lengths: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Of the bytes of each row: many at a time, in words of lanes that cannot overflow. Sums of short rows are slow in numpy."""
    even = np.uint64(0x00FF00FF00FF00FF)
    lanes = (lengths & even) + ((lengths >> np.uint64(8)) & even)
    words: NDArray[np.uint64] = lanes[:, 0] + lanes[:, 1] + lanes[:, 2] + lanes[:, 3]
    words *= np.uint64(0x0001000100010001)
    words >>= np.uint64(48)
    sums: NDArray[np.uint16] = words.astype(np.uint16)
    return sums


def _changed(rows: Bits, lengths: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Rows that are not all zero. Those are looked at as wholes whose sample has no other `lengths` than 0."""
    changed: NDArray[np.bool_] = (lengths[:, 0] | lengths[:, 1] | lengths[:, 2] | lengths[:, 3]) != 0
    unsure = np.flatnonzero(~changed)
    if len(unsure):
        changed[unsure] = np.bitwise_or.reduce(rows[unsure].view(np.uint64), axis=1) != 0
    return changed


def _fill(level: Ints, counts: Ints, levels: Ints) -> None:
    """Cells that the sample lacks take the level of the nearest exponent below, or else above, or else of their class."""
    by_class, known = level.reshape(-1, EXPONENTS), counts.reshape(-1, EXPONENTS) > 0
    index = np.where(known, np.arange(EXPONENTS), -1)
    below = np.maximum.accumulate(index, axis=1)
    first = known.argmax(axis=1)[:, None]
    filled = np.take_along_axis(by_class, np.where(below < 0, first, below), axis=1)
    by_class[:] = np.where(known.any(axis=1, keepdims=True), filled, levels[:, None])


def _merge(population: Ints) -> Ints:
    """A context for each level: neighbours share one until it holds a fair part of all."""
    enough = max(int(population.sum()) // FEW, 1)
    while True:
        merged = np.zeros(len(population), np.int64)
        context = held = 0
        for level, count in enumerate(population.tolist()):
            if held >= enough and count:
                context, held = context + 1, 0
            merged[level] = context
            held += count
        if context < CONTEXTS:
            return merged
        enough *= 2


def _costs(seen: Ints, width: int) -> Ints:
    """1/256 bits that each row's values take, by the number of bits below their symbols in steps. Values of one bit length are
    taken as uniform."""
    lows = np.arange(0, min(8 * width, 60), STEP)
    total = seen.sum(axis=1, keepdims=True)
    above = _tails(seen)
    symbols = _tails(seen * (LOG[total] - LOG[seen]))
    lengths = _tails(seen * np.arange(seen.shape[1]))
    pooled = total - above[:, lows + 1]
    costs = pooled * (LOG[total] - LOG[pooled]) + symbols[:, lows + 1]
    costs += 256 * (lengths[:, lows + 1] - (lows + 1) * above[:, lows + 1])
    result: Ints = costs + 256 * (lows * total + 8 * width * above[:, np.minimum(lows + 9, seen.shape[1])])
    return result


def _tails(counts: Ints) -> Ints:
    """Sums of each row from every place on, and the empty one."""
    sums = counts.cumsum(axis=1)
    result: Ints = sums[:, -1:] - np.concatenate([np.zeros((len(sums), 1), np.int64), sums], axis=1)
    return result
