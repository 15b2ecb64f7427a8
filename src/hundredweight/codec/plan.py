"""How the differences of one segment are grouped before they are coded. Encoders only: a decoder reads the result.

Two things tell how large a difference will be. The exponent of the base: steps of a like absolute size are many units in the last
place of a small number, and few of a large one. And the neighbourhood: rows of an embedding that training never touched
differ by nothing, or by weight decay alone. Each group of elements therefore gets a class (the mean magnitude found in
it), and each pair of class and exponent a context, that of all pairs with the same mean magnitude.

Everything is decided on a sample, and in integers: the same bytes must come out on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hundredweight.codec import statistics
from hundredweight.codec.statistics import GROUP, LOG, SAMPLE, STILL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.statistics import Allotment
    from hundredweight.codec.streams import Bytes

    Ints = NDArray[np.int64]

CONTEXT_BITS = 600
"""What one more context costs: its Huffman table, and the lengths of its runs."""
LEAST_GROUPS = 32
UNCHANGED = 0xFFFF
"""In place of a class: all values of the group are zero, and none of them is coded."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """How elements come by their contexts: `table[classes[i // group] * 256 + exponent of base[i]]`.

    `group` divides the number of elements; 0 for a single class. `classes` has `UNCHANGED` where a group is left out.
    """

    group: int
    classes: NDArray[np.uint16]
    table: NDArray[np.uint8]
    contexts: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`grouping` without the elements behind the last whole group; for each context how many bits are below its symbols.

    `bits` is an estimate of what the values will take.
    """

    grouping: Grouping
    lows: tuple[int, ...]
    bits: int


@dataclass(frozen=True, slots=True)
class Differences:
    """Zigzag differences, what weight decay alone does to them, if anything, and a plan for them."""

    values: Bits
    drift: NDArray[np.int32] | None
    plan: Plan


def trailing_zeros(raw: Bits, base: Bits) -> int:
    """Bits that are zero at the end of all elements of both (not none): numbers that once were of a shorter type."""
    found = 0
    # So few first that numpy keeps the interpreter's lock: to get it back takes longer.
    for few in (64, len(raw)):
        seen = int(np.bitwise_or.reduce(raw[:few]) | np.bitwise_or.reduce(base[:few]))
        found = (seen & -seen).bit_length() - 1
        if found <= 0:
            return 0
    return found


def make(values: Bits, base: Bits, kind: Kind) -> Plan:
    """A plan for these differences: in groups, unless the classes of groups would cost more than they tell."""
    whole = len(values) // GROUP
    levels, population = np.zeros(0, np.uint8), np.zeros(STILL, np.int64)
    if whole >= LEAST_GROUPS:
        levels, population = statistics.survey(values[: whole * GROUP])
    moving = int(population.sum())
    if not moving or (moving == whole and _alike(population)):
        levels = levels[:0]
        rows = np.arange(0, len(values), len(values) // SAMPLE + 1)
        first, seen = statistics.seen(values, base, kind, rows, 1, np.zeros(len(rows), np.int64), 1)
        allotted = statistics.allot(seen, first, kind.width, np.zeros(1, np.int64))
    else:
        present = np.flatnonzero(population)
        rows = np.flatnonzero(levels != STILL)[:: moving * GROUP // SAMPLE + 1]
        of_rows = np.searchsorted(present, levels[rows])
        first, seen = statistics.seen(values, base, kind, rows, GROUP, of_rows, len(present))
        allotted = statistics.allot(seen, first, kind.width, present)
    return finish(allotted, levels, population, len(values))


def _alike(population: Ints) -> bool:
    """Whether all but some of the groups are within three octaves: a dense layer, whose groups differ by chance."""
    sums = population.cumsum()
    few = int(sums[-1]) // 100
    least, most = np.searchsorted(sums, (few, int(sums[-1]) - few - 1), side="right").tolist()
    return bool(most - least <= 6)


def finish(allotted: Allotment, levels: Bytes, population: Ints, length: int) -> Plan:
    """A plan for so many values, of contexts that were allotted by the levels of groups (`statistics.survey`), or without any."""
    contexts = len(allotted.lows)
    if not len(levels):
        grouping, side = Grouping(0, np.zeros(0, np.uint16), allotted.table, contexts), 0
    else:
        present = np.flatnonzero(population)
        moving = int(population.sum())
        class_of = np.full(STILL + 1, UNCHANGED, np.uint16)
        class_of[present] = np.arange(len(present))
        grouping = Grouping(GROUP, class_of[levels], allotted.table, contexts)
        side = _entropy(np.append(population[present], len(levels) - moving)) + 64 * len(present)
        length = moving * GROUP
    bits = allotted.cost * length // (256 * max(allotted.counted, 1)) + contexts * CONTEXT_BITS + side
    return Plan(grouping, allotted.lows, bits)


def _entropy(counts: Ints) -> int:
    """Bits that symbols of these counts take; for any number of them."""
    scale = max(1, int(counts.sum()) // SAMPLE + 1)
    counts = counts // scale
    return int((counts * (LOG[counts.sum()] - LOG[counts])).sum()) * scale // 256
