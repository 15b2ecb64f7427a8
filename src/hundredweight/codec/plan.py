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

from hundredweight.codec.passes import UNCHANGED, Grouping
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
