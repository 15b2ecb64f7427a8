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

from hundredweight.codec.passes import UNCHANGED, Grouping, leading_mantissa, steps
from hundredweight.codec.statistics import GROUP, LOG, SAMPLE, STILL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.statistics import Allotment, Statistics

    Ints = NDArray[np.int64]

CONTEXT_BITS = 600
"""What one more context costs: its Huffman table, and the lengths of its runs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`grouping` without the elements behind the last whole group; for each context how many bits are below its symbols.

    `bits` is an estimate of what the values will take.
    """

    grouping: Grouping
    lows: tuple[int, ...]
    bits: int


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


def make(values: Bits, base: Bits, kind: Kind, statistics: Statistics) -> Plan:
    """A plan for these differences: in groups, unless the classes of groups would cost more than they tell."""
    whole = len(values) // GROUP
    if whole < 32:
        return _without_classes(values, base, kind, statistics)
    levels, population = statistics.survey(values[: whole * GROUP])
    moving = int(population.sum())
    if not moving or (moving == whole and _alike(population)):
        return _without_classes(values, base, kind, statistics)
    present = np.flatnonzero(population)
    class_of = np.full(STILL + 1, UNCHANGED, np.uint16)
    class_of[present] = np.arange(len(present))
    classes = class_of[levels]
    sampled = np.flatnonzero(levels != STILL)[:: moving * GROUP // SAMPLE + 1]
    of_sampled = classes[sampled].astype(np.int64)
    first, seen = statistics.seen(values, base, kind, sampled, GROUP, of_sampled, len(present))
    side = _entropy(np.append(population[present], whole - moving)) + 64 * len(present)
    allotted = statistics.allot(seen, first, kind.width, present)
    return _plan(allotted, moving * GROUP, side, Grouping(GROUP, classes, allotted.table, len(allotted.lows)))


def _alike(population: Ints) -> bool:
    """Whether all but some of the groups are within three octaves: a dense layer, whose groups differ by chance."""
    sums = population.cumsum()
    few = int(sums[-1]) // 100
    least, most = np.searchsorted(sums, (few, int(sums[-1]) - few - 1), side="right").tolist()
    return bool(most - least <= 6)


def _without_classes(values: Bits, base: Bits, kind: Kind, statistics: Statistics) -> Plan:
    rows = np.arange(0, len(values), len(values) // SAMPLE + 1)
    first, seen = statistics.seen(values, base, kind, rows, 1, np.zeros(len(rows), np.int64), 1)
    allotted = statistics.allot(seen, first, kind.width, np.zeros(1, np.int64))
    return _plan(allotted, len(values), 0, Grouping(0, np.zeros(0, np.uint16), allotted.table, len(allotted.lows)))


def _plan(allotted: Allotment, total: int, side: int, grouping: Grouping) -> Plan:
    """`total` values will be coded; the classes take `side` bits."""
    bits = allotted.cost * total // (256 * max(allotted.counted, 1)) + grouping.contexts * CONTEXT_BITS + side
    return Plan(grouping, allotted.lows, bits)


def _entropy(counts: Ints) -> int:
    """Bits that symbols of these counts take; for any number of them."""
    scale = max(1, int(counts.sum()) // SAMPLE + 1)
    counts = counts // scale
    return int((counts * (LOG[counts.sum()] - LOG[counts])).sum()) * scale // 256
