"""Packed objects back to bytes: whole or ranged, in order, each segment verified, decoded by a few workers at bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from hundredweight.base.allocator import keep_freed_memory
from hundredweight.base.errors import DamageError
from hundredweight.codec import block, kernel
from hundredweight.codec.errors import CodecError
from hundredweight.store.catalog import PackMissing
from hundredweight.store.pack import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import Self

    from hundredweight.store.catalog import Catalog, Location, PackBytes
    from hundredweight.store.recipe import Recipe, Segment

    Buffer = bytes | bytearray | memoryview

__all__ = ["ObjectReader", "PackedSource", "SegmentDamaged", "SegmentMissing"]

KEPT = 24 << 20
"""Bytes of decoded segments that are kept for whoever asks next."""
LOOK_AHEAD = 24 << 20
"""Bytes of segments that are decoded before the one that is waited for."""
PLANNED = 256
"""Segments that are looked up at once."""
FOLLOWING = 16
"""Segments that are looked up for one that is read: mostly those behind it are read next."""
ATTEMPTS = 3
_REFETCH = "'git lfs fsck' names the objects that this concerns; 'git lfs fetch' brings them again"


class SegmentMissing(DamageError):
    """A segment that a recipe or a delta needs is not stored. `segment` is its id."""

    hint = _REFETCH

    def __init__(self, segment: bytes) -> None:
        super().__init__(f"segment '{segment.hex()[:12]}' is not in any pack")
        self.segment = segment


class SegmentDamaged(DamageError):
    """A stored block does not give the segment that it is filed as. `segment` is its id, `pack` where it stands."""

    hint = _REFETCH

    def __init__(self, segment: bytes, pack: str, reason: str) -> None:
        super().__init__(f"segment '{segment.hex()[:12]}' in pack '{pack[:12]}' is damaged: {reason}")
        self.segment = segment
        self.pack = pack
        self.reason = reason


class Link(NamedTuple):
    """One block of a chain."""

    id: bytes
    location: Location


class ObjectReader:
    """Reads what `catalog` knows out of `packs`. Thread-safe. `close` ends its workers."""

    def __init__(self, catalog: Catalog, packs: PackBytes, workers: int = 2) -> None:
        """`workers` threads decode; with one, whoever reads does it."""
        self._catalog = catalog
        self._packs = packs
        self._workers = workers
        self._kept = _Kept(KEPT)
        self._pool: ThreadPoolExecutor | None = None

    def read(self, recipe: Recipe, start: int = 0, end: int | None = None) -> Iterator[Buffer]:
        """The object's bytes `[start, end)`, in pieces of at most a segment. Each piece is verified before it is given.

        Only the segments that the range touches are decoded. Raises `SegmentMissing`, `SegmentDamaged`, `PackMissing`,
        `PackDamaged`.
        """
        end = recipe.size if end is None else min(end, recipe.size)
        numbers = recipe.locate(start, end)
        if not numbers:
            return
        kernel.expect(end - start)
        at = sum(segment.size for segment in recipe.segments[: numbers.start])
        for data in self._in_order(recipe.segments[numbers.start : numbers.stop]):
            first, last = max(start - at, 0), min(end - at, len(data))
            yield data if last - first == len(data) else memoryview(data)[first:last]
            at += len(data)

    def segments(self, ids: Iterable[bytes]) -> dict[bytes, Location]:
        """As the catalog's: where those of `ids` stand that are stored."""
        return self._catalog.segments(ids)

    def segment(self, identity: bytes, chain: Sequence[Link] | None = None, *, with_bases: bool = False) -> Buffer:
        """One segment, verified; by its `chain`, where the caller looked up many at once. Raises as `read` does. Its bases are
        kept, too, where the caller may ask for them next: who compares versions then decodes none of them twice."""
        kept = self._kept.get(identity)
        if kept is not None:
            return kept
        if chain is None:
            chain = self.chains([identity])[identity]
        if with_bases and len(chain) > 1:
            self.segment(chain[1].id, chain[1:], with_bases=True)
        data = self._decode(chain)
        self._kept.put(identity, data)
        return data

    def close(self) -> None:
        """Harmless a second time."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _in_order(self, segments: Sequence[Segment]) -> Iterator[Buffer]:
        if self._workers < 2 or len(segments) == 1:
            for chain in self._chains(segments):
                yield self._decode(chain)
            return
        pool = self._threads()
        waiting: deque[Future[Buffer]] = deque()
        sizes: deque[int] = deque()
        try:
            for chain in self._chains(segments):
                size = chain[0].location.size
                while waiting and (len(waiting) > self._workers or sum(sizes) + size > LOOK_AHEAD):
                    sizes.popleft()
                    yield waiting.popleft().result()
                waiting.append(pool.submit(self._decode, chain))
                sizes.append(size)
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            keep_freed_memory()
            self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="decode")
        return self._pool

    def _chains(self, segments: Sequence[Segment]) -> Iterator[list[Link]]:
        """The chain of each segment in turn."""
        todo = iter(segments)
        while batch := list(islice(todo, PLANNED)):
            chains = self.chains(segment.id for segment in batch)
            for segment in batch:
                chain = chains[segment.id]
                if chain[0].location.size != segment.size:
                    found = f"it has {chain[0].location.size} bytes where a recipe has {segment.size}"
                    raise SegmentDamaged(segment.id, chain[0].location.pack, found)
                yield chain

    def chains(self, ids: Iterable[bytes]) -> dict[bytes, list[Link]]:
        """The blocks that each segment takes, its own first."""
        wanted = set(ids)
        known: dict[bytes, Location] = {}
        missing = wanted
        # One round for each link; what is cyclic or too long shows when the chains are put together.
        for _ in range(MAX_DEPTH + 1):
            known.update(self._catalog.segments(missing))
            bases = {known[identity].base for identity in missing if identity in known} - {None}
            missing = {base for base in bases if base is not None and base not in known}
            if not missing:
                break
        return {identity: _chain(identity, known) for identity in wanted}

    def _decode(self, chain: Sequence[Link]) -> Buffer:
        """The raw bytes of the chain's first segment, looked up anew where a repack moved it meanwhile."""
        for attempt in range(ATTEMPTS):
            try:
                return self._decode_once(chain)
            except PackMissing:
                if attempt == ATTEMPTS - 1:
                    raise
                chain = self.chains([chain[0].id])[chain[0].id]
        raise AssertionError

    def _decode_once(self, chain: Sequence[Link]) -> Buffer:
        first = 0
        base: Buffer | None = None
        for place, link in enumerate(chain):
            base = self._kept.get(link.id)
            first = place
            if base is not None:
                break
        todo = chain[: first if base is not None else first + 1]
        try:
            return self._follow(todo, base, every=False)
        except SegmentDamaged:
            if len(todo) == 1:
                raise
            # Any of them may be the one: now each is checked.
            return self._follow(todo, base, every=True)

    def _follow(self, chain: Sequence[Link], base: Buffer | None, *, every: bool) -> Buffer:
        """Decode a chain from its end, on `base`. Without `every` only what comes out is checked: it is right only if all is."""
        for link in reversed(chain):
            base = self._decode_link(link, base, check=every or link is chain[0])
        assert base is not None
        return base

    def _decode_link(self, link: Link, base: Buffer | None, *, check: bool) -> Buffer:
        location = link.location
        stored = self._packs.read(location.pack, location.offset, location.stored)
        try:
            data = block.decode(stored, location.size, base)
        except CodecError as error:
            raise SegmentDamaged(link.id, location.pack, str(error)) from error
        if check and blake3(data).digest() != link.id:
            raise SegmentDamaged(link.id, location.pack, "its content has another hash")
        return data


def _chain(identity: bytes, known: dict[bytes, Location]) -> list[Link]:
    chain: list[Link] = []
    at: bytes | None = identity
    while at is not None:
        location = known.get(at)
        if location is None:
            # Whoever follows a circle or an endless chain gets here too: after `MAX_DEPTH` rounds nothing more is looked up.
            raise SegmentMissing(at)
        chain.append(Link(at, location))
        if len(chain) > MAX_DEPTH + 1:
            raise SegmentDamaged(identity, location.pack, f"a chain of more than {MAX_DEPTH} deltas")
        at = location.base
    return chain


class _Kept:
    """The segments that were asked for last, up to a number of bytes. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._items: OrderedDict[bytes, Buffer] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, identity: bytes) -> Buffer | None:
        with self._lock:
            found = self._items.get(identity)
            if found is not None:
                self._items.move_to_end(identity)
            return found

    def put(self, identity: bytes, data: Buffer) -> None:
        with self._lock:
            if identity in self._items or len(data) > self._most:
                return
            self._items[identity] = data
            self._size += len(data)
            while self._size > self._most:
                self._size -= len(self._items.popitem(last=False)[1])


class PackedSource:
    """A packed object as a `formats` source: read anywhere, by readers of headers and of tensors. Thread-safe."""

    def __init__(self, reader: ObjectReader, recipe: Recipe) -> None:
        keep_freed_memory()
        self._reader = reader
        self._recipe = recipe
        self._offsets = recipe.offsets()
        self._looked_up: dict[int, list[Link]] = {}
        self.size = recipe.size

    def segment(self, identity: bytes) -> Buffer:
        """One of its segments, verified. Raises as `ObjectReader.read` does."""
        return self._reader.segment(identity)

    def read(self, offset: int, length: int) -> bytes:
        """Raises as `ObjectReader.read` does."""
        return bytes(self.view(offset, length))

    def view(self, offset: int, length: int) -> memoryview:
        """The same bytes, not copied where one segment holds them all."""
        parts: list[memoryview] = []
        end = offset + length
        for number in self._recipe.locate(offset, end):
            at = self._offsets[number]
            identity = self._recipe.segments[number].id
            data = memoryview(self._reader.segment(identity, self._chain(number), with_bases=True))
            parts.append(data[max(offset - at, 0) : end - at])
        return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))

    def _chain(self, number: int) -> list[Link] | None:
        """The chain of a segment, looked up with those that follow; None where one of these is not stored."""
        chain = self._looked_up.pop(number, None)
        if chain is None:
            some = self._recipe.segments[number : number + FOLLOWING]
            try:
                chains = self._reader.chains(segment.id for segment in some)
            except (SegmentMissing, SegmentDamaged):
                return None
            if len(self._looked_up) > PLANNED:
                self._looked_up = {}
            chain, *others = [chains[segment.id] for segment in some]
            self._looked_up.update(enumerate(others, number + 1))
        return chain
