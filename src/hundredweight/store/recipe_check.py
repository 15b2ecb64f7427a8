"""Whether a recipe that somebody sent says what its object's bytes say: format, tensors with their hashes, and where it is cut.

Bytes of segments are checked by who decodes them. Here is the rest: else a client could claim that tensors are unchanged, and
whoever looks at recipes alone would believe it. Most digests come out in passing, while the object is hashed anyway.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from hundredweight.formats.tensors import shorten
from hundredweight.store.segments import Range, TensorHashes, disjoint, hashing_budget, read_tensors, rows, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hundredweight.formats.source import Source
    from hundredweight.formats.tensors import Tensor
    from hundredweight.store.recipe import Recipe, Segment

    Buffer = bytes | bytearray | memoryview

__all__ = ["RecipeCheck", "SegmentSource"]

MOST_READ = 256 << 20
"""Bytes that may be decoded once more for headers, and for tensors that are not hashed in passing. An object that takes
more has to
come whole."""


class RecipeCheck:
    """One recipe. `take` each segment in order, then ask for the `fault`."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._hashes = TensorHashes(list(_claimed(recipe)))
        self._at = 0

    def take(self, segment: Segment, data: Buffer) -> None:
        """`data` has the segment's id."""
        if self._hashes.is_whole(self._at, self._at + segment.size):
            self._hashes.take(segment.id)
        else:
            self._hashes.update(self._at, memoryview(data))
        self._at += segment.size

    def fault(self, source: Source) -> str:
        """What is wrong with the recipe, by the object in `source`; empty where nothing is. Raises what `source` raises."""
        form, tensors = read_tensors(source)
        if form != self._recipe.format:
            return f"the recipe calls its format '{self._recipe.format}'"
        if not _is_cut_there(self._recipe, tensors):
            return "the recipe cuts it elsewhere"
        found = rows(source, tensors, self._hashes.digests, min(MOST_READ, hashing_budget(source.size)))
        if len(found) != len(self._recipe.tensors):
            return f"the recipe has {len(self._recipe.tensors)} tensors of {len(found)}"
        for own, told in zip(found, self._recipe.tensors, strict=True):
            if own != told:
                return f"the recipe says something else of tensor '{shorten(own.name)}'"
        return ""


def _claimed(recipe: Recipe) -> Iterator[Range]:
    """The ranges of the tensors that the recipe names, in order, none over another."""
    at = 0
    for row in sorted(recipe.tensors, key=lambda row: (row.start, -row.length)):
        if row.start >= at and row.length:
            at = row.start + row.length
            yield Range(row.start, at, row.dtype, small=False)


def _is_cut_there(recipe: Recipe, tensors: tuple[Tensor, ...]) -> bool:
    """Whether the segments are those of the rules. Where plain bytes are cut is everybody's own affair."""
    segments = iter(recipe.segments)
    for span in spans(recipe.size, disjoint(tensors)):
        left = span.end - span.start
        while left > 0:
            segment = next(segments, None)
            if segment is None or segment.dtype != span.dtype or (span.dtype and segment.size != left):
                return False
            left -= segment.size
        if left:
            return False
    return True


class SegmentSource:
    """An object as a source, out of its segments; the last two are kept."""

    def __init__(self, recipe: Recipe, raw: Callable[[Segment], Buffer], refuse: Callable[[str], Exception]) -> None:
        """`raw` gives a segment's bytes. `refuse` makes the error for who asks for more than `MOST_READ`."""
        self.size = recipe.size
        self._segments = recipe.segments
        self._offsets = recipe.offsets()
        self._raw = raw
        self._refuse = refuse
        self._kept: dict[int, Buffer] = {}
        self._left = MOST_READ

    def read(self, offset: int, length: int) -> bytes:
        parts = []
        at, end = offset, min(offset + length, self.size)
        while at < end:
            number = bisect_right(self._offsets, at) - 1
            start = self._offsets[number]
            piece = memoryview(self._segment(number))[at - start : end - start]
            parts.append(piece)
            at += len(piece)
        return b"".join(parts)

    def _segment(self, number: int) -> Buffer:
        found = self._kept.pop(number, None)
        if found is None:
            segment = self._segments[number]
            self._left -= segment.size
            if self._left < 0:
                raise self._refuse("its headers or views are too far apart to be checked")
            found = self._raw(segment)
            while len(self._kept) > 1:
                self._kept.pop(next(iter(self._kept)))
        self._kept[number] = found
        return found
