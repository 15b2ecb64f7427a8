"""How the differences of one segment are grouped before they are coded. Encoders only: a decoder reads the result.

Two things tell how large a difference will be. The exponent of the base: steps of a like absolute size are many units in the last
place of a small number, and few of a large one. And the neighbourhood: rows of an embedding that training never touched
differ by nothing, or by weight decay alone. Each group of elements therefore gets a class (the mean magnitude found in
it), and each pair of class and exponent a context, that of all pairs with the same mean magnitude.

Everything is decided on a sample, and in integers: the same bytes must come out on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hundredweight.codec.passes import UNCHANGED, Grouping, exponents, leading_mantissa, steps
from hundredweight.codec.values import STEP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hundredweight.codec.numbers import Bits, Kind

    Ints = NDArray[np.int64]

GROUP = 128
SAMPLE = 1 << 14
"""Elements that statistics are taken of."""
CONTEXTS = 48
EXPONENTS = 48
"""So many exponents are told apart; those below count as the lowest of them, the rare ones above as the highest."""
CONTEXT_BITS = 600
"""What one more context costs: its Huffman table, and the lengths of its runs."""

# Logarithms to base 2 in 1/256, of the counts that a sample can have: floating point must not decide between two plans.
_LOG = np.rint(np.log2(np.maximum(np.arange(2 * SAMPLE), 1)) * 256).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Plan:
    """`grouping` without the elements behind the last whole group; for each context how many bits are below its symbols.

    `bits` is an estimate of what the values will take.
    """

    grouping: Grouping
    lows: tuple[int, ...]
    bits: int


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


def trailing_zeros(raw: Bits, base: Bits) -> int:
    """Bits that are zero at the end of all elements of both (not none): numbers that once were of a shorter type."""
    found = 0
    for few in (1024, len(raw)):
        seen = int(np.bitwise_or.reduce(raw[:few]) | np.bitwise_or.reduce(base[:few]))
        found = (seen & -seen).bit_length() - 1
        if found <= 0:
            return 0
    return found


def drift(raw: Bits, base: Bits, kind: Kind) -> NDArray[np.int32] | None:
    """What weight decay alone does to an element, by its leading mantissa bits; None where no rows show it.

    AdamW multiplies a weight by 1 - rate * decay at each step, even where the gradient is zero, and each product is rounded: in
    units of the last place the sum of all steps depends on the mantissa alone. Such rows have steps of one sign and like size.
    """
    whole = len(raw) // GROUP
    if kind.mantissa != 23 or whole < 64:
        return None
    rows, frames = (side[: whole * GROUP].reshape(-1, GROUP) for side in (raw, base))
    for most in (128, 1024):
        every = (whole - 1) // most + 1
        frame = frames[::every]
        moved = steps(rows[::every], frame)
        quiet = _quiet(moved)
        if int(np.count_nonzero(quiet)) * 32 < len(quiet):
            return None
    found = moved[quiet].reshape(-1).astype(np.int64)
    leading = leading_mantissa(frame[quiet].reshape(-1), kind).astype(np.int64)
    low, span = int(found.min()), int(found.max()) - int(found.min()) + 1
    if span <= 4096:
        seen = np.bincount(leading * span + (found - low), minlength=256 * span).reshape(256, span)
        typical = seen.argmax(axis=1) + low
    else:
        sums = np.bincount(leading, weights=found, minlength=256).astype(np.int64)
        typical = sums // np.maximum(np.bincount(leading, minlength=256), 1)
    known = np.bincount(leading, minlength=256) > 0
    # An entry without a sample takes its neighbour's: the steps grow with the mantissa.
    typical = typical[np.maximum.accumulate(np.where(known, np.arange(256), 0))]
    return typical.astype(np.int32) if typical.any() else None


def _quiet(moved: NDArray[Any]) -> NDArray[np.bool_]:
    """Rows whose steps have one sign and like size."""
    least, most = moved.min(axis=1).astype(np.int64), moved.max(axis=1).astype(np.int64)
    near, far = np.minimum(abs(least), abs(most)), np.maximum(abs(least), abs(most))
    quiet: NDArray[np.bool_] = ((least > 0) == (most > 0)) & (far > 0) & (far <= 3 * near + 8) & (far < 1 << 24)
    return quiet


def make(values: Bits, base: Bits, kind: Kind) -> Plan:
    """A plan for these differences: in groups, unless the classes of groups would cost more than they tell."""
    whole = len(values) // GROUP
    if whole < 32:
        return _without_classes(values, base, kind)
    rows = values[: whole * GROUP].reshape(-1, GROUP)
    lengths = bit_lengths(rows[:, ::4].reshape(-1)).view(np.uint64).reshape(-1, GROUP // 32)
    levels = _sums(lengths) * np.uint16(2) // np.uint16(GROUP // 4)
    changed = _changed(rows, lengths)
    population = np.bincount(levels[changed], minlength=1)
    moved = np.flatnonzero(changed)
    if not len(moved) or (len(moved) == whole and _alike(population)):
        return _without_classes(values, base, kind)
    present = np.flatnonzero(population)
    classes = np.where(changed, np.searchsorted(present, levels), UNCHANGED).astype(np.uint16)
    sampled = moved[:: len(moved) * GROUP // SAMPLE + 1]
    sample, frame = (both[: whole * GROUP].reshape(-1, GROUP)[sampled].reshape(-1) for both in (values, base))
    first, seen = _seen(sample, frame, kind, classes[sampled].astype(np.int64).repeat(GROUP), len(present))
    side = _entropy(np.bincount(np.where(changed, classes, len(present)))) + 64 * len(present)
    return _plan(seen, first, kind.width, len(moved) * GROUP, side, classes, present, GROUP)


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


def _alike(population: Ints) -> bool:
    """Whether all but some of the groups are within three octaves: a dense layer, whose groups differ by chance."""
    sums = population.cumsum()
    few = int(sums[-1]) // 100
    least, most = np.searchsorted(sums, (few, int(sums[-1]) - few - 1), side="right").tolist()
    return bool(most - least <= 6)


def _without_classes(values: Bits, base: Bits, kind: Kind) -> Plan:
    every = len(values) // SAMPLE + 1
    sample = values[::every]
    first, seen = _seen(sample, base[::every], kind, np.zeros(len(sample), np.int64), 1)
    return _plan(seen, first, kind.width, len(values), 0, np.zeros(0, np.uint16), np.zeros(1, np.int64), 0)


def _seen(values: Bits, base: Bits, kind: Kind, classes: Ints, count: int) -> tuple[int, Ints]:
    """The first exponent that is told apart, and how often each class, exponent and bit length occur together."""
    found = exponents(base, kind)
    tails = np.cumsum(np.bincount(found, minlength=256)[::-1])
    last = 255 - int(np.searchsorted(tails, len(found) // 1024, side="right")) if len(found) else 0
    first = min(max(last - EXPONENTS + 1, 0), 256 - EXPONENTS)
    lengths = 8 * kind.width + 2
    column = np.minimum(np.maximum(found, np.uint8(first)) - np.uint8(first), np.uint8(EXPONENTS - 1))
    keys = (classes * EXPONENTS + column).astype(np.int64, copy=False)
    keys *= lengths
    keys += bit_lengths(values)
    return first, np.bincount(keys, minlength=count * EXPONENTS * lengths).reshape(count, EXPONENTS, lengths)


def _plan(
    seen: Ints, first: int, width: int, total: int, side: int, classes: NDArray[np.uint16], levels: Ints, group: int
) -> Plan:
    """A context for each class and exponent, by mean bit length; `total` values will be coded.

    `levels` are those of the classes as wholes, in case that the sample has none of them.
    """
    cells = seen.reshape(-1, seen.shape[2])
    counts = cells.sum(axis=1)
    level = cells @ (2 * np.arange(seen.shape[2])) // np.maximum(counts, 1)
    _fill(level, counts, levels)
    merged = _merge(np.bincount(level, weights=counts, minlength=2 * seen.shape[2]).astype(np.int64))
    context = merged[level]
    used = int(merged[-1]) + 1
    by_context = np.zeros((used, seen.shape[2]), np.int64)
    held = np.flatnonzero(counts)
    np.add.at(by_context, context[held], cells[held])
    costs = _costs(by_context, width)
    best = costs.argmin(axis=1)
    bits = int(costs.min(axis=1).sum()) * total // (256 * max(int(counts.sum()), 1)) + used * CONTEXT_BITS + side
    columns = np.clip(np.arange(256) - first, 0, EXPONENTS - 1)
    table = context.reshape(-1, EXPONENTS)[:, columns].reshape(-1).astype(np.uint8)
    return Plan(Grouping(group, classes, table, used), tuple((best * STEP).tolist()), bits)


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
    enough = max(int(population.sum()) // 64, 1)
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


def _entropy(counts: Ints) -> int:
    """Bits that symbols of these counts take; for any number of them."""
    scale = max(1, int(counts.sum()) // SAMPLE + 1)
    counts = counts // scale
    return int((counts * (_LOG[counts.sum()] - _LOG[counts])).sum()) * scale // 256


def _costs(seen: Ints, width: int) -> Ints:
    """1/256 bits that each row's values take, by the number of bits below their symbols in steps. Values of one bit length are
    taken as uniform."""
    lows = np.arange(0, min(8 * width, 60), STEP)
    total = seen.sum(axis=1, keepdims=True)
    above = _tails(seen)
    symbols = _tails(seen * (_LOG[total] - _LOG[seen]))
    lengths = _tails(seen * np.arange(seen.shape[1]))
    pooled = total - above[:, lows + 1]
    costs = pooled * (_LOG[total] - _LOG[pooled]) + symbols[:, lows + 1]
    costs += 256 * (lengths[:, lows + 1] - (lows + 1) * above[:, lows + 1])
    result: Ints = costs + 256 * (lows * total + 8 * width * above[:, np.minimum(lows + 9, seen.shape[1])])
    return result


def _tails(counts: Ints) -> Ints:
    """Sums of each row from every place on, and the empty one."""
    sums = counts.cumsum(axis=1)
    result: Ints = sums[:, -1:] - np.concatenate([np.zeros((len(sums), 1), np.int64), sums], axis=1)
    return result
