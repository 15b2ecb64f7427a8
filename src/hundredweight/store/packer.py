"""Objects to records of a pack: each new segment as a block, alone or against the best of a few bases.

Every block is decoded and compared before it is written, unless who gets the pack does that before using it. Workers encode, the
caller's thread writes, in the order of the file.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from blake3 import blake3

from hundredweight.base.allocator import keep_freed_memory
from hundredweight.base.errors import DamageError
from hundredweight.codec import block
from hundredweight.codec.block import Profile
from hundredweight.codec.errors import CodecError
from hundredweight.store.bases import Candidate, Candidates
from hundredweight.store.catalog import Location, PackMissing
from hundredweight.store.pack import DEEPEST, PackDamaged
from hundredweight.store.reader import PackedSource, SegmentDamaged, SegmentMissing

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from typing import Self

    from hundredweight.base.ids import Oid
    from hundredweight.formats.source import Source
    from hundredweight.store.pack import PackStreamWriter
    from hundredweight.store.recipe import Recipe, Segment

    Buffer = bytes | bytearray | memoryview

__all__ = ["Bases", "BlockWrong", "PackResult", "Packer", "SourceBases", "SourceChanged"]

LOOK_AHEAD = 24 << 20
"""Bytes of segments that are taken up before the one that is written next."""
PLANNED = 256
"""Segments whose bases are looked up at once."""
SCOUTS = 12
"""Segments for which all bases are tried. Where these agree on one predecessor, the others take it untried: to try bases takes
as long as to encode, and each has to be decoded first."""
SHORTENED = DEEPEST - 1
"""Where a chain is full, the ancestor at this depth is the base instead: deltas that skip a few versions are little longer than
those that skip none."""


class Bases(Protocol):
    """The segments that deltas may be made against. Thread-safe. An `ObjectReader` is one."""

    def segments(self, ids: Iterable[bytes]) -> dict[bytes, Location]:
        """Those of `ids` that may serve, with size, base and depth."""

    def segment(self, identity: bytes) -> Buffer:
        """The raw bytes of one that `segments` gave."""


class SourceChanged(DamageError):
    """An object's bytes are not those that its recipe was made of. Nothing of it may be published."""

    hint = "'git lfs fsck' tells whether the local copy is damaged; 'git lfs fetch' brings it again"

    def __init__(self, oid: Oid) -> None:
        super().__init__(f"object '{oid[:12]}' changed while it was packed")
        self.oid = oid


class BlockWrong(DamageError):
    """A block did not give back the segment that it was made of: this machine's memory or its codec cannot be trusted."""

    hint = "check the machine's memory; the object is kept whole"

    def __init__(self, segment: bytes) -> None:
        super().__init__(f"segment '{segment.hex()[:12]}' did not survive packing")
        self.segment = segment


@dataclass(frozen=True, slots=True)
class PackResult:
    """What was written for one object: `segments` blocks of `raw` bytes that are `stored` in the pack, `deltas` of them against a
    base, and the recipe of `recipe` bytes."""

    segments: int = 0
    deltas: int = 0
    raw: int = 0
    stored: int = 0
    recipe: int = 0

    def __add__(self, other: PackResult) -> PackResult:
        return PackResult(
            self.segments + other.segments,
            self.deltas + other.deltas,
            self.raw + other.raw,
            self.stored + other.stored,
            self.recipe + other.recipe,
        )


class _Base(NamedTuple):
    """A base that a segment may have, the depth that a delta then gets, and the number of the predecessor it comes from."""

    candidate: Candidate
    depth: int
    origin: int


class _Job(NamedTuple):
    """A segment to encode, and where it stands in the source."""

    segment: Segment
    offset: int
    bases: Sequence[_Base]


class _Block(NamedTuple):
    segment: Segment
    data: bytes
    base: bytes | None
    depth: int


class Packer:
    """Packs objects one after the other. Not thread-safe; `close` ends its workers."""

    def __init__(
        self,
        bases: Bases,
        workers: int = 2,
        profile: Profile = Profile.DEFAULT,
        *,
        verify: bool = True,
        deepest: int = DEEPEST,
    ) -> None:
        """`verify` False is for a stream that the other side decodes and checks before anybody relies on it. `deepest` more than
        `DEEPEST` is for segments none of whose bases has room: for who makes long chains short later."""
        keep_freed_memory()
        self._deepest = deepest
        self._bases = bases
        self._verify = verify
        self._profile = profile
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="encode")

    def pack(
        self,
        source: Source,
        recipe: Recipe,
        predecessors: Sequence[Recipe],
        target: PackStreamWriter,
        have: Container[bytes] = frozenset(),
    ) -> PackResult:
        """Write the recipe, then a block for each segment that is neither in `have` nor in the target, in order.

        Bases are segments of `predecessors` (the nearest first) and what those are made from, where `Bases` or the target has
        them. What is in the target already must be readable through `Bases` to serve. Raises `SourceChanged`, `BlockWrong`,
        and what `source` raises; the target is then no use any more.
        """
        encoded = recipe.encode()
        target.recipe(recipe.oid, recipe.size, encoded)
        segments = deltas = raw = stored = 0
        jobs = self._jobs(source, recipe, predecessors, target, have)
        for made in self._blocks(source, jobs, recipe.oid):
            target.block(made.segment.id, made.segment.size, made.base, made.data, made.depth)
            segments += 1
            deltas += made.base is not None
            raw += made.segment.size
            stored += len(made.data)
        return PackResult(segments, deltas, raw, stored, len(encoded))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _jobs(
        self,
        source: Source,
        recipe: Recipe,
        predecessors: Sequence[Recipe],
        target: PackStreamWriter,
        have: Container[bytes],
    ) -> Iterator[_Job]:
        candidates = Candidates(recipe, predecessors)
        seen: set[bytes] = set()
        todo: list[tuple[int, int]] = []
        for number, (segment, offset) in enumerate(zip(recipe.segments, recipe.offsets(), strict=False)):
            if segment.id not in seen and segment.id not in have and segment.id not in target.index:
                seen.add(segment.id)
                todo.append((number, offset))
        rest = iter(todo)
        while batch := list(islice(rest, PLANNED)):
            found = {number: candidates.of(number) for number, _ in batch}
            known = self._locations({each.id for all_ in found.values() for each in all_}, target)
            jobs = []
            for number, offset in batch:
                for deepest in (DEEPEST, self._deepest):
                    of_all = [_with_room(each, known, candidates.origin(each), deepest) for each in found[number]]
                    bases = [each for each in of_all if each is not None]
                    if bases:
                        break
                jobs.append(_Job(recipe.segments[number], offset, bases))
            yield from self._narrowed(source, jobs, recipe.oid)

    def _narrowed(self, source: Source, jobs: Sequence[_Job], oid: Oid) -> Iterator[_Job]:
        """The jobs, most of them with one base where there were several."""
        several = [job for job in jobs if len(job.bases) > 1]
        if len(several) <= SCOUTS:
            yield from jobs
            return
        # By their hashes: places at equal distances may all be of one kind of layer.
        scouts = sorted(several, key=lambda job: job.segment.id)[:SCOUTS]
        found = {*self._pool.map(lambda job: self._nearest(source, job, oid), scouts)}
        nearest = found.pop() if len(found) == 1 else -1
        for job in jobs:
            yield job._replace(bases=[base for base in job.bases if base.origin == nearest] or job.bases)

    def _nearest(self, source: Source, job: _Job, oid: Oid) -> int:
        """The predecessor that the best base comes from, or -1."""
        base, _ = self._best_base(_read(source, job, oid), job.segment, job.bases)
        return -1 if base is None else base.origin

    def _locations(self, ids: set[bytes], target: PackStreamWriter) -> dict[bytes, Location]:
        """Where those segments stand, and the ancestors of those whose chain is full."""
        known: dict[bytes, Location] = {}
        while ids:
            own = {identity: entry for identity in ids if (entry := target.index.entry(identity)) is not None}
            known |= {identity: Location("", *entry) for identity, entry in own.items()}
            known |= self._bases.segments(ids - own.keys())
            full = [known[identity] for identity in ids if identity in known and known[identity].depth > SHORTENED]
            ids = {each.base for each in full if each.base is not None} - known.keys()
        return known

    def _blocks(self, source: Source, jobs: Iterable[_Job], oid: Oid) -> Iterator[_Block]:
        """In order, a bounded number of segments ahead."""
        waiting: deque[Future[_Block]] = deque()
        sizes: deque[int] = deque()
        try:
            for job in jobs:
                while waiting and (len(waiting) > self._workers or sum(sizes) + job.segment.size > LOOK_AHEAD):
                    sizes.popleft()
                    yield waiting.popleft().result()
                waiting.append(self._pool.submit(self._encode, source, job, oid))
                sizes.append(job.segment.size)
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _encode(self, source: Source, job: _Job, oid: Oid) -> _Block:
        segment = job.segment
        raw = _read(source, job, oid)
        base, data = self._best_base(raw, segment, job.bases)
        made = block.encode(raw, segment.dtype, data, base.candidate.dtype if base else None, profile=self._profile)
        if not block.uses_base(made):
            base, data = None, None
        if self._verify:
            _check(made, segment, data)
        return _Block(segment, made, base.candidate.id if base else None, base.depth if base else 0)

    def _best_base(self, raw: Buffer, segment: Segment, bases: Sequence[_Base]) -> tuple[_Base | None, Buffer | None]:
        """The one base, or of several the one that a sample finds best. Bases that cannot be read are passed over: what is
        damaged in the store must not keep new objects out of it, and who reads that base is told."""
        best: tuple[_Base | None, Buffer | None] = (None, None)
        least = -1
        for base in bases:
            try:
                data = self._bases.segment(base.candidate.id)
            except (SegmentDamaged, SegmentMissing, PackDamaged, PackMissing):
                continue
            if len(bases) == 1:
                return base, data
            size = block.estimate(raw, segment.dtype, data, base.candidate.dtype)
            if least < 0 or size < least:
                best, least = (base, data), size
        return best


def _read(source: Source, job: _Job, oid: Oid) -> bytes:
    """The segment's bytes. Raises `SourceChanged`."""
    raw = source.read(job.offset, job.segment.size)
    if len(raw) != job.segment.size or blake3(raw).digest() != job.segment.id:
        raise SourceChanged(oid)
    return raw


def _check(made: bytes, segment: Segment, base: Buffer | None) -> None:
    """Raises `BlockWrong` unless the block gives the segment back."""
    try:
        back = block.decode(made, segment.size, base)
    except CodecError as error:
        raise BlockWrong(segment.id) from error
    if blake3(back).digest() != segment.id:
        raise BlockWrong(segment.id)


def _with_room(
    candidate: Candidate, known: Mapping[bytes, Location], origin: int, deepest: int = DEEPEST
) -> _Base | None:
    """The candidate, or an ancestor of it where its chain is full."""
    at = known.get(candidate.id)
    if at is None:
        return None
    if at.depth < deepest:
        return _Base(candidate, at.depth + 1, origin)
    size = at.size
    identity = candidate.id
    while at.depth > SHORTENED:
        # An ancestor of another length has another type or other rows: its place does not tell what it holds.
        if at.base is None or at.base not in known or known[at.base].size != size:
            return None
        identity, at = at.base, known[at.base]
    return _Base(Candidate(identity, candidate.dtype), at.depth + 1, origin)


class SourceBases:
    """Bases whose bytes are taken out of whole objects at hand where these have them, else from `stored`.

    What serves: with `depths`, just the segments it names (the other side's store, where their chains are that deep), else what
    `stored` has. What was written to the pack in hand serves anyhow, once its object was given to `add`.
    """

    def __init__(self, stored: Bases | None = None, depths: Mapping[bytes, int] | None = None) -> None:
        self._stored = stored
        self._depths = depths
        self._places: dict[bytes, tuple[Source, int, int]] = {}

    def add(self, recipe: Recipe, source: Source) -> None:
        """One more object at hand, of this recipe."""
        for segment, offset in zip(recipe.segments, recipe.offsets(), strict=False):
            self._places.setdefault(segment.id, (source, offset, segment.size))

    def segments(self, ids: Iterable[bytes]) -> dict[bytes, Location]:
        wanted = [identity for identity in ids if self._depths is None or identity in self._depths]
        found = self._stored.segments(wanted) if self._stored is not None else {}
        if self._depths is None:
            return found
        sizes = {identity: self._places[identity][2] for identity in wanted if identity in self._places}
        sizes |= {identity: at.size for identity, at in found.items()}
        return {identity: Location("", 0, 0, size, None, self._depths[identity]) for identity, size in sizes.items()}

    def segment(self, identity: bytes) -> Buffer:
        if identity not in self._places:
            if self._stored is None:
                raise SegmentMissing(identity)
            return self._stored.segment(identity)
        source, offset, size = self._places[identity]
        if isinstance(source, PackedSource):
            return source.segment(identity)
        data = source.read(offset, size)
        if blake3(data).digest() != identity:
            raise SegmentDamaged(identity, "", "the object that has it changed")
        return data
