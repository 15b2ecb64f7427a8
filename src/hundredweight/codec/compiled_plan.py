"""Differences and their plan, compiled by numba: one call, that lets other threads run meanwhile.

A thread that gives the interpreter's lock away waits some 60 us until it has it back while another one works: with one call for
each step, a dozen for a segment, two workers encoded 1.3 to 1.4 times as fast as one, with three 1.7 times. Only 2- and 4-byte
elements, as `compiled`. Written as loops over integers, in the order in which numpy goes in `statistics` and `plan`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba.core import cgutils
from numba.extending import intrinsic

from hundredweight.codec import plan
from hundredweight.codec.compiling import aligned, compile_passes, compile_signatures, part_of_kernels, reads
from hundredweight.codec.plan import LEAST_GROUPS, Differences
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
    SAMPLE,
    SPAN,
    STILL,
    Allotment,
)
from hundredweight.codec.values import STEP

if TYPE_CHECKING:
    from hundredweight.codec.numbers import Bits, Kind


def _count_zeros_above(_context: Any, value: Any) -> Any:
    """Zero bits above the highest that is set; all bits of 0. One instruction."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], cgutils.false_bit)

    return value(value), generate


_zeros_above: Any = intrinsic(_count_zeros_above)


def _difference(raw: Any, base: Any, drift: Any, shift: Any, out: Any) -> None:
    word = out.dtype.type
    high, zero, one = word(8 * out.itemsize - 1), word(0), word(1)
    top = word(one << high)
    rest = word(top - one)
    drifting = len(drift) == 256
    for i in range(len(out)):
        frame = base[i]
        turned = word(raw[i] ^ (frame & top))
        turned = word(turned ^ (word(zero - word(turned >> high)) & rest))
        step = word(turned - word(frame & rest))
        if drifting:
            step = word(step - word(drift[(frame >> shift) & 255]))
        out[i] = word(step << one) ^ word(zero - word(step >> high))


@part_of_kernels
def drift(raw: Any, base: Any, typical: Any) -> Any:
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


@part_of_kernels
def _typical(moved: Any, leading: Any, typical: Any) -> bool:
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


@part_of_kernels
def survey(values: Any, levels: Any, population: Any) -> None:
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


@part_of_kernels
def seen(
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


@part_of_kernels
def allot(
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


@part_of_kernels
def _fill(level: Any, counts: Any, of_class: Any) -> None:
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


@part_of_kernels
def _merge(population: Any, merged: Any) -> int:
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


@part_of_kernels
def _cost(seen: Any, width: Any, log: Any, best: Any) -> int:
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


@part_of_kernels
def alike(population: Any) -> bool:
    total = few = least = most = held = 0
    for level in range(len(population)):
        total += population[level]
    few = total // 100
    for level in range(len(population)):
        least += held + population[level] <= few
        held += population[level]
        most += held <= total - few - 1
    return most - least <= 6


def _plan(raw: Any, frame: Any, base: Any, decays: Any, mantissa: Any, mask: Any, log: Any) -> Any:
    """`plan.differences` of two frames; the exponents are those of `base`."""
    typical = np.empty(256, np.int32)
    if not decays or not drift(raw, frame, typical):
        typical = typical[:0]
    values = np.empty(len(raw), raw.dtype)
    difference(raw, frame, typical, max(mantissa - 8, 0), values)
    levels, population = np.empty(len(values) // GROUP, np.uint8), np.zeros(STILL, np.int64)
    moving = 0
    if len(levels) >= LEAST_GROUPS:
        survey(values, levels, population)
        moving = population.sum()
    if moving == 0 or (moving == len(levels) and alike(population)):
        run, levels, present = 1, levels[:0], np.zeros(1, np.int64)
        rows = np.arange(0, len(values), len(values) // SAMPLE + 1)
        of_rows = np.zeros(len(rows), np.int64)
    else:
        run, present = GROUP, np.flatnonzero(population)
        rows = np.flatnonzero(levels != STILL)[:: moving * GROUP // SAMPLE + 1].copy()
        of_rows = np.searchsorted(present, levels[rows])
    lengths = 8 * raw.itemsize + 2
    cells = np.zeros(len(present) * EXPONENTS * lengths, np.int64)
    first = seen(values, base, rows, run, of_rows, mantissa, mask, np.empty(len(rows) * run, np.uint8), lengths, cells)
    context, table = np.empty(len(present) * EXPONENTS, np.int64), np.empty(len(present) * 256, np.uint8)
    lows, by_context = np.zeros(CONTEXTS, np.int64), np.zeros(CONTEXTS * lengths, np.int64)
    used, cost, counted = allot(cells, first, raw.itemsize, present, log, context, table, lows, by_context)
    return values, typical, levels, population, table, lows[:used], cost, counted


_types: Any = numba.types
_INTS, _READ_INTS = numba.int64[::1], reads(numba.int64)
_WORDS = (numba.uint16, numba.uint32)
difference = compile_passes(
    _difference, *((reads(word), reads(word), reads(numba.int32), numba.int64, word[::1]) for word in _WORDS)
)
_OCTETS = numba.uint8[::1]
_MADE = (numba.int32[::1], _OCTETS, _INTS, _OCTETS, _INTS, numba.int64, numba.int64)
_GIVEN = (numba.int64, numba.int64, numba.int64, _READ_INTS)
planned = compile_signatures(
    _plan,
    *(_types.Tuple((word[::1], *_MADE))(reads(word), reads(word), reads(word), *_GIVEN) for word in _WORDS),
)


def differences(raw: Bits, frame: Bits, base: Bits, kind: Kind, *, decays: bool) -> Differences:
    """`Passes.differences`."""
    decays = decays and kind.mantissa == 23 and len(raw) // GROUP >= FEWEST
    mask = (1 << kind.exponent) - 1
    values, typical, levels, population, table, lows, cost, counted = planned(
        aligned(raw), aligned(frame), aligned(base), decays, kind.mantissa, mask, LOG
    )
    allotted = Allotment(table, tuple(lows.tolist()), cost, counted)
    return Differences(values, typical if len(typical) else None, plan.finish(allotted, levels, population, len(raw)))
