"""The adapter `cwt-blocks`: weights move as the blocks that the other side lacks, as deltas against what it has.

What is near an object here (its earlier versions) the caller tells. Whatever keeps blocks from being used (the server has not
packed the object, knows no base, or refuses) costs time and nothing else: the object then goes whole, by `cwt-parts` or `basic`.
Spec: docs/formats/blocks.md.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from blake3 import blake3

from hundredweight.base.errors import CwtError, DamageError, RemoteError
from hundredweight.base.files import AtomicFile
from hundredweight.base.trace import trace
from hundredweight.codec import block, kernel
from hundredweight.codec.errors import CodecError
from hundredweight.protocol.blocks import (
    BLOCKS,
    MAX_BASES,
    MAX_RECIPE,
    Bases,
    Request,
    StreamName,
    Terms,
    recipe_url,
    segments_url,
)
from hundredweight.protocol.message import MEDIA_TYPE
from hundredweight.store.catalog import PackMissing
from hundredweight.store.pack import DEEPEST, MAX_DEPTH, PackDamaged, PackStreamReader, PackStreamWriter, RecipeRecord
from hundredweight.store.packer import Packer, SourceBases, SourceChanged
from hundredweight.store.recipe import Recipe
from hundredweight.store.worth import LEAST_GAIN, gains
from hundredweight.transfer.actions import Actions
from hundredweight.transfer.choice import Choice
from hundredweight.transfer.http import HttpError
from hundredweight.transfer.part import PartFile, WrongContent
from hundredweight.transfer.upload_session import UploadSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import Self

    from hundredweight.base.ids import Oid
    from hundredweight.formats.source import Source
    from hundredweight.store.loose import LooseStore
    from hundredweight.store.pack import BlockRecord
    from hundredweight.transfer.actions import Job
    from hundredweight.transfer.basic import BasicAdapter
    from hundredweight.transfer.http import Response
    from hundredweight.transfer.parts import PartsAdapter
    from hundredweight.transfer.server import LfsServer

    Buffer = bytes | bytearray | memoryview

WORKERS = 2
MOST_TRIED = 3
"""Objects here that an upload tries as bases; a download names all that are near, so that nothing is sent that is here."""
AHEAD = 3
"""Segments that are decoded before the one that is written next."""
AHEAD_BYTES = 24 << 20
"""Bytes of them, but for the first."""
READ_SIZE = 512 << 10
WRITE_SIZE = 1 << 20
_REFUSED = (404, 405, 409, 410, 413, 422, 429, 501)
"""Answers after which the object goes whole."""


class Known(NamedTuple):
    """An object that is here: how it is cut, and its bytes."""

    recipe: Recipe
    source: Source


class Nearby(Protocol):
    """What is here of objects and their kin. Thread-safe; sources stay open while somebody has them."""

    def own(self, oid: Oid, size: int) -> Known | None:
        """That object, None when it is not here."""

    def near(self, recipe: Recipe, name: str) -> Sequence[Known]:
        """Objects here that are probably like it, the most likely first. `name` is the path it is for."""

    def sent(self, stream: PackStreamWriter, file: AtomicFile) -> None:
        """The other side has taken the stream that was written to `file`: it may be kept as a pack. Raises `WriteError`."""

    def receiver(self, recipe: Recipe) -> Receiver | None:
        """Who keeps the stream of an object that comes, if anybody."""

    def forget(self, oid: Oid) -> None:
        """What `own` said of that object is not so."""

    def settle(self) -> None:
        """Nobody wants the loose copies of what was kept any more, nor the sources."""


class Receiver(Protocol):
    """Takes a stream that comes, to keep it as a pack, as a context. Nothing that it cannot do is an error of the transfer."""

    def add(self, record: BlockRecord) -> None: ...
    def take(self, number: int, data: Buffer) -> None:
        """The bytes of the object's segment of that number; in order, unless an earlier try left the first of them."""

    def finish(self) -> None:
        """The object is here, verified."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...


class _Made(NamedTuple):
    """A stream that is ready to be sent."""

    stream: PackStreamWriter
    name: StreamName
    bases: Bases


class BadStream(DamageError):
    """What the server sent as blocks is not the object. The object is then fetched whole."""

    hint = "run the command again; have the server's owner run 'cwt hub check'"


class BlocksAdapter:
    """Thread-safe. One object is encoded or decoded at a time: it takes all processors."""

    def __init__(
        self, server: LfsServer, store: LooseStore, nearby: Nearby, parts: PartsAdapter | None, basic: BasicAdapter
    ) -> None:
        """`parts` is for uploads. Raises `BadConfigValue`."""
        self._server = server
        self._store = store
        self._nearby = nearby
        self._parts = parts
        self._basic = basic
        self._actions = Actions(server)
        self._choice = Choice(server, self._actions)
        self._turn = threading.Lock()
        self._uploads = _Uploads()
        self._downloads = _InOrder()

    # Up

    def upload(self, job: Job) -> None:
        """See `Adapter`."""
        assert self._parts is not None
        with self._uploads.one(job.oid) as number:
            in_blocks = BLOCKS in job.answer.actions and not self._choice.whole(job)
            if in_blocks and self._upload_blocks(job, self._parts, number):
                self._basic.verify(job)
            else:
                self._parts.upload(job)

    def _upload_blocks(self, job: Job, parts: PartsAdapter, number: int, *, again: bool = True) -> bool:
        """Whether the object went as blocks."""
        kernel.expect(job.size)
        with AtomicFile("", temp_folder=self._store.temp) as file:
            try:
                made = self._encode(job, file, number)
                if made is None:
                    return False
                session = UploadSession(
                    self._actions,
                    job,
                    name=BLOCKS,
                    below=str(made.name),
                    size=made.name.size,
                    opening=made.bases.encode(),
                )
                parts.send(job, session, session.open(), lambda: open(file.temp, "rb", buffering=0))
            except SourceChanged as error:
                # Its recipe is of other bytes: perhaps of a damaged copy that was healed since.
                self._nearby.forget(job.oid)
                trace(f"xfer: {error}; " + ("cutting it anew" if again else "sending it whole"))
                return again and self._upload_blocks(job, parts, number, again=False)
            except (DamageError, PackMissing, RemoteError) as error:
                if not _whole_may_go(error):
                    raise
                trace(f"xfer: no upload of {job.oid} in blocks ({error}); sending it whole")
                job.take_back()
                return False
            trace(f"xfer: sent {job.oid} as {made.name.size} bytes of blocks for {job.size}")
            self._nearby.sent(made.stream, file)
        return True

    def _encode(self, job: Job, file: AtomicFile, number: int) -> _Made | None:
        """Write the stream of the blocks that the server lacks; None when it gains nothing."""
        with self._turn:
            own = self._nearby.own(job.oid, job.size)
            near = [] if own is None else self._nearby.near(own.recipe, job.name)
        if own is None:
            return None
        known, terms = self._settle_bases(job, near, number)
        with self._turn:
            if not known and not gains(own.source, own.recipe):
                return None
            return self._encode_against(job, file, own, known, terms)

    def _settle_bases(self, job: Job, near: Sequence[Known], number: int) -> tuple[list[Known], Terms]:
        """What serves as base, at most `MOST_TRIED`: also what another upload is bringing, where nothing nearer is there."""
        while True:
            known, terms = self._agree(job, near)
            accepted = {each.recipe.oid for each in known}
            for each in near:
                if each.recipe.oid not in accepted and self._uploads.wait_for(each.recipe.oid, number):
                    break
                if each.recipe.oid in accepted:
                    return _tried(known, terms), terms
            else:
                return _tried(known, terms), terms

    def _encode_against(
        self, job: Job, file: AtomicFile, own: Known, known: Sequence[Known], terms: Terms
    ) -> _Made | None:
        have = {segment.id for each in known for segment in each.recipe.segments}
        depths = {
            segment.id: int(digit)
            for each in known
            for segment, digit in zip(each.recipe.segments, terms.depths[each.recipe.oid], strict=True)
        }
        bases = SourceBases(depths=depths)
        for each in known:
            bases.add(*each)
        digest = blake3()

        def write(data: Buffer) -> None:
            digest.update(data)
            file.write(data)

        stream = PackStreamWriter(write)
        # The hub decodes and checks every block before it takes the object, and makes long chains short when it is idle.
        with Packer(bases, WORKERS, verify=False, deepest=MAX_DEPTH) as packer:
            packer.pack(own.source, own.recipe, [each.recipe for each in known], stream, have)
        if stream.offset > job.size * (1 - LEAST_GAIN):
            return None
        return _Made(stream, StreamName(digest.hexdigest(), stream.offset), _bases(known))

    def _agree(self, job: Job, near: Sequence[Known]) -> tuple[list[Known], Terms]:
        """Which of the objects here may serve as bases there."""
        if not near:
            return [], Terms()
        action = self._actions.need(job, BLOCKS)
        request = self._actions.request("POST", action, recipe_url(action.href), {"Content-Type": MEDIA_TYPE})
        request.body = _bases(near).encode()
        terms = Terms.parse(self._actions.send(job, action, request).json_content())
        known = [each for each in near if len(terms.depths.get(each.recipe.oid, "")) == len(each.recipe.segments)]
        return known, terms

    # Down

    def download(self, job: Job) -> None:
        """See `Adapter`. The server offers the object as blocks."""
        with self._downloads.one() as number:
            try:
                if self._download_blocks(job, number):
                    return
            except (DamageError, PackMissing, RemoteError) as error:
                if not _whole_may_go(error):
                    raise
                trace(f"xfer: no download of {job.oid} in blocks ({error}); fetching it whole")
                job.take_back()
        self._basic.download(job)

    def _download_blocks(self, job: Job, number: int) -> bool:
        """Whether the object came as blocks. What came before an error serves the next try, of any adapter."""
        recipe = self._fetch_recipe(job)
        if recipe is None:
            return False
        kernel.expect(job.size)
        self._downloads.wait_for_those_before(number)
        with self._turn, PartFile(self._store, job.oid, job.size) as part:
            if self._store.size(job.oid) == job.size:
                job.advance(job.size)
                return True
            job.advance(part.size)
            near = self._nearby.near(recipe, job.name)
            with self._nearby.receiver(recipe) or _Nobody() as receiver:
                coming = _Coming(recipe, part, near, receiver)
                self._receive(job, part, coming, receiver)
                part.publish()
                receiver.finish()
        return True

    def _receive(self, job: Job, part: PartFile, coming: _Coming, receiver: Receiver) -> None:
        """All of the object into the part: what is wanted from the server, the rest from what is here."""
        want = coming.wanted()
        if not want:
            job.begun()
            self._write(job, part, coming.pieces(iter(())))
            return
        action = self._actions.need(job, BLOCKS)
        request = self._actions.request("POST", action, segments_url(action.href), {"Content-Type": MEDIA_TYPE})
        request.body = Request(want, coming.bases()).encode()
        with self._actions.send(job, action, request) as response:
            job.begun()
            self._write(job, part, coming.pieces(_records(response, receiver)))

    def _write(self, job: Job, part: PartFile, pieces: Iterator[Buffer]) -> None:
        part.use_thread()
        for piece in pieces:
            # In short pieces: as many as wait for the hash keep a segment or two in memory, not one each.
            for start in range(0, len(piece), WRITE_SIZE):
                data = memoryview(piece)[start : start + WRITE_SIZE]
                part.write(data)
                job.advance(len(data))

    def _fetch_recipe(self, job: Job) -> Recipe | None:
        """The recipe by which the server keeps the object; None when it keeps it whole."""
        action = self._actions.need(job, BLOCKS)
        request = self._actions.request("GET", action, recipe_url(action.href))
        try:
            data = self._actions.send(job, action, request).content(MAX_RECIPE)
        except HttpError as error:
            if error.status in _REFUSED:
                return None
            raise
        recipe = Recipe.decode(data)
        if recipe.oid != job.oid or recipe.size != job.size:
            raise BadStream(f"the server's recipe for object {job.oid} is another object's")
        return recipe


class _Uploads:
    """What is on its way up: later versions wait for earlier ones, to be sent as deltas against them. Thread-safe.

    Who waits began after whom it waits for, so that nobody waits in a circle.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._under_way: dict[Oid, tuple[int, threading.Event]] = {}

    @contextmanager
    def one(self, oid: Oid) -> Iterator[int]:
        """An upload; gives its number."""
        ended = threading.Event()
        with self._lock:
            self._count += 1
            number = self._count
            self._under_way[oid] = number, ended
        try:
            yield number
        finally:
            with self._lock:
                del self._under_way[oid]
            ended.set()

    def wait_for(self, oid: Oid, number: int) -> bool:
        """Whether that object was on its way before the upload of that number; it is not any more."""
        with self._lock:
            before, ended = self._under_way.get(oid, (number, None))
        if ended is None or before >= number:
            return False
        ended.wait()
        return True


class _InOrder:
    """Downloads one after the other, as they were asked for: a later one needs less where an earlier one is here. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._under_way: set[int] = set()

    @contextmanager
    def one(self) -> Iterator[int]:
        """A download; gives its number."""
        with self._changed:
            self._count += 1
            number = self._count
            self._under_way.add(number)
        try:
            yield number
        finally:
            with self._changed:
                self._under_way.remove(number)
                self._changed.notify_all()

    def wait_for_those_before(self, number: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: min(self._under_way) == number)


class _Coming:
    """One object on its way: which of its segments are wanted, and their bytes in order, from here or from the stream."""

    def __init__(self, recipe: Recipe, part: PartFile, near: Sequence[Known], receiver: Receiver) -> None:
        self._recipe = recipe
        self._part = part
        self._receiver = receiver
        self._near = near[:MAX_BASES]
        self._held = SourceBases()
        for each in self._near:
            self._held.add(*each)
        self._offsets = recipe.offsets()
        self._done = part.size
        held = {segment.id for each in self._near for segment in each.recipe.segments}
        self._wanted: set[int] = set()
        self._first: dict[bytes, int] = {}
        for number, segment in enumerate(recipe.segments):
            new = self._first.setdefault(segment.id, number) == number
            if new and segment.id not in held and self._offsets[number + 1] > self._done:
                self._wanted.add(number)

    def wanted(self) -> tuple[tuple[int, int], ...]:
        """The numbers of the segments to ask for, as ascending (first, after last)."""
        found: list[tuple[int, int]] = []
        for number in sorted(self._wanted):
            if found and found[-1][1] == number:
                found[-1] = found[-1][0], number + 1
            else:
                found.append((number, number + 1))
        return tuple(found)

    def bases(self) -> Bases:
        return _bases(self._near)

    def pieces(self, records: Iterator[BlockRecord]) -> Iterator[Buffer]:
        """The bytes that the part lacks, in order. Raises `BadStream`, `DamageError`, and what `records` raises."""
        waiting: deque[tuple[int, Future[Buffer]]] = deque()
        with ThreadPoolExecutor(WORKERS, "decode") as pool:
            try:
                for number, segment in enumerate(self._recipe.segments):
                    if self._offsets[number + 1] <= self._done:
                        continue
                    if number in self._wanted:
                        try:
                            job = self._receive(pool, records, segment.id, segment.size)
                        except CwtError:
                            # What came before stays for the next try.
                            while waiting:
                                yield self._rest(*waiting.popleft())
                            raise
                    elif self._first[segment.id] != number:
                        # It stands in the object before; what stands there is written when nothing is under way.
                        while waiting:
                            yield self._rest(*waiting.popleft())
                        job = pool.submit(self._again, self._first[segment.id], segment.size)
                    else:
                        job = pool.submit(self._held.segment, segment.id)
                    waiting.append((number, job))
                    while len(waiting) > AHEAD or (len(waiting) > 1 and self._bytes_of(waiting) > AHEAD_BYTES):
                        yield self._rest(*waiting.popleft())
                while waiting:
                    yield self._rest(*waiting.popleft())
            finally:
                for _, job in waiting:
                    job.cancel()

    def _bytes_of(self, waiting: Iterable[tuple[int, Future[Buffer]]]) -> int:
        return sum(self._recipe.segments[number].size for number, _ in waiting)

    def _rest(self, number: int, job: Future[Buffer]) -> Buffer:
        """A segment without what the part has of it already."""
        data = job.result()
        self._receiver.take(number, data)
        skip = self._done - self._offsets[number]
        return memoryview(data)[skip:] if skip > 0 else data

    def _receive(
        self, pool: ThreadPoolExecutor, records: Iterator[BlockRecord], identity: bytes, size: int
    ) -> Future[Buffer]:
        """The next wanted segment, after the bases that the stream has for it: one job, so that chains are decoded side
        by side."""
        chain: list[BlockRecord] = []
        for record in islice(records, MAX_DEPTH + 1):
            chain.append(record)
            if record.id == identity:
                if record.size != size:
                    break
                return pool.submit(self._decode, chain)
        raise BadStream(f"the server's blocks for object {self._recipe.oid} lack segment '{identity.hex()[:12]}'")

    def _decode(self, chain: Sequence[BlockRecord]) -> Buffer:
        """The last of the blocks. Each is checked: all of them are kept."""
        made: dict[bytes, Buffer] = {}
        for record in chain:
            raw: Buffer | None = None
            if record.base is not None:
                raw = made[record.base] if record.base in made else self._held.segment(record.base)
            try:
                data = block.decode(record.data, record.size, raw)
            except CodecError as error:
                raise BadStream(f"the server sent a damaged block for object {self._recipe.oid}: {error}") from error
            if blake3(data).digest() != record.id:
                raise BadStream(f"the server sent a wrong block for object {self._recipe.oid}")
            # The hub sends a chain link by link: only the next block needs it.
            made = {record.id: data}
        return data

    def _again(self, number: int, size: int) -> Buffer:
        data = os.pread(self._part.descriptor, size, self._offsets[number])
        if blake3(data).digest() != self._recipe.segments[number].id:
            raise WrongContent(self._recipe.oid, "", self._offsets[number])
        return data


def _whole_may_go(error: CwtError) -> bool:
    """Whether the object is better moved whole than tried again, after blocks came to this."""
    if isinstance(error, HttpError):
        return error.status in _REFUSED
    return not (isinstance(error, RemoteError) and error.temporary)


def _tried(known: Sequence[Known], terms: Terms) -> list[Known]:
    """The nearest; where their chains are full, the nearest upon which a delta may stand is the last of them."""
    for place, each in enumerate(known):
        depths = terms.depths[each.recipe.oid]
        if 2 * sum(int(digit) < DEEPEST for digit in depths) >= len(depths):
            return [*known[: MOST_TRIED - 1], each] if place >= MOST_TRIED else list(known[:MOST_TRIED])
    return list(known[:MOST_TRIED])


def _bases(known: Sequence[Known]) -> Bases:
    return Bases({each.recipe.oid: blake3(each.recipe.encode()).hexdigest() for each in known})


def _records(response: Response, receiver: Receiver) -> Iterator[BlockRecord]:
    """Each goes to `receiver` too. Raises `BadStream`, and what reading raises."""
    reader = PackStreamReader()
    try:
        while data := response.read(READ_SIZE):
            for record in reader.feed(data):
                if isinstance(record, RecipeRecord):
                    raise BadStream("the server's stream of blocks has a recipe in it")
                receiver.add(record)
                yield record
        reader.finish()
    except PackDamaged as error:
        raise BadStream(f"the server's stream of blocks is damaged: {error.what}") from error


class _Nobody:
    """Keeps nothing."""

    def add(self, record: BlockRecord) -> None:
        """Not kept."""

    def take(self, number: int, data: Buffer) -> None:
        """Not checked."""

    def finish(self) -> None:
        """Nothing was kept."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Nothing was opened."""
