"""The passes of `passes`, compiled by numba. Importing this costs a second or so: `kernel` decides when it pays.

Only 2- and 4-byte elements, which is what weights are made of. All arithmetic is unsigned and of the elements' own width, all
indices are bounded by what `delta` checked: classes are below the table's, contexts below the counts'. As few
calls as can be: `compiled_plan` says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from hundredweight.codec.compiling import aligned, compile_passes, compile_signatures, part_of_kernels, reads
from hundredweight.codec.passes import TURNED_SAMPLE, NumpyPasses
from hundredweight.codec.plan import UNCHANGED
from hundredweight.codec.values import ESCAPE, MODE_SAMPLE, PAIRS, QUADS, SINGLE, SPARSE, TRIPLES, Cut

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.passes import Partition
    from hundredweight.codec.plan import Differences, Grouping, Plan
    from hundredweight.codec.streams import Bytes
    from hundredweight.codec.values import Parts, Runs

_NO_DRIFT = np.zeros(0, np.int32)
_NOTHING = np.zeros(0, np.uint8)


_OCTETS, _LANES, _PLACES = numba.uint8[::1], numba.int64[:, ::1], numba.uint64[:, ::1]
_CLASSES, _TABLE, _CONTEXTS, _DRIFT = (reads(item) for item in (numba.uint16, numba.uint8, numba.uint8, numba.int32))
_COUNTS = reads(numba.int64)
_WORDS = (numba.uint16, numba.uint32)
LANES = 4
INVERSE_BITS = 10
"""What digits are divided by, as a fraction of so many bits: exact for bytes, and many at a time."""
UNGROUPED = 128
"""Elements of a row where there are no groups; the last may be shorter, which the kernels allow behind the lanes."""


def _planes(octets: Any, width: int) -> Any:
    types: Any = numba.types
    return types.UniTuple(octets, width)


def _restore_of(word: Any, bits: int) -> Any:
    high = word(bits - 1)
    top = word(1 << (bits - 1))
    rest = word((1 << (bits - 1)) - 1)
    zero, one = word(0), word(1)

    def restore(values: Any, base: Any, drift: Any, shift: Any, out: Any) -> None:
        drifting = len(drift) == 256
        for i in range(len(out)):
            frame = base[i]
            step = word(word(values[i] >> one) ^ word(zero - word(values[i] & one)))
            if drifting:
                step = word(step + word(drift[(frame >> shift) & 255]))
            turned = word(step + word(frame & rest))
            turned = word(turned ^ (word(zero - word(turned >> high)) & rest))
            out[i] = turned ^ word(frame & top)

    return restore


# Loops run from zero over slices, and other indices are unsigned: numba would check an index that might be negative at every
# element, and keep the compiler from vector instructions.


@part_of_kernels
def fold(symbols: Any, base: Any, packed: Any, excess: Any) -> Any:
    """How much of `excess` was written."""
    most, share, weight = np.uint8(base - 1), len(packed), np.uint8(1)
    packed[:] = 0
    for place in range(-(-len(symbols) // max(share, 1))):
        source = symbols[place * share :][:share]
        for i in range(len(source)):
            packed[i] += min(source[i], most) * weight
        weight = np.uint8(weight * base)
    count = np.uint64(0)
    for i in range(len(symbols)):
        # Written anyhow, counted only if it counts: no branch to guess.
        excess[count] = symbols[i] - most
        count += np.uint64(symbols[i] >= most)
    return count


def _unfold(packed: Any, base: Any, inverse: Any, rest: Any, symbols: Any) -> int:
    share, most = len(packed), np.uint8(base - 1)
    rest[:] = packed
    for start in range(0, len(symbols), max(share, 1)):
        part = symbols[start : start + share]
        for i in range(len(part)):
            digits = np.uint32(rest[i])
            higher = np.uint32(np.uint32(digits * inverse) >> np.uint32(INVERSE_BITS))
            part[i] = np.uint8(digits - np.uint32(higher * base))
            rest[i] = np.uint8(higher)
    count = 0
    for i in range(len(symbols)):
        count += symbols[i] == most
    return count


def _exceed(symbols: Any, most: Any, excess: Any) -> None:
    at = 0
    for i in range(len(symbols)):
        if symbols[i] == most and at < len(excess):
            symbols[i] += excess[at]
            at += 1


def _find(symbols: Any, wanted: Any) -> Any:
    count, block = 0, 64
    for i in range(len(symbols)):
        count += symbols[i] == wanted
    found, at = np.empty(count, np.int64), 0
    for start in range(0, len(symbols) if count else 0, block):
        part, some = symbols[start : start + block], np.uint8(0)
        for i in range(len(part)):
            some |= np.uint8(part[i] == wanted)
        if some:
            for i in range(len(part)):
                if part[i] == wanted:
                    found[at] = start + i
                    at += 1
    return found


@part_of_kernels
def gaps(symbols: Any, coded: Any, rest: Any) -> Any:
    """How much of `coded` and `rest` was written."""
    length = count = 0
    last = -1
    for i in range(len(symbols)):
        if symbols[i]:
            gap = i - last - 1
            while gap >= 255:
                coded[length] = 255
                length += 1
                gap -= 255
            coded[length] = gap
            length += 1
            rest[count] = symbols[i] - np.uint8(1)
            count += 1
            last = i
    return length, count


# What a place or a count of a context becomes is known only once its last use was written: elements of four distant lanes take
# turns, each lane with counts and places of its own, so that the processor has something to do meanwhile. Twice as fast.


@part_of_kernels
def assign(
    base: Any, rows: Any, classes: Any, table: Any, group: Any, shift: Any, mask: Any, contexts: Any, counts: Any
) -> None:
    share = max(len(rows) - 1, 0) // 4
    n0, n1, n2, n3, n4 = counts[0], counts[1], counts[2], counts[3], counts[4]
    for k in range(share):
        r0, r1, r2, r3 = rows[k], rows[share + k], rows[2 * share + k], rows[3 * share + k]
        known0, known1 = table[np.int64(classes[r0]) * 256 :][:256], table[np.int64(classes[r1]) * 256 :][:256]
        known2, known3 = table[np.int64(classes[r2]) * 256 :][:256], table[np.int64(classes[r3]) * 256 :][:256]
        s0, s1 = base[r0 * group : (r0 + 1) * group], base[r1 * group : (r1 + 1) * group]
        s2, s3 = base[r2 * group : (r2 + 1) * group], base[r3 * group : (r3 + 1) * group]
        t0, t1 = contexts[r0 * group : (r0 + 1) * group], contexts[r1 * group : (r1 + 1) * group]
        t2, t3 = contexts[r2 * group : (r2 + 1) * group], contexts[r3 * group : (r3 + 1) * group]
        for i in range(group):
            c0, c1 = known0[np.uint64((s0[i] >> shift) & mask)], known1[np.uint64((s1[i] >> shift) & mask)]
            c2, c3 = known2[np.uint64((s2[i] >> shift) & mask)], known3[np.uint64((s3[i] >> shift) & mask)]
            t0[i], t1[i], t2[i], t3[i] = c0, c1, c2, c3
            n0[c0] += 1
            n1[c1] += 1
            n2[c2] += 1
            n3[c3] += 1
    for k in range(4 * share, len(rows)):
        known = table[np.int64(classes[rows[k]]) * 256 :][:256]
        source, target = base[rows[k] * group :][:group], contexts[rows[k] * group :][:group]
        for i in range(len(source)):
            context = known[np.uint64((source[i] >> shift) & mask)]
            target[i] = context
            n4[context] += 1


@part_of_kernels
def split(values: Any, rows: Any, group: Any, contexts: Any, places: Any, out: Any) -> None:
    share, one = max(len(rows) - 1, 0) // 4, np.uint64(1)
    n0, n1, n2, n3, n4 = places[0], places[1], places[2], places[3], places[4]
    for k in range(share):
        a0, a1, a2, a3 = (
            rows[k] * group,
            rows[share + k] * group,
            rows[2 * share + k] * group,
            rows[3 * share + k] * group,
        )
        s0, s1, s2, s3 = values[a0:][:group], values[a1:][:group], values[a2:][:group], values[a3:][:group]
        w0, w1, w2, w3 = contexts[a0:][:group], contexts[a1:][:group], contexts[a2:][:group], contexts[a3:][:group]
        for i in range(group):
            p0, p1, p2, p3 = n0[w0[i]], n1[w1[i]], n2[w2[i]], n3[w3[i]]
            n0[w0[i]], n1[w1[i]], n2[w2[i]], n3[w3[i]] = p0 + one, p1 + one, p2 + one, p3 + one
            out[p0], out[p1], out[p2], out[p3] = s0[i], s1[i], s2[i], s3[i]
    for k in range(4 * share, len(rows)):
        source, where = values[rows[k] * group :][:group], contexts[rows[k] * group :][:group]
        for i in range(len(source)):
            place = n4[where[i]]
            n4[where[i]] = place + one
            out[place] = source[i]


def _join(parts: Any, rows: Any, group: Any, contexts: Any, places: Any, out: Any) -> None:
    share, one = max(len(rows) - 1, 0) // 4, np.uint64(1)
    n0, n1, n2, n3, n4 = places[0], places[1], places[2], places[3], places[4]
    for k in range(share):
        a0, a1, a2, a3 = (
            rows[k] * group,
            rows[share + k] * group,
            rows[2 * share + k] * group,
            rows[3 * share + k] * group,
        )
        t0, t1, t2, t3 = out[a0:][:group], out[a1:][:group], out[a2:][:group], out[a3:][:group]
        w0, w1, w2, w3 = contexts[a0:][:group], contexts[a1:][:group], contexts[a2:][:group], contexts[a3:][:group]
        for i in range(group):
            p0, p1, p2, p3 = n0[w0[i]], n1[w1[i]], n2[w2[i]], n3[w3[i]]
            n0[w0[i]], n1[w1[i]], n2[w2[i]], n3[w3[i]] = p0 + one, p1 + one, p2 + one, p3 + one
            t0[i], t1[i], t2[i], t3[i] = parts[p0], parts[p1], parts[p2], parts[p3]
    for k in range(4 * share, len(rows)):
        target, where = out[rows[k] * group :][:group], contexts[rows[k] * group :][:group]
        for i in range(len(target)):
            place = n4[where[i]]
            n4[where[i]] = place + one
            target[i] = parts[place]


@part_of_kernels
def modes(symbols: Any, counts: Any, found: Any) -> None:
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
            found[run] = SPARSE
        elif two * 24 < number:
            found[run] = QUADS
        elif four * 24 < number:
            found[run] = TRIPLES
        elif most * 24 < number:
            found[run] = PAIRS
        else:
            found[run] = SINGLE


@part_of_kernels
def cut(values: Any, counts: Any, lows: Any, symbols: Any, octets: Any, halves: Any) -> None:
    """Bytes of like significance have a row of `octets`."""
    word = values.dtype.type
    most = word(ESCAPE)
    start = half = 0
    places = np.zeros(8, np.int64)
    for run in range(len(counts)):
        low, count = word(lows[run]), counts[run]
        source, target = values[start : start + count], symbols[start : start + count]
        for i in range(count):
            target[i] = min(word(source[i] >> low), most)
        for index in range(lows[run] // 8):
            target, shift = octets[index][places[index] : places[index] + count], word(8 * index)
            for i in range(count):
                target[i] = word(source[i] >> shift) & word(255)
            places[index] += count
        if lows[run] % 8:
            target, shift = halves[half : half + count], word(lows[run] // 8 * 8)
            for i in range(count):
                target[i] = word(source[i] >> shift) & word(15)
            half += count
        start += count


def _write(values: Any, counts: Any, lows: Any) -> Any:
    """Symbols, for each run its mode and how long its two streams are, these (run after run, each with room for the run and one
    more), values that exceed their symbols, bytes below symbols and how many of each significance, half bytes."""
    width, total, runs = values.itemsize, len(values), len(counts)
    below, halved = np.zeros(width, np.int64), 0
    for run in range(runs):
        for index in range(lows[run] // 8):
            below[index] += counts[run]
        halved += counts[run] * (lows[run] % 8 > 0)
    symbols, halves = np.empty(total, np.uint8), np.empty(halved, np.uint8)
    octets = np.empty((width, below.max()), np.uint8)
    cut(values, counts, lows, symbols, octets, halves)
    kinds, lengths = np.empty(runs, np.int64), np.zeros((runs, 2), np.int64)
    modes(symbols, counts, kinds)
    first, second = np.empty(total + runs, np.uint8), np.empty(total + runs, np.uint8)
    start = 0
    for run in range(runs):
        part = symbols[start : start + counts[run]]
        one, other = first[start + run :][: len(part) + 1], second[start + run :][: len(part) + 1]
        start += counts[run]
        if kinds[run] == SPARSE:
            lengths[run, 0], lengths[run, 1] = gaps(part, one, other)
        elif kinds[run] != SINGLE:
            base, digits = (16, 2) if kinds[run] == PAIRS else (6, 3) if kinds[run] == TRIPLES else (4, 4)
            lengths[run, 0] = (len(part) + digits - 1) // digits
            lengths[run, 1] = fold(part, base, one[: lengths[run, 0]], other)
    escapes = 0
    for i in range(total):
        escapes += symbols[i] == ESCAPE
    exceeding = np.empty(escapes, values.dtype)
    if escapes:
        at = 0
        for i in range(total):
            if symbols[i] == ESCAPE:
                exceeding[at] = values[i]
                at += 1
    middle = (halved + 1) // 2
    packed, upper = halves[:middle], halves[middle:]
    for i in range(len(upper)):
        packed[i] |= np.uint8(upper[i] << np.uint8(4))
    return symbols, kinds, lengths, first, second, exceeding, octets, below, packed


def _place(base: Any, classes: Any, group: Any, table: Any, number: Any, shift: Any, mask: Any) -> Any:
    """Rows that take part, contexts of elements, how many have each of `number` contexts, where each lane's begin."""
    rows = np.flatnonzero(classes != UNCHANGED)
    contexts, lanes = np.empty(len(base), np.uint8), np.zeros((LANES + 1, number), np.int64)
    assign(base, rows, classes, table, group, shift, mask, contexts, lanes)
    # Of each context the elements of the first lane come first.
    counts, places, at = np.zeros(number, np.int64), np.empty((LANES + 1, number), np.uint64), 0
    for context in range(number):
        for lane in range(LANES + 1):
            places[lane, context] = at
            at += lanes[lane, context]
            counts[context] += lanes[lane, context]
    return rows, contexts, counts, places


def _write_by_context(
    values: Any, base: Any, classes: Any, group: Any, table: Any, lows: Any, shift: Any, mask: Any
) -> Any:
    rows, contexts, counts, places = place(base, classes, group, table, len(lows), shift, mask)
    parts = np.empty(counts.sum(), values.dtype)
    split(values, rows, group, contexts, places, parts)
    return counts, write(parts, counts, lows)


def _turn(raw: Any, low: Any, out: Any) -> Any:
    word = out.dtype.type
    one, top, below = word(1), word(8 * out.itemsize - 1), word(low)
    for i in range(len(out)):
        out[i] = word(raw[i] << one) | word(raw[i] >> top)
    counts = np.zeros(1 << (8 * out.itemsize - low), np.int64)
    for i in range(0, len(out), len(out) // TURNED_SAMPLE + 1):
        counts[np.int64(out[i] >> below)] += 1
    held = most = counts[:ESCAPE].sum()
    origin = 0
    for first in range(1, len(counts) - ESCAPE + 1):
        held += counts[first + ESCAPE - 1] - counts[first - 1]
        if held > most:
            most, origin = held, first
    taken = word(word(origin) << below)
    for i in range(len(out)):
        out[i] = word(out[i] - taken)
    return origin


def _turn_back(turned: Any, origin: Any) -> None:
    word = turned.dtype.type
    one, top, added = word(1), word(8 * turned.itemsize - 1), word(origin)
    for i in range(len(turned)):
        part = word(turned[i] + added)
        turned[i] = word(part >> one) | word(part << top)


def _paste_of(word: Any) -> Any:
    def paste(symbols: Any, octets: Any, packed: Any, counts: Any, lows: Any, out: Any) -> None:
        halves = np.empty(2 * len(packed), np.uint8)
        lower, upper = halves[: len(packed)], halves[len(packed) :]
        for i in range(len(packed)):
            lower[i], upper[i] = packed[i] & np.uint8(15), packed[i] >> np.uint8(4)
        start = half = 0
        places = np.zeros(8, np.int64)
        for run in range(len(counts)):
            low, count = word(lows[run]), counts[run]
            target, source = out[start : start + count], symbols[start : start + count]
            for i in range(count):
                target[i] = word(source[i]) << low
            for index in range(lows[run] // 8):
                source, shift = octets[index][places[index] : places[index] + count], word(8 * index)
                for i in range(count):
                    target[i] |= word(source[i]) << shift
                places[index] += count
            if lows[run] % 8:
                source, shift = halves[half : half + count], word(lows[run] // 8 * 8)
                for i in range(count):
                    target[i] |= word(source[i]) << shift
                half += count
            start += count

    return paste


JOIN = tuple((reads(word), _COUNTS, numba.int64, _CONTEXTS, _PLACES, word[::1]) for word in _WORDS)
join = compile_passes(_join, *JOIN)
RESTORE = {
    size: compile_passes(_restore_of(word, 8 * size), (reads(kind), reads(kind), _DRIFT, numba.int64, kind[::1]))
    for size, word, kind in ((2, np.uint16, numba.uint16), (4, np.uint32, numba.uint32))
}
_PLANE = reads(numba.uint8)
_INTS = numba.int64[::1]
_types: Any = numba.types
unfold = compile_passes(_unfold, (_PLANE, numba.uint32, numba.uint32, _OCTETS, _OCTETS), result=numba.int64)
EXCEED = (_OCTETS, numba.uint8, _PLANE)
exceed = compile_passes(_exceed, EXCEED)
find = compile_passes(_find, (_PLANE, numba.uint8), result=_INTS)
_WRITTEN = {
    word: _types.Tuple((_OCTETS, _INTS, _LANES, _OCTETS, _OCTETS, word[::1], numba.uint8[:, ::1], _INTS, _OCTETS))
    for word in _WORDS
}
write = compile_signatures(_write, *(_WRITTEN[word](reads(word), _COUNTS, _COUNTS) for word in _WORDS))
_BY_CONTEXT = (_CLASSES, numba.int64, _TABLE)
_EXPONENT = (numba.int64, numba.int64)
PLACE = tuple((reads(word), *_BY_CONTEXT, numba.int64, *_EXPONENT) for word in _WORDS)
PLACED = _types.Tuple((_INTS, _OCTETS, _INTS, _PLACES))
place = compile_passes(_place, *PLACE, result=PLACED)
write_by_context = compile_signatures(
    _write_by_context,
    *(
        _types.Tuple((_INTS, _WRITTEN[word]))(reads(word), reads(word), *_BY_CONTEXT, _COUNTS, *_EXPONENT)
        for word in _WORDS
    ),
)
turn = compile_passes(_turn, *((reads(word), numba.int64, word[::1]) for word in _WORDS), result=numba.int64)
turn_back = compile_passes(_turn_back, *((word[::1], numba.int64) for word in _WORDS))
PASTE = {
    2: compile_passes(_paste_of(np.uint16), (_PLANE, _planes(_PLANE, 2), _PLANE, _COUNTS, _COUNTS, numba.uint16[::1])),
    4: compile_passes(_paste_of(np.uint32), (_PLANE, _planes(_PLANE, 4), _PLANE, _COUNTS, _COUNTS, numba.uint32[::1])),
}


class CompiledPartition:
    """By counting."""

    place = staticmethod(place)

    def __init__(self, base: Bits, kind: Kind, grouping: Grouping) -> None:
        self.classes, self.group = _rows_of(grouping, len(base))
        self.rows, self.contexts, self.counts, self.places = self.place(
            aligned(base), self.classes, self.group, grouping.table, grouping.contexts, *_exponent_of(kind)
        )

    def join(self, parts: Bits) -> Bits:
        whole = len(self.rows) == len(self.classes)
        out = (np.empty if whole else np.zeros)(len(self.contexts), parts.dtype)
        self.kernel(parts)(parts, self.rows, self.group, self.contexts, self.places, out)
        return out

    def kernel(self, parts: Bits) -> Any:
        """The `join` for these."""
        del parts
        return join


def _rows_of(grouping: Grouping, length: int) -> tuple[NDArray[np.uint16], int]:
    """The class of each row, and how long a row is."""
    if grouping.group:
        return grouping.classes, grouping.group
    return np.zeros(-(-length // UNGROUPED), np.uint16), UNGROUPED


def _exponent_of(kind: Kind) -> tuple[int, int]:
    """Where it stands, and its bits."""
    return kind.mantissa, (1 << kind.exponent) - 1


def _cut_from(written: Any, counts: NDArray[np.int64], lows: NDArray[np.int64]) -> Cut:
    """What `write` gives, as writers want it."""
    symbols, kinds, lengths, first, second, exceeding, octets, below, halves = written
    streams, start = [], 0
    for run, (count, mode, (one, other)) in enumerate(
        zip(counts.tolist(), kinds.tolist(), lengths.tolist(), strict=True)
    ):
        if mode == SINGLE:
            streams.append((symbols[start : start + count], _NOTHING))
        else:
            streams.append((first[start + run :][:one], second[start + run :][:other]))
        start += count
    rows = [row[:length] for row, length in zip(octets, below.tolist(), strict=True)]
    return Cut(lows.tolist(), kinds.tolist(), streams, exceeding, rows, halves)


class CompiledPasses:
    """Numba where it has kernels, numpy where it has none. Without state: for any number of threads at once."""

    def __init__(self) -> None:
        self.others = NumpyPasses()

    def difference(self, raw: Bits, base: Bits, kind: Kind, drift: NDArray[np.int32] | None) -> Bits:
        if kind.width not in RESTORE:
            return self.others.difference(raw, base, kind, drift)
        from hundredweight.codec import compiled_plan  # noqa: PLC0415 - for encoders alone: as long to load as all else

        out = np.empty(len(raw), kind.bits)
        compiled_plan.difference(
            aligned(raw), aligned(base), _NO_DRIFT if drift is None else drift, max(kind.mantissa - 8, 0), out
        )
        return out

    def differences(self, raw: Bits, frame: Bits, base: Bits, kind: Kind, *, decays: bool) -> Differences:
        if kind.width not in RESTORE:
            return self.others.differences(raw, frame, base, kind, decays=decays)
        from hundredweight.codec import compiled_plan  # noqa: PLC0415 - for encoders alone: as long to load as all else

        return compiled_plan.differences(raw, frame, base, kind, decays=decays)

    def restore(self, values: Bits, base: Bits, kind: Kind, drift: NDArray[np.int32] | None) -> Bits:
        if kind.width not in RESTORE:
            return self.others.restore(values, base, kind, drift)
        out = np.empty(len(values), kind.bits)
        RESTORE[kind.width](
            aligned(values), aligned(base), _NO_DRIFT if drift is None else drift, max(kind.mantissa - 8, 0), out
        )
        return out

    def partition(self, base: Bits, kind: Kind, grouping: Grouping) -> Partition:
        if kind.width not in RESTORE:
            return self.others.partition(base, kind, grouping)
        return CompiledPartition(base, kind, grouping)

    def turn(self, raw: Bits, low: int) -> tuple[Bits, int]:
        if raw.dtype.itemsize not in RESTORE:
            return self.others.turn(raw, low)
        out = np.empty(len(raw), raw.dtype)
        return out, int(turn(aligned(raw), low, out))

    def turn_back(self, turned: Bits, origin: int) -> None:
        if turned.dtype.itemsize not in RESTORE:
            self.others.turn_back(turned, origin)
        else:
            turn_back(turned, origin)

    def cut(self, values: Bits, runs: Runs) -> Cut:
        if values.dtype.itemsize not in RESTORE:
            return self.others.cut(values, runs)
        return _cut_from(write(aligned(values), runs.counts, runs.lows), runs.counts, runs.lows)

    def cut_by_context(self, values: Bits, base: Bits, kind: Kind, plan: Plan) -> Cut:
        if kind.width not in RESTORE:
            return self.others.cut_by_context(values, base, kind, plan)
        grouping, lows = plan.grouping, np.array(plan.lows, np.int64)
        counts, written = write_by_context(
            aligned(values),
            aligned(base),
            *_rows_of(grouping, len(base)),
            grouping.table,
            lows,
            *_exponent_of(kind),
        )
        return _cut_from(written, counts, lows)

    def paste(self, parts: Parts, runs: Runs, bits: np.dtype[Any]) -> Bits:
        if bits.itemsize not in PASTE:
            return self.others.paste(parts, runs, bits)
        out = np.empty(runs.total, bits)
        PASTE[bits.itemsize](parts.symbols, tuple(parts.octets), parts.halves, runs.counts, runs.lows, out)
        return out

    def find(self, symbols: Bytes, wanted: int) -> NDArray[np.int64]:
        found: NDArray[np.int64] = find(symbols, wanted)
        return found

    def unfold(self, packed: Bytes, base: int, symbols: Bytes) -> int:
        inverse = -(-(1 << INVERSE_BITS) // base)
        return int(unfold(packed, base, inverse, np.empty(len(packed), np.uint8), symbols))

    def exceed(self, symbols: Bytes, most: int, excess: Bytes) -> None:
        exceed(symbols, most, excess)
