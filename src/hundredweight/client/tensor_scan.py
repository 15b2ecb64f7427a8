"""Pairs of tensors read and compared: two threads, a few MiB of buffers, whatever the size. Equal tensors cost one reading."""

from __future__ import annotations

import math
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hundredweight.client.tensor_numbers import ELEMENTS, Scheme, Scratch, Sums, compare, has_kernel, scheme_of, squares
from hundredweight.client.weight_files import BadWeights, OpenFile, PackedFile
from hundredweight.codec import kernel
from hundredweight.formats import content
from hundredweight.formats.source import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from hundredweight.client.weight_files import Model, Opened, Part
    from hundredweight.formats.tensors import Tensor

_ELEMENTS = 1 << 18
"""Elements that are compared at once: small enough for a core's cache, large enough that two threads rarely wait for each other
to call the next function (half as many, and two are hardly faster than one)."""
SPAN = 1 << 23
"""Units of one task for a thread."""
_SMALL = 1 << 15
"""Bytes of a tensor that is not worth handing to a thread."""
_AHEAD = 64
WORKERS = 2


@dataclass(frozen=True)
class Statistics:
    """How a tensor changed. `changed` of `units` units differ in their bits (with two types: in value); `unit` is elements,
    or for quantised types blocks, for types below a byte bytes. What is None is not defined: everything but counts for opaque
    types, `relative_l2` where the old one is zero, `cosine` where either is. Complex numbers count as two in all but `units`.
    Elements that are NaN or infinite on either side are left out of the last three and counted."""

    unit: str
    units: int
    changed: int
    relative_l2: float | None
    max_abs: float | None
    cosine: float | None
    old_nan: int = 0
    old_inf: int = 0
    new_nan: int = 0
    new_inf: int = 0
    sums: Sums = field(default_factory=Sums, compare=False, repr=False)

    @property
    def share(self) -> float:
        return self.changed / self.units if self.units else 0.0


class _Reader(Protocol):
    """The canonical bytes of a tensor. `read` gives as many as `buffer` has from a byte on, in it or where they are already;
    one that is `sequential` only ever the next ones."""

    @property
    def sequential(self) -> bool: ...

    def read(self, offset: int, buffer: memoryview) -> memoryview: ...


class _Plain:
    """Bytes that stand in the file as they are. Any number of threads."""

    sequential = False

    def __init__(self, source: Opened, start: int) -> None:
        self._source = source
        self._start = start

    def read(self, offset: int, buffer: memoryview) -> memoryview:
        if isinstance(self._source, PackedFile):
            return self._source.view(self._start + offset, len(buffer))
        self._source.read_into(self._start + offset, buffer)
        return buffer


class _Streamed:
    """Bytes that are unpacked, gathered or swapped on the way: from the first to the last, by one thread."""

    sequential = True

    def __init__(self, name: str, source: Opened, tensor: Tensor) -> None:
        self._name = name
        self._pieces = content.chunks(source, tensor)
        self._rest = memoryview(b"")

    def read(self, offset: int, buffer: memoryview) -> memoryview:
        del offset  # the next ones
        at = 0
        while at < len(buffer):
            if not self._rest:
                self._rest = self._next()
            count = min(len(self._rest), len(buffer) - at)
            buffer[at : at + count] = self._rest[:count]
            self._rest = self._rest[count:]
            at += count
        return buffer

    def _next(self) -> memoryview:
        try:
            return memoryview(next(self._pieces)).cast("B")
        except StopIteration:
            raise BadWeights(self._name, FormatError("a tensor has fewer bytes than its shape says")) from None
        except FormatError as error:
            raise BadWeights(self._name, error) from error


class Pair:
    """Two tensors of as many elements to compare, or their first `rows` rows: then there are statistics even where these are
    equal. Raises `CannotOpen`, `BadWeights`."""

    def __init__(self, old: tuple[Model, Part, Tensor], new: tuple[Model, Part, Tensor], *, rows: int = 0) -> None:
        self.schemes = scheme_of(old[2].dtype), scheme_of(new[2].dtype)
        self.readers = _reader(*old), _reader(*new)
        self.units = old[2].nbytes // self.schemes[0].size
        if rows:
            self.units = self.units // old[2].shape[0] * rows
        self.partial = rows > 0
        self.numeric = self.schemes[0].numbers == self.schemes[1].numbers > 0
        self.one_type = self.schemes[0] == self.schemes[1]
        self.shareable = all(isinstance(side[0].source_of(*side[1:]), OpenFile | PackedFile) for side in (old, new))
        """Whether several threads may read; what is far away is not made for that."""
        self.packed = any(isinstance(side[0].source_of(*side[1:]), PackedFile) for side in (old, new))
        self.sequential = not self.shareable or any(reader.sequential for reader in self.readers)
        self.differs = not self.one_type
        """Whether a difference was seen: from then on, norms are computed of what is equal, too."""

    @property
    def size(self) -> int:
        return self.units * self.schemes[0].size

    def spans(self) -> Iterator[tuple[int, int]]:
        if self.sequential:
            yield 0, self.units
            return
        for start in range(0, self.units, SPAN):
            yield start, min(start + SPAN, self.units)


def _reader(model: Model, part: Part, tensor: Tensor) -> _Reader:
    source = model.source_of(part, tensor)
    return _Plain(source, tensor.start) if tensor.plain else _Streamed(source.name, source, tensor)


class _Buffers(threading.local):
    """Of one thread."""

    def __init__(self) -> None:
        self.scratch = Scratch(2 * _ELEMENTS)
        self.old = bytearray(16 * _ELEMENTS)
        self.new = bytearray(16 * _ELEMENTS)


class Scanner:
    """Compares pairs, several at a time. Use as a context."""

    def __init__(self, workers: int = WORKERS, advance: Callable[[int], None] | None = None) -> None:
        """`advance` is told bytes of one side as they are compared; it is called by the thread that iterates."""
        self._pool = ThreadPoolExecutor(workers)
        self._buffers = _Buffers()
        self._advance = advance
        self._packed = 0

    def __enter__(self) -> Scanner:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def scan(self, pairs: Iterable[Pair]) -> Iterator[Statistics | None]:
        """For each pair, in order, how it differs; None where all bytes are equal. Raises `CannotOpen`, `BadWeights`."""
        waiting: deque[tuple[Pair, list[Future[_Found]] | list[_Found]]] = deque()
        for pair in pairs:
            waiting.append((pair, self._begin(pair)))
            if len(waiting) > _AHEAD:
                yield self._finish(*waiting.popleft())
        while waiting:
            yield self._finish(*waiting.popleft())

    def equal(self, pair: Pair) -> bool:
        """Whether all bytes are equal, read up to the first block that differs."""
        return all(not self._span(pair, *span, first_only=True).sums.changed for span in pair.spans())

    def _begin(self, pair: Pair) -> list[Future[_Found]] | list[_Found]:
        if pair.packed:
            self._packed += pair.size
            kernel.expect(self._packed)
        if pair.size <= _SMALL or not pair.shareable:
            return [self._span(pair, *span) for span in pair.spans()]
        return [self._pool.submit(self._span, pair, *span) for span in pair.spans()]

    def _finish(self, pair: Pair, parts: list[Future[_Found]] | list[_Found]) -> Statistics | None:
        total, equal = Sums(), list[tuple[int, int]]()
        for item in parts:
            part = item if isinstance(item, _Found) else item.result()
            total.add(part.sums)
            equal += part.equal
        if self._advance is not None:
            self._advance(pair.size)
        if pair.one_type and not total.changed and not pair.partial:
            return None
        if pair.numeric:
            for norm in self._pool.map(lambda span: self._norm(pair, *span), equal):
                total.add(norm)
        return statistics_of(total, pair.schemes[0] if pair.one_type else _VALUES, numeric=pair.numeric)

    def _span(self, pair: Pair, start: int, end: int, *, first_only: bool = False) -> _Found:
        """Compare a span. Norms of equal blocks are left for later while no difference is known: mostly there is none."""
        made = _Found()
        for at, old, new, count in self._blocks(pair, start, end):
            if pair.one_type and not pair.differs and not pair.sequential and bytes_equal(old, new):
                made.sums.units += count
                made.put(at, at + count)
                continue
            sums = compare(old, new, pair.schemes, self._buffers.scratch)
            made.sums.add(sums)
            if sums.changed:
                pair.differs = True
                if first_only:
                    break
        return made

    def _blocks(self, pair: Pair, start: int, end: int) -> Iterator[tuple[int, Any, Any, int]]:
        first, second = (scheme.size for scheme in pair.schemes)
        if pair.one_type and has_kernel(pair.schemes[0]):
            # A segment of packs, which nothing is copied of: the threads ask each other for the interpreter less often.
            step = 4 * _ELEMENTS
        else:
            step = _ELEMENTS if max(first, second) <= 16 else max(16 * _ELEMENTS // max(first, second), 1)
        for at in range(start, end, step):
            count = min(step, end - at)
            old = pair.readers[0].read(at * first, memoryview(self._buffers.old)[: count * first])
            new = pair.readers[1].read(at * second, memoryview(self._buffers.new)[: count * second])
            yield at, np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8), count

    def _norm(self, pair: Pair, start: int, end: int) -> Sums:
        total = Sums()
        scheme = pair.schemes[0]
        for at in range(start, end, _ELEMENTS):
            view = memoryview(self._buffers.old)[: min(_ELEMENTS, end - at) * scheme.size]
            view = pair.readers[0].read(at * scheme.size, view)
            square, nan, inf = squares(np.frombuffer(view, np.uint8), scheme, self._buffers.scratch)
            total.add(Sums(aa=square, ab=square, bb=square, old_nan=nan, new_nan=nan, old_inf=inf, new_inf=inf))
        return total


_VALUES = Scheme(ELEMENTS, 0, 1, "")


class _Found:
    """What was found in one span; `equal` are runs of units whose norm is not in the sums."""

    __slots__ = ("equal", "sums")

    def __init__(self) -> None:
        self.sums = Sums()
        self.equal: list[tuple[int, int]] = []

    def put(self, start: int, end: int) -> None:
        if self.equal and self.equal[-1][1] == start:
            start = self.equal.pop()[0]
        self.equal.append((start, end))


def bytes_equal(old: Any, new: Any) -> bool:
    return memoryview(old).tobytes() == memoryview(new).tobytes() if len(old) < 4096 else bool(np.array_equal(old, new))


def statistics_of(sums: Sums, scheme: Scheme, *, numeric: bool) -> Statistics:
    """The figures that the sums of one tensor, or of several together, make."""
    counts = (sums.old_nan, sums.old_inf, sums.new_nan, sums.new_inf)
    if not numeric:
        return Statistics(scheme.unit, sums.units, sums.changed, None, None, None, *counts, sums)
    return Statistics(scheme.unit, sums.units, sums.changed, relative(sums), sums.largest, cosine(sums), *counts, sums)


def relative(sums: Sums) -> float | None:
    """|new - old| / |old|; None where the old one is zero."""
    if sums.aa == 0:
        return 0.0 if sums.dd == 0 else None
    return float(np.sqrt(np.longdouble(sums.dd) / np.longdouble(sums.aa)))


def cosine(sums: Sums) -> float | None:
    """From the difference, so that what is missing from 1 is right for versions that hardly differ."""
    aa, ab, bb, da, dd = (np.longdouble(value) for value in (sums.aa, sums.ab, sums.bb, sums.da, sums.dd))
    if aa <= 0 or bb <= 0:
        return None
    value = float(ab / (np.sqrt(aa) * np.sqrt(bb)))
    if dd < _LITTLE * aa:
        sine = max(float((dd / bb) - (da / aa) * (da / bb)), 0.0)
        return math.sqrt(1 - min(sine, 1.0))
    return None if math.isnan(value) else min(max(value, -1.0), 1.0)


_LITTLE = 1e-2
