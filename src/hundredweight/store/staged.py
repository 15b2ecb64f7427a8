"""A stream that comes in numbered parts, in any order, several at once, and is read in order behind them.

Parts lie in a `Stage` of the backend, each at its place; behind the last byte stands one mark for each part, set when the part is
whole. So the stage alone tells what is there, also to the next process. A part that is marked never changes. `follow` feeds the
bytes in order to whoever checks them: out of the memory from which they were written, where it is still kept, else read back
from the stage. All calls block, where nothing else is said.
"""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.protocol.parts import PartsState, ranges
from hundredweight.store.objects import ObjectMismatch, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hundredweight.backend.interface import Buffer, Stage
    from hundredweight.base.ids import Oid
    from hundredweight.store.blocks import Block, BlockPool

__all__ = ["PartBusy", "PartRefused", "PartWriter", "PartsMissing", "StagedObject", "StagedStream"]

STALLED = 10.0
"""Seconds without a byte after which the sender of a part may be replaced by another."""
SYNC_EVERY = 64 << 20
_READ = 4 << 20
"""Bytes read back at a time: each turn asks for the interpreter's lock, which the server holds often."""
_MARK = b"\x01"
_PAGE = 4096


class PartBusy(CwtError):
    """Another request sends this part (409)."""

    status = 409
    hint = "wait until it is done, then ask again which parts are held"

    def __init__(self, number: int) -> None:
        super().__init__(f"part {number} is being sent by another request")
        self.number = number


class PartRefused(CwtError):
    """No such part, or another number of bytes than it has (422)."""

    status = 422
    hint = "ask again which parts there are, and send whole parts"


class PartsMissing(CwtError):
    """The upload is to end, and parts of it are not there (409)."""

    status = 409
    hint = "ask again which parts are held, and send the others"

    def __init__(self, missing: Sequence[int]) -> None:
        super().__init__(f"{len(missing)} parts are missing, the first is number {missing[0]}")
        self.missing = missing


class StagedStream:
    """`size` bytes in parts of `part_size`. Thread-safe. `feed` gets all bytes, once and in order, from `follow`."""

    def __init__(
        self,
        stage: Stage,
        size: int,
        part_size: int,
        feed: Callable[[memoryview], object],
        pool: BlockPool | None = None,
        checkpoint: Callable[[], Callable[[], object]] | None = None,
    ) -> None:
        """Takes over what the stage holds. With a `pool`, parts may come in blocks, and be fed before they are whole:
        `checkpoint` gives the way back to what was fed when it was called. Raises `BackendFailed`."""
        self.stage = stage
        self.touched = time.monotonic()
        self._layout = PartsState(size, part_size)
        self._feed = feed
        self._lock = threading.Lock()
        self._following = threading.Lock()
        self.one_write = threading.Lock()
        self._writers: dict[int, PartWriter] = {}
        self._marks = bytearray(self._layout.count)
        stage.read_into(size, memoryview(self._marks))
        self._first_missing = 0
        self._followed = 0
        self._unsynced = 0
        self._halted = False
        self.pool = pool
        self._kept: dict[int, Block] = {}
        self._checkpoint = checkpoint
        self._back: Callable[[], object] | None = None
        self._back_to = -1
        self._undone: set[int] = set()
        self._buffer: memoryview | None = None

    @property
    def size(self) -> int:
        return self._layout.size

    @property
    def receiving(self) -> bool:
        """Whether a part is on its way in."""
        return bool(self._writers)

    @property
    def state(self) -> PartsState:
        """What is held now."""
        held = ranges(number for number, mark in enumerate(self._marks) if mark)
        return PartsState(self._layout.size, self._layout.part_size, held)

    def begin(self, number: int) -> PartWriter | None:
        """Start to send one part; None when it is held already. Raises `PartBusy`, `PartRefused`."""
        try:
            start, end = self._layout.span(number)
        except IndexError:
            raise PartRefused(f"there is no part {number}") from None
        with self._lock:
            self.touched = time.monotonic()
            if self._marks[number]:
                return None
            other = self._writers.get(number)
            if other is not None:
                if not other.stalled:
                    raise PartBusy(number)
                self._drop(number)
            writer = self._writers[number] = PartWriter(self, number, start, end)
            return writer

    def follow(self, seconds: float = 3600.0) -> bool:
        """Feed what can be fed, up to the first part that is missing, for at most `seconds`; whether all of the stream was fed.
        Of several callers one works, the others wait. Raises `BackendFailed`, and what `feed` raises."""
        end = time.monotonic() + seconds
        if not self._following.acquire(timeout=max(0.0, seconds)):
            return False
        try:
            settled = self._settle(end)
            while settled and not self._halted and time.monotonic() < end and self._feed_next():
                settled = self._settle(end)
            self._rest()
            with self._lock:
                if not self._writers:
                    self._let_go()
            return settled and self._followed == self.size and not self._undone
        finally:
            self._buffer = None
            self._following.release()

    def _feed_next(self) -> bool:
        """Feed the next piece; False when there is none yet. With `_following` held."""
        with self._lock:
            self._go_back()
            block = self._kept.pop(self._followed, None)
            start = self._part_start(self._followed)
            if block is not None and self._checkpoint is not None and self._back_to != start:
                # Its part may not be whole yet, and be sent anew by somebody else.
                self._back = self._checkpoint()
                self._back_to = start
            after = min((offset for offset in self._kept if offset > self._followed), default=self.size)
        if block is not None:
            self._feed(block.content)
            self._followed += block.size
            self.give(block)
            return True
        want = min(_READ, self._contiguous() - self._followed, after - self._followed)
        if want <= 0:
            return False
        if self._buffer is None:
            self._buffer = memoryview(bytearray(min(_READ, self.size)))
        buffer = self._buffer
        count = self.stage.read_into(self._followed, buffer[:want])
        self._feed(buffer[:count])
        self._followed += count
        return count == want

    def _go_back(self) -> None:
        """To where the part began that is sent anew, if it was fed in part. With both locks held."""
        if self._back is not None and self._back_to in self._undone and self._followed > self._back_to:
            self._back()
            self._followed = self._back_to
            self._back, self._back_to = None, -1
        self._undone.clear()

    def _let_go(self) -> None:
        """Nobody sends: what is kept is read back when it is its turn. With the lock held."""
        while self._kept:
            self.give(self._kept.popitem()[1])

    def _part_start(self, offset: int) -> int:
        return offset - offset % self._layout.part_size

    def _drop(self, number: int) -> None:
        """What came of a part that is not whole counts for nothing any more. With the lock held."""
        start, end = self._layout.span(number)
        self._undone.add(start)
        for offset in [offset for offset in self._kept if start <= offset < end]:
            self.give(self._kept.pop(offset))

    def halt(self) -> None:
        """Let `follow` end soon, for good: the process ends."""
        self._halted = True

    @property
    def sync_due(self) -> bool:
        """Whether `sync` has anything to do."""
        return self._unsynced >= SYNC_EVERY

    def sync(self) -> None:
        """Bring what was written to the disk, if it is much: the sync at the end is then short."""
        with self._lock:
            due = self._unsynced >= SYNC_EVERY
            if due:
                self._unsynced = 0
        if due:
            self.stage.sync()

    def _contiguous(self) -> int:
        """How many bytes from the start are there without a gap."""
        with self._lock:
            while self._first_missing < len(self._marks) and self._marks[self._first_missing]:
                self._first_missing += 1
            return min(self._first_missing * self._layout.part_size, self.size)

    # For streams whose bytes take more than to be fed. With `_following` held.

    def _settle(self, end: float) -> bool:  # noqa: ARG002 - whoever has more to do needs it
        """Do what the bytes fed so far ask for; False when `end` came before."""
        return True

    def _rest(self) -> None:
        """It may be long until more bytes come: hold nothing large meanwhile."""

    # What follows is for `PartWriter`.

    def give(self, block: Block) -> None:
        if self.pool is not None:
            self.pool.give(block)

    def exchange(self, writer: PartWriter, block: Block) -> Block:
        """Keep what was just written, for `follow`, and give another block instead; the same where there are few."""
        with self._lock:
            if self.pool is None or self._writers.get(writer.number) is not writer:
                return block
            other = self.pool.swap(block)
            if other is not block:
                writer.blocks.remove(block)
                writer.blocks.append(other)
                self._kept[block.offset] = block
            return other

    def enter(self, writer: PartWriter) -> None:
        """The writer is about to write. Raises `PartBusy` when another took its place."""
        with self._lock:
            if self._writers.get(writer.number) is not writer:
                raise PartBusy(writer.number)
            writer.writing = True

    def leave(self, writer: PartWriter, count: int) -> None:
        with self._lock:
            writer.writing = False
            writer.touched = self.touched = time.monotonic()
            self._unsynced += count

    def mark(self, writer: PartWriter) -> None:
        """The part is whole."""
        self.enter(writer)
        try:
            self.stage.write_at(self.size + writer.number, [_MARK])
            with self._lock:
                self._marks[writer.number] = 1
        finally:
            self.leave(writer, 0)

    def forget(self, writer: PartWriter) -> None:
        with self._lock:
            if self._writers.get(writer.number) is writer:
                del self._writers[writer.number]
                if not self._marks[writer.number]:
                    self._drop(writer.number)


class PartWriter:
    """One part on its way in, for one thread at a time. As a context: left unfinished, the part is anybody's again."""

    def __init__(self, stream: StagedStream, number: int, start: int, end: int) -> None:
        self.number = number
        self.size = end - start
        self.touched = time.monotonic()
        self.writing = False
        self._stream = stream
        self.finished = False
        self.start = self._at = start
        self._end = end
        self.blocks: list[Block] = []
        self._empty: list[Block] = []

    @property
    def stalled(self) -> bool:
        """Whether another may take over: never amid a write, so that no late byte hits a part that was sent anew."""
        return not self.writing and time.monotonic() - self.touched > STALLED

    def write(self, parts: Sequence[Buffer]) -> None:
        """Append. Raises `PartRefused` for too many bytes, `PartBusy` when another took over; `BackendFull`, `BackendFailed`."""
        count = sum(len(part) for part in parts)
        if self._at + count > self._end:
            raise PartRefused(f"more than {self.size} bytes came for part {self.number}")
        self._stream.enter(self)
        try:
            # One at a time: the kernel lets one write into a file, and who waits for that burns a processor.
            with self._stream.one_write:
                self._stream.stage.write_at(self._at, parts)
        finally:
            self._stream.leave(self, count)
        self._at += count

    def take_blocks(self) -> bool:
        """Whether there is memory to take the part in by `next_block` and `store`, instead of by `write`."""
        pool = self._stream.pool
        if pool is not None and self._at % _PAGE == 0 and pool.size % _PAGE == 0:
            self.blocks = pool.take(2)
            self._empty = list(self.blocks)
        return bool(self.blocks)

    def next_block(self, offset: int) -> Block:
        """An empty block for what comes at `offset`. There are two, so that one can be filled while the other is stored. Does not
        wait. Raises `PartRefused` when the part has no more."""
        if offset >= self._end:
            raise PartRefused(f"more than {self.size} bytes came for part {self.number}")
        block = self._empty.pop()
        block.begin(offset, self._end - offset)
        return block

    def store(self, block: Block) -> None:
        """Write it behind what was stored, and give it back. Raises `PartBusy` when another took over; `BackendFull`,
        `BackendFailed`."""
        self._stream.enter(self)
        try:
            self._stream.stage.write_block(block.offset, block.content)
        finally:
            self._stream.leave(self, 0)
        self._at += block.size
        self._empty.append(self._stream.exchange(self, block))

    def finish(self) -> None:
        """The part is whole and stays. Raises `PartRefused`, `PartBusy`, `BackendFull`, `BackendFailed`."""
        if self._at != self._end:
            came = self.size - (self._end - self._at)
            raise PartRefused(f"{came} bytes came for part {self.number} of {self.size}")
        self._stream.mark(self)
        self.finished = True

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stream.forget(self)
        while self.blocks:
            self._stream.give(self.blocks.pop())


class StagedObject(StagedStream):
    """A whole object in parts, as `cwt-parts` brings it: hashed while it comes, published when it is right."""

    def __init__(
        self,
        store: ObjectStore,
        stage: Stage,
        oid: Oid,
        size: int,
        part_size: int,
        pool: BlockPool | None = None,
    ) -> None:
        self.oid = oid
        self._store = store
        self._hash = hashlib.sha256()
        self._published = False
        super().__init__(stage, size, part_size, self._update, pool, self._remember)

    def finish(self, seconds: float) -> bool:
        """Check and publish; False when hashing takes longer than `seconds`: call again. Harmless twice.

        Raises `PartsMissing` (send them); `ObjectMismatch` (the stage is of no use any more); `BackendFull`, `BackendFailed`.
        """
        missing = self.state.missing()
        if missing:
            raise PartsMissing(missing)
        if not self._published and not self.follow(seconds):
            return False
        with self._following:
            if self._published:
                return True
            if self._hash.hexdigest() != self.oid:
                raise ObjectMismatch(self.oid, f"the bytes that came have the SHA-256 '{self._hash.hexdigest()}'")
            self.stage.commit(self._store.key(self.oid), self.size)
            self._published = True
        return True

    def _update(self, data: memoryview) -> None:
        self._hash.update(data)

    def _remember(self) -> Callable[[], None]:
        before = self._hash.copy()

        def back() -> None:
            self._hash = before

        return back
