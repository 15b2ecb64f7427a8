"""Cutting an object into segments: at tensor borders where it is a weight file, by content elsewhere.

The rules are version 1 of docs/formats/recipe.md ("How an object is cut"). The same bytes give the same cuts everywhere, or
nothing is found twice and no base fits; what rebuilds an object does not depend on them. One pass over the bytes, at flat memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from hundredweight.base.errors import CwtError
from hundredweight.formats import content, recognise
from hundredweight.formats.identity import digest_tensor
from hundredweight.formats.source import FormatError
from hundredweight.formats.tensors import BITS, BLOCKS
from hundredweight.store.recipe import (
    MAX_NAME,
    MAX_SEGMENTS,
    MAX_TABLE,
    MAX_TENSORS,
    NO_DIGEST,
    NOT_HASHED,
    NOT_PLAIN,
    ROW_SIZE,
    Recipe,
    Segment,
    TensorRow,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hundredweight.base.ids import Oid
    from hundredweight.formats.source import Source
    from hundredweight.formats.tensors import Tensor

__all__ = [
    "Range",
    "Span",
    "TensorHashes",
    "TooManySegments",
    "cut",
    "disjoint",
    "hashing_budget",
    "read_tensors",
    "rows",
    "spans",
]

SEGMENT_ELEMENTS = 1 << 20
MAX_TENSOR_SEGMENT = 8 << 20
BLOCKS_SEGMENT = 4 << 20
SMALL_ELEMENTS = 1 << 16
MAX_GAP = 256
"""Bytes between two small tensors that share a segment: padding of GGUF, headers of zip members."""
PLAIN_SEGMENT = 1 << 16
PLAIN_MIN, PLAIN_AVERAGE, PLAIN_MAX = 1 << 16, 1 << 18, 1 << 20
PIECE = 1 << 18
"""Bytes read and hashed at once: what two hashes read twice stays in the cache."""
MAX_GATHERED = 1 << 26
"""Bytes of a view with strides that is hashed: it is gathered in memory."""
EXTRA_HASHING = 1 << 26
"""Beside four times the object: the most that is read or inflated again for digests. Bombs end here."""
VARINT_COST = 16
"""They are read one by one."""


class TooManySegments(CwtError):
    """An object would take more segments than a recipe holds (hundreds of gigabytes of bytes that are no tensors)."""

    hint = "it is kept whole; nothing has to be done"

    def __init__(self, oid: Oid) -> None:
        super().__init__(f"object '{oid[:12]}' would take more than {MAX_SEGMENTS} segments")
        self.oid = oid


class Span(NamedTuple):
    """A range of the object. With a `dtype`: one segment; without: plain bytes that are cut by content."""

    start: int
    end: int
    dtype: str


def cut(source: Source, oid: Oid) -> Recipe:
    """The recipe of the object that `source` holds. Damaged weights are plain bytes: only `TooManySegments` and the source's own
    errors are raised. `oid` is taken on trust."""
    form, tensors = read_tensors(source)
    ranges = disjoint(tensors)
    hashes = TensorHashes(ranges)
    segments: list[Segment] = []
    for span in spans(source.size, ranges):
        segments += [_hash_span(source, span, hashes)] if span.dtype else _cut_plain(source, span)
        if len(segments) > MAX_SEGMENTS:
            raise TooManySegments(oid)
    table = rows(source, tensors, hashes.digests, hashing_budget(source.size))
    return Recipe(oid, source.size, form, tuple(segments), table)


def hashing_budget(size: int) -> int:
    """Bytes that are read or made again for digests of the tensors of an object of that size."""
    return 4 * size + EXTRA_HASHING


def segment_bytes(dtype: str) -> int:
    """Bytes of a whole segment of a tensor of that type."""
    if dtype in BLOCKS:
        size = BLOCKS[dtype][1]
        return BLOCKS_SEGMENT // size * size
    return min(SEGMENT_ELEMENTS * BITS[dtype] // 8, MAX_TENSOR_SEGMENT)


def read_tensors(source: Source) -> tuple[str, tuple[Tensor, ...]]:
    """Format and tensors; "" and none where the content is no weight file that holds together, or more than a recipe holds."""
    try:
        found = recognise.recognise(source) if source.size else None
        if found is None:
            return "", ()
        weights = found.read(source)
        for tensor in weights.tensors:
            inside = tensor.file or 0 <= tensor.start <= tensor.end <= source.size
            if not inside or (tensor.plain and not tensor.file and tensor.end - tensor.start != tensor.nbytes):
                return "", ()
    except FormatError:
        return "", ()
    return (found.name, weights.tensors) if _fit(weights.tensors) else ("", ())


def _fit(tensors: Sequence[Tensor]) -> bool:
    """Whether a recipe holds them."""
    lengths = [len(tensor.name.encode()) for tensor in tensors]
    table = sum(length + ROW_SIZE + 8 * len(tensor.shape) for length, tensor in zip(lengths, tensors, strict=True))
    return len(tensors) <= MAX_TENSORS and max(lengths, default=0) <= MAX_NAME and table <= MAX_TABLE


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of the file that are elements of one type."""

    start: int
    end: int
    dtype: str
    small: bool


def disjoint(tensors: Sequence[Tensor]) -> list[Range]:
    """The ranges that are cut as tensors, in file order. Of those that overlap the first and longest counts."""
    found: list[Range] = []
    cuttable = [tensor for tensor in tensors if _is_cuttable(tensor)]
    at = 0
    for tensor in sorted(cuttable, key=lambda item: (item.start, -item.end, item.dtype)):
        if tensor.start >= at:
            found.append(Range(tensor.start, tensor.end, tensor.dtype, tensor.elements < SMALL_ELEMENTS))
            at = tensor.end
    return found


def _is_cuttable(tensor: Tensor) -> bool:
    # A view with strides has its elements in the file as they are, in another order only, which both versions share.
    stored = tensor.deflated is None and not tensor.swapped and not tensor.varints and not tensor.file
    return stored and tensor.start < tensor.end


def spans(size: int, ranges: Sequence[Range]) -> Iterator[Span]:
    """How an object of `size` bytes is cut whose tensors stand in `ranges`."""
    at = 0
    place = 0
    while place < len(ranges):
        first = ranges[place]
        if at < first.start:
            yield Span(at, first.start, "")
        at = first.start
        last = place
        if first.small:
            last = _end_of_run(ranges, place)
            at = ranges[last].end
            yield Span(first.start, at, first.dtype)
        else:
            step = segment_bytes(first.dtype)
            while at < first.end:
                yield Span(at, min(at + step, first.end), first.dtype)
                at = min(at + step, first.end)
        place = last + 1
    if at < size:
        yield Span(at, size, "")


def _end_of_run(ranges: Sequence[Range], first: int) -> int:
    """The last of the small ranges that share a segment with `first`."""
    start, dtype = ranges[first].start, ranges[first].dtype
    most = segment_bytes(dtype)
    width = BLOCKS[dtype][1] if dtype in BLOCKS else max(BITS[dtype] // 8, 1)
    last = first
    for place in range(first + 1, len(ranges)):
        after = ranges[place]
        fits = after.small and after.dtype == dtype and after.end - start <= most
        # Elements that are not in line with the first one's would make no delta.
        if not fits or after.start - ranges[last].end > MAX_GAP or (after.start - start) % width:
            break
        last = place
    return last


class TensorHashes:
    """Digests of ranges, taken in passing. `digests` has them by (start, end) once the bytes went by."""

    def __init__(self, ranges: Sequence[Range]) -> None:
        self.digests: dict[tuple[int, int], bytes] = {}
        self._ranges = iter(ranges)
        self._current = next(self._ranges, None)
        self._machine = blake3()

    def is_whole(self, start: int, end: int) -> bool:
        """Whether that is just the next range, so that one digest serves both."""
        current = self._current
        return current is not None and (current.start, current.end) == (start, end)

    def take(self, digest: bytes) -> None:
        """The next range went by and has this digest."""
        assert self._current is not None
        self.digests[self._current.start, self._current.end] = digest
        self._current = next(self._ranges, None)
        self._machine = blake3()

    def update(self, at: int, data: memoryview) -> None:
        """The bytes at `at`, which follow those before."""
        end = at + len(data)
        while (current := self._current) is not None and current.start < end:
            self._machine.update(data[max(current.start - at, 0) : current.end - at])
            if current.end > end:
                return
            self.take(self._machine.digest())


def _hash_span(source: Source, span: Span, hashes: TensorHashes) -> Segment:
    machine = blake3()
    whole = hashes.is_whole(span.start, span.end)
    at = span.start
    while at < span.end:
        data = memoryview(source.read(at, min(PIECE, span.end - at)))
        machine.update(data)
        if not whole:
            hashes.update(at, data)
        at += len(data)
    digest = machine.digest()
    if whole:
        hashes.take(digest)
    return Segment(digest, span.end - span.start, span.dtype)


class _Reader:
    """A range of a source as a stream."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self._source = source
        self._at = start
        self._end = end

    def readinto(self, target: memoryview) -> int:
        length = min(len(target), PIECE, self._end - self._at)
        target[:length] = self._source.read(self._at, length)
        self._at += length
        return length


def _cut_plain(source: Source, span: Span) -> Iterator[Segment]:
    length = span.end - span.start
    if length <= PLAIN_SEGMENT:
        yield Segment(blake3(source.read(span.start, length)).digest(), length, "")
        return
    # Objects of weights alone never need it.
    from pyfastcdc import FastCDC  # noqa: PLC0415 - 6 ms, only where bytes are cut by content

    cutter = FastCDC(PLAIN_AVERAGE, min_size=PLAIN_MIN, max_size=PLAIN_MAX, normalized_chunking=1)
    for chunk in cutter.cut_stream(_Reader(source, span.start, span.end)):
        yield Segment(blake3(chunk.data).digest(), chunk.length, "")


def rows(
    source: Source, tensors: Sequence[Tensor], digests: dict[tuple[int, int], bytes], budget: int
) -> tuple[TensorRow, ...]:
    """The tensor table. What was not hashed in passing (views, deflated members, overlaps) is read again, within
    `budget` bytes."""
    found = []
    for tensor in tensors:
        start = tensor.start if tensor.plain and not tensor.file else NOT_PLAIN
        digest = _known_digest(tensor, digests)
        if not digest:
            cost = _hashing_cost(tensor)
            if cost <= budget:
                budget -= cost
                digest = _read_digest(source, tensor)
                if tensor.plain:
                    digests[tensor.start, tensor.end] = digest
        if not digest:
            start, digest = NOT_HASHED, NO_DIGEST
        found.append(TensorRow(tensor.name, tensor.dtype, tensor.shape, start, tensor.nbytes, digest))
    return tuple(found)


def _known_digest(tensor: Tensor, digests: dict[tuple[int, int], bytes]) -> bytes:
    if tensor.nbytes == 0:
        return blake3().digest()
    return digests.get((tensor.start, tensor.end), b"") if tensor.plain and not tensor.file else b""


def _hashing_cost(tensor: Tensor) -> int:
    """Bytes that have to be read or made; more than any budget where it cannot or should not be done."""
    never = 1 << 63
    if tensor.file:
        return never
    if tensor.strides is not None:
        touched = tensor.deflated.size if tensor.deflated else tensor.end - tensor.start
        return never if max(touched, tensor.nbytes) > MAX_GATHERED else touched + tensor.nbytes
    if tensor.varints:
        return VARINT_COST * tensor.nbytes
    return tensor.nbytes if tensor.deflated is None else tensor.deflated.size


def _read_digest(source: Source, tensor: Tensor) -> bytes:
    """b"" where the content is damaged."""
    try:
        return digest_tensor(tensor, content.chunks(source, tensor)).digest
    except FormatError:
        return b""
