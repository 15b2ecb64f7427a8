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
SAMPLE = 1 << 15
"""Elements that statistics are taken of."""
CONTEXTS = 48
LENGTHS = 66
"""Bit lengths of a value and one more: 0 to 64."""
CONTEXT_BITS = 600
"""What one more context costs: its Huffman table, and the lengths of its runs."""

# Logarithms to base 2 in 1/256, of the counts that a sample can have: floating point must not decide between two plans.
_LOG = np.rint(np.log2(np.maximum(np.arange(SAMPLE + 1), 1)) * 256).astype(np.int64)


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
    thinned = values & ~(values >> values.dtype.type(1))
    if values.dtype.itemsize == 4:
        return _exponent(thinned.astype(np.float32).view(np.uint32), 23, 126)
    return _exponent(thinned.astype(np.float64).view(np.uint64), 52, 1022)


def _exponent(bits: NDArray[Any], mantissa: int, bias: int) -> NDArray[np.uint8]:
    shifted: NDArray[Any] = bits >> bits.dtype.type(mantissa)
    field: NDArray[np.int16] = shifted.astype(np.int16)
    lengths: NDArray[np.int16] = np.maximum(field - np.int16(bias), np.int16(0))
    return lengths.astype(np.uint8)


def trailing_zeros(raw: Bits, base: Bits) -> int:
    """Bits that are zero at the end of all elements of both: numbers that once were of a shorter type."""
    if not len(raw):
        return 0
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
    every = max(1, whole // 2048)
    rows = slice(0, whole * GROUP)
    frame = base[rows].reshape(-1, GROUP)[::every].reshape(-1)
    moved = steps(raw[rows].reshape(-1, GROUP)[::every].reshape(-1), frame).reshape(-1, GROUP)
    least, most = moved.min(axis=1).astype(np.int64), moved.max(axis=1).astype(np.int64)
    near, far = np.minimum(abs(least), abs(most)), np.maximum(abs(least), abs(most))
    quiet = ((least > 0) == (most > 0)) & (far > 0) & (far <= 3 * near + 8) & (far < 1 << 24)
    if int(np.count_nonzero(quiet)) * 32 < len(quiet):
        return None
    found = moved[quiet].reshape(-1).astype(np.int64)
    leading = leading_mantissa(frame.reshape(-1, GROUP)[quiet].reshape(-1), kind).astype(np.int64)
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


def make(values: Bits, base: Bits, kind: Kind) -> Plan:
    """A plan for these differences."""
    whole = len(values) // GROUP
    if whole < 32:
        every = len(values) // SAMPLE + 1
        return _plain(values[::every], exponents(base[::every], kind), len(values))
    rows = values[: whole * GROUP].reshape(-1, GROUP)
    frame = base[: whole * GROUP].reshape(-1, GROUP)
    every = (len(rows) * GROUP - 1) // SAMPLE + 1
    sample, sample_frame = rows[::every], frame[::every]
    found = exponents(sample_frame.reshape(-1), kind)
    plain = _plain(sample.reshape(-1), found, len(values))
    grouped = _grouped(rows, sample, found.reshape(sample.shape), every)
    return min(plain, grouped, key=lambda plan: plan.bits)


def _plain(sample: Bits, found: NDArray[np.uint8], total: int) -> Plan:
    lengths = bit_lengths(sample).astype(np.int64)
    table, lows, bits = _contexts(lengths, found.astype(np.int64), 1, total, sample.dtype.itemsize)
    return Plan(Grouping(0, np.zeros(0, np.uint16), table, len(lows)), lows, bits)


def _grouped(rows: Bits, sample: Bits, found: NDArray[np.uint8], every: int) -> Plan:
    magnitudes = bit_lengths(rows[:, ::4].reshape(-1)).reshape(-1, GROUP // 4).sum(axis=1, dtype=np.uint16)
    levels = magnitudes * np.uint16(2) // np.uint16(GROUP // 4)
    changed = np.bitwise_or.reduce(rows.view(np.uint64), axis=1) != 0
    present = np.unique(levels[changed])
    classes = np.searchsorted(present, levels).astype(np.uint16)
    side = _entropy(np.bincount(np.where(changed, classes + 1, 0)))
    classes[~changed] = UNCHANGED
    live = changed[::every]
    lengths = bit_lengths(sample[live].reshape(-1)).astype(np.int64)
    cells = (classes[::every][live].astype(np.int64)[:, None] * 256 + found[live]).reshape(-1)
    total = int(np.count_nonzero(changed)) * GROUP
    table, lows, bits = _contexts(lengths, cells, len(present), total, rows.dtype.itemsize)
    return Plan(Grouping(GROUP, classes, table, len(lows)), lows, bits + side + 8 * len(present) * 8)


def _contexts(
    lengths: Ints, cells: Ints, classes: int, total: int, width: int
) -> tuple[NDArray[np.uint8], tuple[int, ...], int]:
    """The context of each of `classes * 256` cells, the low bits of each context, and the estimate."""
    counts = np.bincount(cells, minlength=256 * classes)
    sums = np.bincount(cells, weights=lengths, minlength=256 * classes).astype(np.int64)
    level = sums * 2 // np.maximum(counts, 1)
    _fill(level, counts)
    merged = _merge(np.bincount(level, weights=counts, minlength=2 * LENGTHS).astype(np.int64))
    table = merged[level].astype(np.uint8)
    used = int(merged[-1]) + 1
    seen = np.bincount(table[cells] * np.int64(LENGTHS) + lengths, minlength=used * LENGTHS).reshape(used, LENGTHS)
    costs = np.stack([_cost(seen, low, width) for low in range(0, min(8 * width, 60), STEP)])
    best = costs.argmin(axis=0)
    bits = int(costs.min(axis=0).sum()) * total // (256 * max(len(cells), 1)) + used * CONTEXT_BITS
    return table, tuple(int(step) * STEP for step in best), bits


def _fill(level: Ints, counts: Ints) -> None:
    """Cells that the sample does not have take the level of the nearest exponent below, or else above, in their class."""
    by_class, known = level.reshape(-1, 256), counts.reshape(-1, 256) > 0
    index = np.where(known, np.arange(256), -1)
    below = np.maximum.accumulate(index, axis=1)
    first = known.argmax(axis=1)[:, None]
    by_class[:] = np.take_along_axis(by_class, np.where(below < 0, first, below), axis=1)


def _merge(population: Ints) -> Ints:
    """A context for each level: neighbours share one until it holds a fair part of all."""
    enough = max(int(population.sum()) // 256, 1)
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


def _cost(seen: Ints, low: int, width: int) -> Ints:
    """1/256 bits that each row's values take with `low` bits below their symbols; those of one bit length count as uniform."""
    total = seen.sum(axis=1)
    pooled = seen[:, : low + 1].sum(axis=1)
    above = seen[:, low + 1 :]
    cost = pooled * (_LOG[total] - _LOG[pooled]) + (above * (_LOG[total][:, None] - _LOG[above])).sum(axis=1)
    cost += 256 * (above * np.arange(above.shape[1])).sum(axis=1)
    cost += 256 * low * total
    result: Ints = cost + 256 * 8 * width * seen[:, low + 9 :].sum(axis=1)
    return result
