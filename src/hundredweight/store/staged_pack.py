"""An object that comes as a pack stream: every block decoded and checked, the whole hashed, then the stream becomes a pack.

Nothing of the sender is believed. Bases are the segments that the caller allows (those of objects that the sender's repository
possesses) and what came before in the stream. Segments of the object that are among them are not sent; they are read from
the store, so that SHA-256 runs over the whole object, in order.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from blake3 import blake3

from hundredweight.backend.interface import BackendError
from hundredweight.base.errors import CwtError, DamageError
from hundredweight.codec import block
from hundredweight.codec.errors import CodecError
from hundredweight.store.objects import ObjectMismatch
from hundredweight.store.pack import (
    MAX_DEPTH,
    IndexBuilder,
    PackDamaged,
    PackStreamReader,
    RecipeRecord,
)
from hundredweight.store.recipe import Recipe, RecipeDamaged
from hundredweight.store.recipe_check import RecipeCheck, SegmentSource
from hundredweight.store.staged import PartsMissing, StagedStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor, Future

    from hundredweight.backend.interface import Stage
    from hundredweight.base.ids import Oid
    from hundredweight.store.pack import BlockRecord
    from hundredweight.store.reader import Link, ObjectReader
    from hundredweight.store.recipe import Segment
    from hundredweight.store.turns import Turns

    Buffer = bytes | bytearray | memoryview

__all__ = ["BaseUnreadable", "StagedPack"]

AHEAD = 3
"""Segments that are decoded before the one that is hashed next."""
AHEAD_BYTES = 24 << 20
"""Bytes of them, but for the first."""
MANY, LEAST_MEAN = 4096, 4096
"""An object of more segments than that has so many bytes in each, in the mean: what is known of them is kept in memory."""
SLICE = 2.0
"""Seconds that one stream is worked on while others may wait for their turn."""
LONG = 8 << 20
"""Bytes of the longest segment that the rules of cutting make. Longer ones may come, and take that much more memory."""
PLANNED = 64
"""Segments whose places in the store are looked up at once."""
MOST_CHAINS = 512
PATIENCE = 60.0
"""Seconds for which work goes on that nobody asks for any more: a few bytes may ask for hours of it."""


class BaseUnreadable(DamageError):
    """A segment of the store that a stream builds on is damaged or missing (422). Nothing was stored."""

    status = 422
    hint = "have the hub's owner run 'cwt hub check --repair'; meanwhile the object can be sent whole"

    def __init__(self, oid: Oid, cause: CwtError) -> None:
        super().__init__(f"object '{oid}' cannot be built: {cause.message}")
        self.oid = oid


class StagedPack(StagedStream):
    """The pack stream of one object, in parts. `follow` checks what came; `finish` makes it a pack. Thread-safe as its base."""

    def __init__(
        self,
        stage: Stage,
        size: int,
        part_size: int,
        *,
        oid: Oid,
        object_size: int,
        digest: str,
        allowed: Mapping[bytes, int],
        reader: ObjectReader,
        pool: Executor,
        turns: Turns,
    ) -> None:
        """`size` is the stream's, `digest` the BLAKE3-256 that it should have. `allowed` are segments of the store that
        may serve, with the number of deltas that lead to each. `pool` decodes; `turns` bounds how many streams are decoded
        at a time, and lets one with long segments have it alone. Raises `BackendFailed`."""
        self.oid = oid
        self.name = ""
        self.total = 0
        self._object_size = object_size
        self._digest = digest
        self._allowed = allowed
        self._reader = reader
        self._pool = pool
        self._turns = turns
        self._stream = PackStreamReader()
        self._records: deque[RecipeRecord | BlockRecord] = deque()
        self._whole = blake3()
        self._hashed = 0
        self._hash = hashlib.sha256()
        self._index = IndexBuilder()
        self._depths: dict[bytes, int] = {}
        self._recipe: Recipe | None = None
        self._check: RecipeCheck | None = None
        self._next = 0
        self._coming: deque[tuple[Future[Buffer], Segment]] = deque()
        self._chains: dict[bytes, list[Link]] = {}
        self._long = False
        self._alone = False
        self._fault: CwtError | None = None
        self.published = False
        super().__init__(stage, size, part_size, self._take)

    @property
    def failed(self) -> bool:
        """Whether the stream cannot be gone on with: `finish` says why, each time."""
        return self._fault is not None

    def follow(self, seconds: float = 3600.0) -> bool:
        """As in `StagedStream`; taking turns with other streams."""
        end = time.monotonic() + seconds
        while True:
            alone = self._long
            if not self._turns.acquire(max(0.0, end - time.monotonic()), alone=alone):
                return False
            self._alone = alone
            before = self._place()
            try:
                whole = super().follow(min(SLICE, end - time.monotonic()))
                if whole:
                    # It decodes, too: in the same turn.
                    with self._following:
                        self._check_recipe()
            finally:
                self._alone = False
                self._turns.release(alone=alone)
            if whole or time.monotonic() >= end or (self._place() == before and self._long == alone):
                return whole

    def finish(self, seconds: float) -> bool:
        """Check, and make the stream a pack that `publish` shows; False when it takes longer than `seconds`: call again.

        Afterwards `name` and `total` are the pack's. Raises `PartsMissing` (send them); `ObjectMismatch`, and
        `BaseUnreadable` where the store's own bases are damaged (then `failed` is true, and the stage of no use any more);
        `BackendFull`, `BackendFailed`.
        """
        self.touched = time.monotonic()
        missing = self.state.missing()
        if missing:
            raise PartsMissing(missing)
        if self._fault is not None:
            raise self._fault
        if not self.follow(seconds):
            if self._fault is not None:
                raise self._fault
            return False
        with self._following:
            self._seal()
        return True

    def publish(self, key: str) -> None:
        """The sealed pack shows under `key`. Harmless twice. Raises `BackendFull`, `BackendFailed`."""
        with self._following:
            if not self.published:
                self.stage.commit(key, self.total)
                self.published = True

    def _seal(self) -> None:
        """If the whole is right, put index and trailer behind the stream."""
        if self.name:
            return
        if self._fault is not None:
            raise self._fault
        if self._whole.hexdigest() != self._digest:
            raise self._refuse("the stream has another digest than its name says")
        if self._hash.hexdigest() != self.oid:
            raise self._refuse(f"the blocks that came give the SHA-256 '{self._hash.hexdigest()}'")
        self._check_recipe()
        index = self._index.encode(self.size)
        whole = self._whole.copy()
        whole.update(index)
        name = whole.digest()
        self.stage.write_at(self.size, [index, name])
        self.total = self.size + len(index) + len(name)
        self.name = name.hex()

    # With `_following` held.

    def _check_recipe(self) -> None:
        """Of an object that is right; harmless again."""
        recipe, check = self._recipe, self._check
        if recipe is None or check is None or self._hash.hexdigest() != self.oid:
            return
        source = SegmentSource(recipe, lambda segment: self._raw(segment.id, segment.size), self._refuse)
        try:
            fault = check.fault(source)
        except (ObjectMismatch, BackendError):
            raise
        except CwtError as error:
            self._fault = BaseUnreadable(self.oid, error)
            raise self._fault from error
        if fault:
            raise self._refuse(fault)
        self._check = None

    def _take(self, data: memoryview) -> None:
        """The next bytes of the stream: their records wait for `_settle`."""
        if self._fault is not None:
            raise self._fault
        try:
            known = self._hashed - self._followed
            if known < len(data):
                self._whole.update(data[max(known, 0) :])
                self._hashed = self._followed + len(data)
            self._records.extend(self._stream.feed(data))
        except PackDamaged as error:
            raise self._refuse(error.message) from error

    def _settle(self, end: float) -> bool:
        if self._fault is not None:
            raise self._fault
        try:
            self._plan({record.base for record in self._records if not isinstance(record, RecipeRecord)})
            while self._records:
                if not self._proceed(self._records[0], end):
                    return False
                self._records.popleft()
            return self._followed < self.size or self._proceed(None, end)
        except (PackDamaged, RecipeDamaged) as error:
            raise self._refuse(error.message) from error

    def _rest(self) -> None:
        self._drain(0)
        # Of many streams that wait each would hold a record or two. They are in the stage, and are read again.
        self._stream.rewind(self._records[0] if self._records else None)
        self._records.clear()
        self._followed = self._stream.offset
        self._chains.clear()

    def _place(self) -> tuple[int, int, int]:
        """How far it is: where it stays the same there is nothing to do until more comes, or somebody asks again."""
        return self._followed, len(self._records), self._next

    def _proceed(self, record: RecipeRecord | BlockRecord | None, end: float) -> bool:
        """Up to and with that record, or with None to the end of the object; False when `end` comes before."""
        if isinstance(record, RecipeRecord):
            self._begin(record)
            return True
        if self._long and not self._alone:
            return False
        if record is None:
            self._stream.finish()
        segments = self._known_recipe().segments
        while self._next < len(segments) and (record is None or segments[self._next].id != record.id):
            if time.monotonic() >= end or self._halted or time.monotonic() - self.touched > PATIENCE:
                return False
            self._pass(segments[self._next])
        if record is not None:
            self._block(record, segments)
        return True

    def _begin(self, record: RecipeRecord) -> None:
        recipe = Recipe.decode(record.data)
        if self._recipe is not None or recipe.oid != self.oid or recipe.size != self._object_size:
            raise self._refuse("the recipe is another object's")
        if len(recipe.segments) > MANY and recipe.size < len(recipe.segments) * LEAST_MEAN:
            raise self._refuse(f"{len(recipe.segments)} segments are too many for {recipe.size} bytes")
        self._recipe = recipe
        self._long = max((segment.size for segment in recipe.segments), default=0) > LONG
        self._check = RecipeCheck(recipe)
        self._index.add_recipe(recipe.oid, record.offset, len(record.data), recipe.size)

    def _block(self, record: BlockRecord, segments: Sequence[Segment]) -> None:
        if self._next == len(segments) or segments[self._next].size != record.size:
            raise self._refuse(f"segment '{record.id.hex()[:12]}' is not the next of its recipe")
        depth = 0
        if record.base is not None:
            depth = 1 + self._depths.get(record.base, self._allowed.get(record.base, MAX_DEPTH))
            if depth > MAX_DEPTH:
                raise self._refuse(f"the base of segment '{record.id.hex()[:12]}' is none that it may have")
        if (record.base is not None) != block.uses_base(record.data):
            raise self._refuse(f"segment '{record.id.hex()[:12]}' names a base that it does not use, or none")
        self._index.add_block(record.id, record.offset, len(record.data), record.size, record.base, depth)
        chain = None if record.base is None else self._chains.get(record.base)
        job = self._pool.submit(self._decode, record.id, record.data, record.size, record.base, chain)
        self._submit(job, segments[self._next])
        self._depths[record.id] = depth
        self._next += 1

    def _pass(self, segment: Segment) -> None:
        """A segment of the object that is not sent: it is in the store, or came before."""
        if segment.id not in self._depths and segment.id not in self._allowed:
            raise self._refuse(f"segment '{segment.id.hex()[:12]}' did not come")
        if segment.id not in self._chains:
            ahead = self._known_recipe().segments[self._next : self._next + PLANNED]
            self._plan({each.id for each in ahead})
        self._submit(self._pool.submit(self._raw, segment.id, segment.size, self._chains.get(segment.id)), segment)
        self._next += 1

    def _plan(self, ids: set[bytes | None]) -> None:
        """Look up those of the store at once: it takes as long as for one."""
        stored = {each for each in ids if each is not None and each in self._allowed and each not in self._depths}
        wanted = stored - self._chains.keys()
        if len(wanted) > 1:
            if len(self._chains) > MOST_CHAINS:
                self._chains.clear()
            # Where one is missing or damaged, whoever needs that one is told.
            with suppress(DamageError):
                self._chains |= self._reader.chains(wanted)

    def _submit(self, job: Future[Buffer], segment: Segment) -> None:
        self._coming.append((job, segment))
        self._drain(AHEAD)

    def _drain(self, most: int) -> None:
        """Hash what is decoded, until at most `most` segments are under way."""
        try:
            while len(self._coming) > most or (
                len(self._coming) > 1 and sum(segment.size for _, segment in self._coming) > AHEAD_BYTES
            ):
                job, segment = self._coming.popleft()
                data = job.result()
                self._hash.update(data)
                if self._check is not None:
                    self._check.take(segment, data)
        except (ObjectMismatch, BackendError) as error:
            # Of the backend too: a segment is out of the row, so the stream cannot be gone on with.
            self._fault = self._fault or error
            raise
        except CwtError as error:
            self._fault = self._fault or BaseUnreadable(self.oid, error)
            raise self._fault from error

    # In the pool.

    def _decode(
        self, identity: bytes, data: Buffer, size: int, base: bytes | None, chain: Sequence[Link] | None = None
    ) -> Buffer:
        """`chain` is the base's, where it was looked up."""
        try:
            raw = block.decode(data, size, None if base is None else self._raw(base, chain=chain))
        except CodecError as error:
            raise self._refuse(f"segment '{identity.hex()[:12]}': {error}") from error
        if blake3(raw).digest() != identity:
            raise self._refuse(f"segment '{identity.hex()[:12]}' has another content than its id")
        return raw

    def _raw(self, identity: bytes, size: int = -1, chain: Sequence[Link] | None = None) -> Buffer:
        entry = self._index.entry(identity)
        if entry is None:
            raw = self._reader.segment(identity, chain)
        else:
            offset, stored, length, base, _ = entry
            data = bytearray(stored)
            self.stage.read_into(offset, memoryview(data))
            raw = self._decode(identity, data, length, base)
        if size >= 0 and len(raw) != size:
            raise self._refuse(f"segment '{identity.hex()[:12]}' has another length than in the recipe")
        return raw

    def _known_recipe(self) -> Recipe:
        if self._recipe is None:
            raise self._refuse("no recipe came before the blocks")
        return self._recipe

    def _refuse(self, reason: str) -> ObjectMismatch:
        refusal = ObjectMismatch(self.oid, reason)
        self._fault = self._fault or refusal
        return refusal
