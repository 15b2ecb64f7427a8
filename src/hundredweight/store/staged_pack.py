"""An object that comes as a pack stream: every block decoded and checked, the whole hashed, then the stream becomes a pack.

Nothing of the sender is believed. Bases are the segments that the caller allows (those of objects that the sender's repository
possesses) and what came before in the stream. Segments of the object that are among them are not sent; they are read from
the store, so that SHA-256 runs over the whole object, in order.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from typing import TYPE_CHECKING

from blake3 import blake3

from hundredweight.base.errors import CwtError
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
from hundredweight.store.staged import PartsMissing, StagedStream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor, Future

    from hundredweight.backend.interface import Stage
    from hundredweight.base.ids import Oid
    from hundredweight.store.pack import BlockRecord
    from hundredweight.store.reader import ObjectReader
    from hundredweight.store.recipe import Segment

    Buffer = bytes | bytearray | memoryview

__all__ = ["StagedPack"]

AHEAD = 3
"""Segments that are decoded before the one that is hashed next."""


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
        allowed: Mapping[bytes, int],
        reader: ObjectReader,
        pool: Executor,
    ) -> None:
        """`size` is the stream's. `allowed` are segments of the store that may serve, with the number of deltas that lead to
        each. `pool` decodes. Raises `BackendFailed`."""
        self.oid = oid
        self.name = ""
        self.total = 0
        self._object_size = object_size
        self._allowed = allowed
        self._reader = reader
        self._pool = pool
        self._stream = PackStreamReader()
        self._whole = blake3()
        self._hash = hashlib.sha256()
        self._index = IndexBuilder()
        self._depths: dict[bytes, int] = {}
        self._recipe: Recipe | None = None
        self._next = 0
        self._coming: deque[Future[Buffer]] = deque()
        self._fault: CwtError | None = None
        super().__init__(stage, size, part_size, self._take)

    def finish(self, seconds: float) -> bool:
        """Check, and make the stream a pack that `publish` shows; False when it takes longer than `seconds`: call again.

        Afterwards `name` and `total` are the pack's. Raises `PartsMissing` (send them); `ObjectMismatch`, and `DamageError` where
        the store's own bases are damaged (the stage is of no use any more then); `BackendFull`, `BackendFailed`.
        """
        missing = self.state.missing()
        if missing:
            raise PartsMissing(missing)
        if self._fault is not None:
            raise self._fault
        end = time.monotonic() + seconds
        if not self.follow(seconds):
            if self._fault is not None:
                raise self._fault
            return False
        if not self._following.acquire(timeout=max(0.0, end - time.monotonic())):
            return False
        try:
            return self._seal(end)
        finally:
            self._following.release()

    def publish(self, key: str) -> None:
        """The sealed pack shows under `key`. Raises `BackendFull`, `BackendFailed`."""
        self.stage.commit(key, self.total)

    def _seal(self, end: float) -> bool:
        """Hash what is left, and if the whole is right put index and trailer behind the stream; False when `end` comes before."""
        if self.name:
            return True
        try:
            self._stream.finish()
            segments = self._known_recipe().segments
            while self._next < len(segments):
                if time.monotonic() > end:
                    return False
                self._pass(segments[self._next])
            self._drain(0)
        except (PackDamaged, RecipeDamaged) as error:
            raise self._refuse(str(error)) from error
        if self._hash.hexdigest() != self.oid:
            raise self._refuse(f"the blocks that came give the SHA-256 '{self._hash.hexdigest()}'")
        index = self._index.encode(self.size)
        self._whole.update(index)
        name = self._whole.digest()
        self.stage.write_at(self.size, [index, name])
        self.total = self.size + len(index) + len(name)
        self.name = name.hex()
        return True

    def _take(self, data: memoryview) -> None:
        """The next bytes of the stream."""
        if self._fault is not None:
            raise self._fault
        self._whole.update(data)
        try:
            for record in self._stream.feed(data):
                if isinstance(record, RecipeRecord):
                    self._begin(record)
                else:
                    self._block(record)
        except (PackDamaged, RecipeDamaged) as error:
            raise self._refuse(str(error)) from error

    def _begin(self, record: RecipeRecord) -> None:
        recipe = Recipe.decode(record.data)
        if self._recipe is not None or recipe.oid != self.oid or recipe.size != self._object_size:
            raise self._refuse("the recipe is another object's")
        self._recipe = recipe
        self._index.add_recipe(recipe.oid, record.offset, len(record.data), recipe.size)

    def _block(self, record: BlockRecord) -> None:
        segments = self._known_recipe().segments
        while self._next < len(segments) and segments[self._next].id != record.id:
            self._pass(segments[self._next])
        if self._next == len(segments) or segments[self._next].size != record.size:
            raise self._refuse(f"segment '{record.id.hex()[:12]}' is not the next of its recipe")
        depth = 0
        if record.base is not None:
            depth = 1 + self._depths.get(record.base, self._allowed.get(record.base, MAX_DEPTH))
            if depth > MAX_DEPTH:
                raise self._refuse(f"the base of segment '{record.id.hex()[:12]}' is none that it may have")
        self._index.add_block(record.id, record.offset, len(record.data), record.size, record.base, depth)
        self._submit(self._pool.submit(self._decode, record.id, record.data, record.size, record.base))
        self._depths[record.id] = depth
        self._next += 1

    def _pass(self, segment: Segment) -> None:
        """A segment of the object that is not sent: it is in the store, or came before."""
        if segment.id not in self._depths and segment.id not in self._allowed:
            raise self._refuse(f"segment '{segment.id.hex()[:12]}' did not come")
        self._submit(self._pool.submit(self._raw, segment.id, segment.size))
        self._next += 1

    def _submit(self, job: Future[Buffer]) -> None:
        self._coming.append(job)
        self._drain(AHEAD)

    def _drain(self, most: int) -> None:
        """Hash what is decoded, until at most `most` segments are under way."""
        try:
            while len(self._coming) > most:
                self._hash.update(self._coming.popleft().result())
        except CwtError as error:
            # Also where a base in the store is damaged: the stream cannot be gone on with.
            self._fault = self._fault or error
            raise

    # In the pool.

    def _decode(self, identity: bytes, data: Buffer, size: int, base: bytes | None) -> Buffer:
        try:
            raw = block.decode(data, size, None if base is None else self._raw(base))
        except CodecError as error:
            raise self._refuse(f"segment '{identity.hex()[:12]}': {error}") from error
        if blake3(raw).digest() != identity:
            raise self._refuse(f"segment '{identity.hex()[:12]}' has another content than its id")
        return raw

    def _raw(self, identity: bytes, size: int = -1) -> Buffer:
        entry = self._index.entry(identity)
        if entry is None:
            raw = self._reader.segment(identity)
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
