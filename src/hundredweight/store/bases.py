"""Which segments of earlier objects a segment may be a delta against: by name, shape and place, from recipes alone.

Candidates are guesses, best first; the packer measures them on a sample, and a wrong guess costs only bytes. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from hundredweight.codec.numbers import cast_of
from hundredweight.formats.tensors import BITS, BLOCKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hundredweight.store.recipe import Recipe, TensorRow

__all__ = ["Candidate", "Candidates", "agreement", "choose_predecessors"]

MAX_CANDIDATES = 3
"""Bases that are tried for one segment."""
LEAST_AGREEMENT = 0.1
BY_SHAPE = 0.25
"""How much two objects agree at most whose tensors are alike by shape alone, as those of two shards of one model are."""


class Candidate(NamedTuple):
    """A segment that may serve as base, and the type of its elements there."""

    id: bytes
    dtype: str


class Candidates:
    """Bases for the segments of one recipe, out of the recipes of `predecessors`, the nearest first."""

    def __init__(self, recipe: Recipe, predecessors: Sequence[Recipe]) -> None:
        self._recipe = recipe
        self._offsets = recipe.offsets()
        self._rows = sorted((row for row in recipe.tensors if row.start >= 0 < row.length), key=lambda row: row.start)
        self._starts = [row.start for row in self._rows]
        self._before = [_Predecessor(recipe, each) for each in predecessors]

    def of(self, number: int) -> list[Candidate]:
        """Candidates for the segment of that number, best first, at most `MAX_CANDIDATES`."""
        own = self._recipe.segments[number]
        found: list[Candidate] = []
        for before in self._before:
            candidate = self._tensor_base(before, number) if own.dtype else self._plain_base(before, number)
            if candidate is not None and candidate.id != own.id and candidate not in found:
                found.append(candidate)
                if len(found) == MAX_CANDIDATES:
                    break
        return found

    def origin(self, candidate: Candidate) -> int:
        """Which of the predecessors has it, the nearest."""
        return next(number for number, before in enumerate(self._before) if candidate.id in before.ids)

    def _tensor_base(self, before: _Predecessor, number: int) -> Candidate | None:
        """The segment that begins at the same element of the same tensor."""
        start = self._offsets[number]
        row = self._row_at(start)
        other = before.matches.get(row.name) if row is not None else None
        if row is None or other is None:
            return None
        inside = _same_element(start - row.start, row.dtype, other.dtype)
        found = before.numbers.get(other.start + inside)
        segments = before.recipe.segments
        if found is None or segments[found].dtype != other.dtype:
            return None
        return Candidate(segments[found].id, other.dtype)

    def _plain_base(self, before: _Predecessor, number: int) -> Candidate | None:
        """The plain segment between the same neighbours: after the same bytes, before the same tensor, first, or last."""
        segments, theirs = self._recipe.segments, before.recipe.segments
        places: list[int] = []
        if number == 0:
            places.append(0)
        elif (same := before.ids.get(segments[number - 1].id)) is not None:
            places.append(same + 1)
        row = self._row_at(self._offsets[number + 1])
        other = before.matches.get(row.name) if row is not None and row.start == self._offsets[number + 1] else None
        if other is not None and other.start in before.numbers:
            places.append(before.numbers[other.start] - 1)
        if number == len(segments) - 1:
            places.append(len(theirs) - 1)
        for place in places:
            if 0 <= place < len(theirs) and not theirs[place].dtype:
                return Candidate(theirs[place].id, "")
        return None

    def _row_at(self, offset: int) -> TensorRow | None:
        place = bisect_right(self._starts, offset) - 1
        if place < 0:
            return None
        row = self._rows[place]
        return row if offset < row.start + row.length else None


class _Predecessor:
    """An earlier recipe: where its segments are, and which of its tensors is which of the later one's."""

    def __init__(self, recipe: Recipe, before: Recipe) -> None:
        self.recipe = before
        offsets = before.offsets()
        self.numbers = {offset: number for number, offset in enumerate(offsets[:-1])}
        self.ids = {segment.id: number for number, segment in enumerate(before.segments)}
        self.matches = dict(_matches(recipe, before))


def _matches(recipe: Recipe, before: Recipe) -> Iterator[tuple[str, TensorRow]]:
    """The tensor of `before` that each tensor most likely comes from."""
    theirs = {row.name: row for row in before.tensors if row.start >= 0 < row.length}
    left: list[TensorRow] = []
    for row in recipe.tensors:
        same = theirs.get(row.name)
        if same is not None and _serves(same, row):
            yield row.name, same
        elif row.start >= 0:
            left.append(row)
    known = {row.name for row in recipe.tensors}
    free = [row for name, row in theirs.items() if name not in known]
    if left and free:
        yield from _renamed(left, free)


def _renamed(left: Sequence[TensorRow], free: Sequence[TensorRow]) -> Iterator[tuple[str, TensorRow]]:
    """Tensors whose names changed: by the end of the name where a prefix came or went, else in order among those of one shape."""
    by_tail: dict[str, TensorRow | None] = {}
    by_shape: dict[tuple[object, ...], list[TensorRow]] = {}
    for row in free:
        for tail in _tails(row.name):
            by_tail[tail] = None if tail in by_tail else row
        by_shape.setdefault((row.dtype, row.shape), []).append(row)
    in_order = {shape: iter(rows) for shape, rows in by_shape.items()}
    for row in left:
        # The order counts on, whether it is used or not: one renamed tensor must not shift all others.
        placed = next(in_order.get((row.dtype, row.shape), iter(())), None)
        tailed = next(
            (found for tail in _tails(row.name) if (found := by_tail.get(tail)) and found.shape == row.shape), None
        )
        match = tailed if tailed is not None and _serves(tailed, row) else placed
        if match is not None:
            yield row.name, match


def _tails(name: str) -> Iterator[str]:
    """The name, then the name without its first parts, as long as two parts are left."""
    yield name
    while name.count(".") > 1:
        name = name.partition(".")[2]
        yield name


def _serves(base: TensorRow, row: TensorRow) -> bool:
    """Whether the elements of one are likely to be near those of the other."""
    if base.dtype == row.dtype:
        # Rows may have been added or taken away (resized embeddings): what follows the first axis must agree.
        return base.shape[1:] == row.shape[1:] and len(base.shape) == len(row.shape)
    return cast_of(base.dtype, row.dtype) is not None and base.shape == row.shape


def _same_element(offset: int, dtype: str, base_dtype: str) -> int:
    """Where the element at byte `offset` begins in a tensor of the other type."""
    if dtype == base_dtype or dtype in BLOCKS or base_dtype in BLOCKS:
        return offset
    return offset * BITS[base_dtype] // BITS[dtype]


def agreement(recipe: Recipe, before: Recipe) -> float:
    """How much of an object probably comes from an earlier one, 0 to 1: by tensors, or by segments where there are none."""
    if recipe.size == 0:
        return 0.0
    shared = {segment.id for segment in before.segments}
    same = float(sum(segment.size for segment in recipe.segments if segment.id in shared))
    if recipe.tensors and before.tensors:
        # Half for a tensor that a delta may be made of: an object with the very same tensors is nearer. `BY_SHAPE` where only the
        # shapes agree.
        matched = dict(_matches(recipe, before))
        for row in recipe.tensors:
            if row.start >= 0 and row.name in matched:
                same += row.length if matched[row.name].name == row.name else row.length / 2
        return same / 2 / recipe.size
    return same / recipe.size


def choose_predecessors(recipe: Recipe, candidates: Iterable[Recipe], most: int = MAX_CANDIDATES) -> list[Recipe]:
    """Of the candidates (the nearest in history first) those that agree most, best first. Equals keep their order."""
    rated = [(agreement(recipe, each), each) for each in candidates if each.oid != recipe.oid]
    rated = [item for item in rated if item[0] >= LEAST_AGREEMENT]
    return [each for _, each in sorted(rated, key=lambda item: -round(item[0], 2))[:most]]
