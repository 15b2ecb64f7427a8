"""The passes of `passes`, compiled by numba. Importing this costs a second or so: `kernel` decides when it pays.

Only 2- and 4-byte elements, which is what weights are made of. All arithmetic is unsigned and of the elements' own width, all
indices are bounded by what `delta` checked: classes are below the table's, contexts below the counts'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from hundredweight.codec.passes import UNCHANGED, Grouping, NumpyPasses
from hundredweight.codec.values import ESCAPE, empty_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.passes import Partition, Passes
    from hundredweight.codec.values import Parts, Runs

_NO_DRIFT = np.zeros(0, np.int32)


def _input(item: Any) -> Any:
    """An array that is only read: callers' buffers may be read-only."""
    return numba.types.Array(item, 1, "C", readonly=True)


_OCTETS, _INTS, _PLACES = numba.uint8[::1], numba.int64[::1], numba.uint64[::1]
_CLASSES, _TABLE, _CONTEXTS, _DRIFT = (_input(item) for item in (numba.uint16, numba.uint8, numba.uint8, numba.int32))
_COUNTS = _input(numba.int64)
_WORDS = (numba.uint16, numba.uint32)


def _planes(octets: Any, width: int) -> Any:
    types: Any = numba.types
    return types.UniTuple(octets, width)


def compile_passes(function: Any, *signatures: tuple[Any, ...]) -> Any:
    """Compiled now, or loaded from numba's cache; for these types alone, so that nothing is compiled later."""
    typed = [numba.void(*signature) for signature in signatures]
    try:
        return numba.njit(typed, nogil=True, cache=True)(function)
    except RuntimeError:
        # Neither the package's folder nor the user's cache can be written.
        return numba.njit(typed, nogil=True)(function)


def _difference_of(word: Any, bits: int) -> Any:
    high = word(bits - 1)
    top = word(1 << (bits - 1))
    rest = word((1 << (bits - 1)) - 1)
    zero, one = word(0), word(1)

    def difference(raw: Any, base: Any, drift: Any, shift: Any, out: Any) -> None:
        drifting = len(drift) == 256
        for i in range(len(out)):
            frame = base[i]
            turned = word(raw[i] ^ (frame & top))
            turned = word(turned ^ (word(zero - word(turned >> high)) & rest))
            step = word(turned - word(frame & rest))
            if drifting:
                step = word(step - word(drift[(frame >> shift) & 255]))
            out[i] = word(step << one) ^ word(zero - word(step >> high))

    return difference


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


def _assign(base: Any, classes: Any, table: Any, group: Any, shift: Any, mask: Any, contexts: Any, counts: Any) -> None:
    for row in range(len(classes)):
        if classes[row] == UNCHANGED:
            continue
        offset = np.int64(classes[row]) * 256
        known = table[offset : offset + 256]
        source, target = base[row * group : (row + 1) * group], contexts[row * group : (row + 1) * group]
        for i in range(group):
            context = known[np.uint64((source[i] >> shift) & mask)]
            target[i] = context
            counts[context] += 1


def _split(values: Any, classes: Any, group: Any, contexts: Any, places: Any, out: Any) -> None:
    for row in range(len(classes)):
        if classes[row] == UNCHANGED:
            continue
        source, where = values[row * group : (row + 1) * group], contexts[row * group : (row + 1) * group]
        for i in range(group):
            place = places[where[i]]
            places[where[i]] = place + np.uint64(1)
            out[place] = source[i]


def _join(parts: Any, classes: Any, group: Any, contexts: Any, places: Any, out: Any) -> None:
    for row in range(len(classes)):
        target, where = out[row * group : (row + 1) * group], contexts[row * group : (row + 1) * group]
        if classes[row] == UNCHANGED:
            target[:] = 0
            continue
        for i in range(group):
            place = places[where[i]]
            places[where[i]] = place + np.uint64(1)
            target[i] = parts[place]


def _cut_of(word: Any) -> Any:
    most = word(ESCAPE)

    def cut(values: Any, counts: Any, lows: Any, symbols: Any, octets: Any, halves: Any) -> None:
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

    return cut


def _paste_of(word: Any) -> Any:
    def paste(symbols: Any, octets: Any, halves: Any, counts: Any, lows: Any, out: Any) -> None:
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


assign = compile_passes(
    _assign,
    *((_input(word), _CLASSES, _TABLE, numba.int64, numba.int64, numba.int64, _OCTETS, _INTS) for word in _WORDS),
)
split = compile_passes(
    _split, *((_input(word), _CLASSES, numba.int64, _CONTEXTS, _PLACES, word[::1]) for word in _WORDS)
)
join = compile_passes(_join, *((_input(word), _CLASSES, numba.int64, _CONTEXTS, _PLACES, word[::1]) for word in _WORDS))
DIFFERENCE, RESTORE = (
    {
        size: compile_passes(make(word, 8 * size), (_input(kind), _input(kind), _DRIFT, numba.int64, kind[::1]))
        for size, word, kind in ((2, np.uint16, numba.uint16), (4, np.uint32, numba.uint32))
    }
    for make in (_difference_of, _restore_of)
)
_PLANE = _input(numba.uint8)
CUT = {
    2: compile_passes(
        _cut_of(np.uint16), (_input(numba.uint16), _COUNTS, _COUNTS, _OCTETS, _planes(_OCTETS, 2), _OCTETS)
    ),
    4: compile_passes(
        _cut_of(np.uint32), (_input(numba.uint32), _COUNTS, _COUNTS, _OCTETS, _planes(_OCTETS, 4), _OCTETS)
    ),
}
PASTE = {
    2: compile_passes(_paste_of(np.uint16), (_PLANE, _planes(_PLANE, 2), _PLANE, _COUNTS, _COUNTS, numba.uint16[::1])),
    4: compile_passes(_paste_of(np.uint32), (_PLANE, _planes(_PLANE, 4), _PLANE, _COUNTS, _COUNTS, numba.uint32[::1])),
}


def aligned(elements: Bits) -> Bits:
    """As it is, or a copy: kernels are compiled for contiguous elements at their natural addresses."""
    return elements if elements.flags.aligned and elements.flags.c_contiguous else elements.copy()


class CompiledPartition:
    """By counting."""

    def __init__(self, base: Bits, kind: Kind, grouping: Grouping) -> None:
        self.group = grouping.group or len(base)
        self.classes = grouping.classes if grouping.group else np.zeros(1, np.uint16)
        self.contexts = np.empty(len(base), np.uint8)
        self.counts: NDArray[np.int64] = np.zeros(grouping.contexts, np.int64)
        mask = (1 << kind.exponent) - 1
        assign(aligned(base), self.classes, grouping.table, self.group, kind.mantissa, mask, self.contexts, self.counts)

    def _places(self) -> NDArray[np.uint64]:
        return (np.cumsum(self.counts) - self.counts).astype(np.uint64)

    def split(self, values: Bits) -> Bits:
        out = np.empty(int(self.counts.sum()), values.dtype)
        split(aligned(values), self.classes, self.group, self.contexts, self._places(), out)
        return out

    def join(self, parts: Bits) -> Bits:
        out = np.empty(len(self.contexts), parts.dtype)
        join(parts, self.classes, self.group, self.contexts, self._places(), out)
        return out


class CompiledPasses:
    """Numba where it has kernels, numpy where it has none. Without state: for any number of threads at once."""

    def __init__(self) -> None:
        self.others = NumpyPasses()

    def difference(self, raw: Bits, base: Bits, kind: Kind, drift: NDArray[np.int32] | None) -> Bits:
        if kind.width not in DIFFERENCE:
            return self.others.difference(raw, base, kind, drift)
        out = np.empty(len(raw), kind.bits)
        DIFFERENCE[kind.width](
            aligned(raw), aligned(base), _NO_DRIFT if drift is None else drift, max(kind.mantissa - 8, 0), out
        )
        return out

    def restore(self, values: Bits, base: Bits, kind: Kind, drift: NDArray[np.int32] | None) -> Bits:
        if kind.width not in RESTORE:
            return self.others.restore(values, base, kind, drift)
        out = np.empty(len(values), kind.bits)
        RESTORE[kind.width](
            aligned(values), aligned(base), _NO_DRIFT if drift is None else drift, max(kind.mantissa - 8, 0), out
        )
        return out

    def partition(self, base: Bits, kind: Kind, grouping: Grouping) -> Partition:
        if kind.width not in DIFFERENCE:
            return self.others.partition(base, kind, grouping)
        return CompiledPartition(base, kind, grouping)

    def cut(self, values: Bits, runs: Runs) -> Parts:
        width = values.dtype.itemsize
        if width not in CUT:
            return self.others.cut(values, runs)
        parts = empty_parts(runs, width)
        CUT[width](aligned(values), runs.counts, runs.lows, parts.symbols, tuple(parts.octets), parts.halves)
        return parts

    def paste(self, parts: Parts, runs: Runs, bits: np.dtype[Any]) -> Bits:
        if bits.itemsize not in PASTE:
            return self.others.paste(parts, runs, bits)
        out = np.empty(runs.total, bits)
        PASTE[bits.itemsize](parts.symbols, tuple(parts.octets), parts.halves, runs.counts, runs.lows, out)
        return out


def passes() -> Passes:
    return CompiledPasses()
