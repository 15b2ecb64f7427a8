"""The statistics of `statistics`, compiled by numba: one call for each, that lets other threads run meanwhile.

Only 2- and 4-byte elements, as `compiled`. Written as loops over integers, in the order in which numpy would go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba.core import cgutils
from numba.extending import intrinsic

from hundredweight.codec.compiling import aligned, compile_passes, reads
from hundredweight.codec.statistics import (
    CONTEXTS,
    EXPONENTS,
    FEW,
    FEWEST,
    GROUP,
    LOG,
    LOOKED_AT,
    RARE,
    ROWS,
    SPAN,
    STILL,
    Allotment,
    NumpyStatistics,
)
from hundredweight.codec.values import MODE_SAMPLE, PAIRS, QUADS, SINGLE, SPARSE, STEP, TRIPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.statistics import Ints
    from hundredweight.codec.streams import Bytes

WIDTHS = (2, 4)


def _count_zeros_above(_context: Any, value: Any) -> Any:
    """Zero bits above the highest that is set; all bits of 0. One instruction."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], cgutils.false_bit)

    return value(value), generate


_zeros_above: Any = intrinsic(_count_zeros_above)


def _drift(raw: Any, base: Any, typical: Any) -> Any:
    """Whether there is any; `typical` gets its 256 entries."""
    top, rest, high, zero = np.uint32(1 << 31), np.uint32((1 << 31) - 1), np.uint32(31), np.uint32(0)
    whole = len(raw) // GROUP
    moved = np.empty(ROWS[1] * GROUP, np.int32)
    leading = np.empty(ROWS[1] * GROUP, np.uint8)
    count = 0
    for most in ROWS:
        every = (whole - 1) // most + 1
        looked = count = 0
        for row in range(0, whole, every):
            looked += 1
            source, frame = raw[row * GROUP : (row + 1) * GROUP], base[row * GROUP : (row + 1) * GROUP]
            steps, shown = moved[count * GROUP : (count + 1) * GROUP], leading[count * GROUP : (count + 1) * GROUP]
            least, greatest = np.int32(2147483647), np.int32(-2147483648)
            for i in range(GROUP):
                turned = np.uint32(source[i] ^ (frame[i] & top))
                turned = np.uint32(turned ^ (np.uint32(zero - np.uint32(turned >> high)) & rest))
                step = np.int32(np.uint32(turned - np.uint32(frame[i] & rest)))
                steps[i] = step
                shown[i] = np.uint8((frame[i] >> np.uint32(15)) & np.uint32(255))
                least, greatest = min(least, step), max(greatest, step)
            low, far = abs(np.int64(least)), abs(np.int64(greatest))
            near, far = min(low, far), max(low, far)
            # The next quiet row takes the place of one that is not.
            if (least > 0) == (greatest > 0) and far > 0 and far <= 3 * near + 8 and far < 1 << 24:
                count += 1
        if count * RARE < looked:
            return False
    return _typical(moved[: count * GROUP], leading[: count * GROUP], typical)


def _typical_steps(moved: Any, leading: Any, typical: Any) -> bool:
    """The step that is most frequent, or where they are very different the mean one, of each leading mantissa."""
    known = np.zeros(256, np.int64)
    least = greatest = np.int64(moved[0])
    for i in range(len(moved)):
        known[leading[i]] += 1
        least, greatest = min(least, np.int64(moved[i])), max(greatest, np.int64(moved[i]))
    span = greatest - least + 1
    if span <= SPAN:
        seen = np.zeros((256, span), np.int32)
        for i in range(len(moved)):
            seen[leading[i], np.int64(moved[i]) - least] += 1
        for entry in range(256):
            best = 0
            for step in range(1, span):
                if seen[entry, step] > seen[entry, best]:
                    best = step
            typical[entry] = best + least
    else:
        sums = np.zeros(256, np.int64)
        for i in range(len(moved)):
            sums[leading[i]] += moved[i]
        for entry in range(256):
            typical[entry] = sums[entry] // max(known[entry], 1)
    nearest = 0
    some = False
    for entry in range(256):
        if known[entry]:
            nearest = entry
        typical[entry] = typical[nearest]
        some |= typical[entry] != 0
    return some


def _survey(values: Any, levels: Any, population: Any) -> None:
    for row in range(len(levels)):
        part = values[row * GROUP : (row + 1) * GROUP]
        total, some = np.uint32(0), np.uint32(0)
        for i in range(0, GROUP, LOOKED_AT):
            value = np.uint32(part[i])
            some |= value
            total += np.uint32(32) - _zeros_above(value)
        if some == 0:
            for i in range(GROUP):
                some |= np.uint32(part[i])
        if some == 0:
            levels[row] = STILL
        else:
            level = total * np.uint32(2) // np.uint32(GROUP // LOOKED_AT)
            levels[row] = level
            population[level] += 1


def _seen(
    values: Any,
    base: Any,
    rows: Any,
    run: Any,
    classes: Any,
    shift: Any,
    mask: Any,
    found: Any,
    lengths: Any,
    seen: Any,
) -> int:
    """`seen` is flat; `found` has room for the exponent of each element."""
    population = np.zeros(256, np.int64)
    at = 0
    for row in range(len(rows)):
        frame = base[rows[row] * run : (rows[row] + 1) * run]
        for i in range(run):
            exponent = (np.uint32(frame[i]) >> np.uint32(shift)) & np.uint32(mask)
            found[at] = exponent
            population[exponent] += 1
            at += 1
    last = 255
    above = 0
    while last >= 0:
        above += population[last]
        if above > at // 1024:
            break
        last -= 1
    first = min(max(last - EXPONENTS + 1, 0), 256 - EXPONENTS) if at else 0
    at = 0
    for row in range(len(rows)):
        part = values[rows[row] * run : (rows[row] + 1) * run]
        start = classes[row] * EXPONENTS
        for i in range(run):
            column = min(max(np.int64(found[at]) - first, 0), EXPONENTS - 1)
            length = np.int64(np.uint32(32) - _zeros_above(np.uint32(part[i])))
            seen[(start + column) * lengths + length] += 1
            at += 1
    return first


def _allot(
    seen: Any, first: Any, width: Any, levels: Any, log: Any, context: Any, table: Any, lows: Any, by_context: Any
) -> Any:
    """How many contexts there are, what they cost, how many values were counted. `context` has a place for each cell."""
    lengths = 8 * width + 2
    cells = len(context)
    population = np.zeros(2 * lengths, np.int64)
    counts = np.zeros(cells, np.int64)
    counted = 0
    for cell in range(cells):
        total = weighted = 0
        for length in range(lengths):
            number = seen[cell * lengths + length]
            total += number
            weighted += number * 2 * length
        counts[cell] = total
        context[cell] = weighted // max(total, 1)
        counted += total
    for row in range(len(levels)):
        _fill(
            context[row * EXPONENTS : (row + 1) * EXPONENTS],
            counts[row * EXPONENTS : (row + 1) * EXPONENTS],
            levels[row],
        )
    for cell in range(cells):
        population[context[cell]] += counts[cell]
    merged = np.zeros(2 * lengths, np.int64)
    used = _merge(population, merged)
    for cell in range(cells):
        context[cell] = merged[context[cell]]
        if counts[cell]:
            start = context[cell] * lengths
            for length in range(lengths):
                by_context[start + length] += seen[cell * lengths + length]
    for row in range(len(levels)):
        for exponent in range(256):
            column = min(max(exponent - first, 0), EXPONENTS - 1)
            table[row * 256 + exponent] = context[row * EXPONENTS + column]
    cost = 0
    for number in range(used):
        cost += _cost(by_context[number * lengths : (number + 1) * lengths], width, log, lows[number : number + 1])
    return used, cost, counted


def _fill_row(level: Any, counts: Any, of_class: Any) -> None:
    known = 0
    while known < EXPONENTS and counts[known] == 0:
        known += 1
    for exponent in range(EXPONENTS):
        if known == EXPONENTS:
            level[exponent] = of_class
        elif counts[exponent]:
            known = exponent
        else:
            level[exponent] = level[known]


def _merge_levels(population: Any, merged: Any) -> int:
    total = 0
    for level in range(len(population)):
        total += population[level]
    enough = max(total // FEW, 1)
    while True:
        context = held = 0
        for level in range(len(population)):
            if held >= enough and population[level]:
                context, held = context + 1, 0
            merged[level] = context
            held += population[level]
        if context < CONTEXTS:
            return int(merged[-1] + 1)
        enough *= 2


def _cost_of(seen: Any, width: Any, log: Any, best: Any) -> int:
    """The least of the costs; `best` is the number of low bits that gives it."""
    lengths = len(seen)
    above, symbols, bits = (
        np.zeros(lengths + 1, np.int64),
        np.zeros(lengths + 1, np.int64),
        np.zeros(lengths + 1, np.int64),
    )
    total = 0
    for length in range(lengths):
        total += seen[length]
    for length in range(lengths - 1, -1, -1):
        above[length] = above[length + 1] + seen[length]
        symbols[length] = symbols[length + 1] + seen[length] * (log[total] - log[seen[length]])
        bits[length] = bits[length + 1] + seen[length] * length
    least = -1
    for low in range(0, min(8 * width, 60), STEP):
        pooled = total - above[low + 1]
        cost = pooled * (log[total] - log[pooled]) + symbols[low + 1]
        cost += 256 * (bits[low + 1] - (low + 1) * above[low + 1])
        cost += 256 * (low * total + 8 * width * above[min(low + 9, lengths)])
        if least < 0 or cost < least:
            least = cost
            best[0] = low
    return least


def _modes(symbols: Any, counts: Any, modes: Any) -> None:
    start = 0
    for run in range(len(counts)):
        part = symbols[start : start + counts[run]]
        start += counts[run]
        step = len(part) // MODE_SAMPLE + 1
        number = zero = two = four = most = 0
        for i in range(0, len(part), step):
            number += 1
            zero += part[i] > 0
            two += part[i] > 2
            four += part[i] > 4
            most += part[i] > 14
        if number == 0 or zero * 8 < number:
            modes[run] = SPARSE
        elif two * 24 < number:
            modes[run] = QUADS
        elif four * 24 < number:
            modes[run] = TRIPLES
        elif most * 24 < number:
            modes[run] = PAIRS
        else:
            modes[run] = SINGLE


_types: Any = numba.types
_INTS, _READ_INTS = numba.int64[::1], reads(numba.int64)
_WORDS = (numba.uint16, numba.uint32)
_fill = compile_passes(_fill_row, (_INTS, _INTS, numba.int64))
_merge = compile_passes(_merge_levels, (_INTS, _INTS), result=numba.int64)
_cost = compile_passes(_cost_of, (_INTS, numba.int64, _READ_INTS, _INTS), result=numba.int64)
_typical = compile_passes(_typical_steps, (numba.int32[::1], numba.uint8[::1], numba.int32[::1]), result=numba.boolean)
drift = compile_passes(_drift, (reads(numba.uint32), reads(numba.uint32), numba.int32[::1]), result=numba.boolean)
survey = compile_passes(_survey, *((reads(word), numba.uint8[::1], _INTS) for word in _WORDS))
_ROWS = (_READ_INTS, numba.int64, _READ_INTS)
_SHAPE = (numba.int64, numba.int64)
_FOUND = (numba.uint8[::1], numba.int64, _INTS)
seen = compile_passes(
    _seen, *((reads(word), reads(word), *_ROWS, *_SHAPE, *_FOUND) for word in _WORDS), result=numba.int64
)
allot = compile_passes(
    _allot,
    (_INTS, numba.int64, numba.int64, _READ_INTS, _READ_INTS, _INTS, numba.uint8[::1], _INTS, _INTS),
    result=_types.UniTuple(numba.int64, 3),
    release=False,
)
modes = compile_passes(_modes, (reads(numba.uint8), _READ_INTS, _INTS), release=False)


class CompiledStatistics:
    """Numba where it has kernels, numpy where it has none. Without state."""

    def __init__(self) -> None:
        self.others = NumpyStatistics()

    def drift(self, raw: Bits, base: Bits, kind: Kind) -> NDArray[np.int32] | None:
        if kind.mantissa != 23 or len(raw) // GROUP < FEWEST:
            return None
        typical = np.empty(256, np.int32)
        return typical if drift(aligned(raw), aligned(base), typical) else None

    def survey(self, values: Bits) -> tuple[Bytes, Ints]:
        if values.dtype.itemsize not in WIDTHS:
            return self.others.survey(values)
        levels, population = np.empty(len(values) // GROUP, np.uint8), np.zeros(STILL, np.int64)
        survey(aligned(values), levels, population)
        return levels, population

    def seen(
        self, values: Bits, base: Bits, kind: Kind, rows: Ints, run: int, classes: Ints, count: int
    ) -> tuple[int, Ints]:
        if kind.width not in WIDTHS:
            return self.others.seen(values, base, kind, rows, run, classes, count)
        lengths = 8 * kind.width + 2
        found, cells = np.empty(len(rows) * run, np.uint8), np.zeros(count * EXPONENTS * lengths, np.int64)
        shape = kind.mantissa, (1 << kind.exponent) - 1
        first = seen(
            aligned(values), aligned(base), np.ascontiguousarray(rows), run, classes, *shape, found, lengths, cells
        )
        return first, cells.reshape(count, EXPONENTS, lengths)

    def allot(self, seen: Ints, first: int, width: int, levels: Ints) -> Allotment:
        if width not in WIDTHS:
            return self.others.allot(seen, first, width, levels)
        classes, _, lengths = seen.shape
        context, table = np.empty(classes * EXPONENTS, np.int64), np.empty(classes * 256, np.uint8)
        lows, by_context = np.zeros(CONTEXTS, np.int64), np.zeros(CONTEXTS * lengths, np.int64)
        used, cost, counted = allot(seen.reshape(-1), first, width, levels, LOG, context, table, lows, by_context)
        return Allotment(table, tuple(lows[:used].tolist()), cost, counted)
