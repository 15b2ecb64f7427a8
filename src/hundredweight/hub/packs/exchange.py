"""The adapter `cwt-blocks` on the hub's side: what may serve as base, streams that come, streams that go. All calls block.

Authority is by object: only objects that the repository possesses serve as bases, whatever segments the hub has besides.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from hundredweight.base.errors import DamageError
from hundredweight.codec import block
from hundredweight.hub.errors import NotFound, Unprocessable
from hundredweight.protocol.blocks import Terms
from hundredweight.store.bases import BY_SHAPE, Candidates, agreement
from hundredweight.store.catalog import PackMissing
from hundredweight.store.pack import MAGIC, encode_block_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from hundredweight.base.ids import Oid
    from hundredweight.hub.objects.service import Objects, Possessor
    from hundredweight.hub.packs.service import Packs
    from hundredweight.protocol.blocks import Bases, Request
    from hundredweight.store.bases import Candidate
    from hundredweight.store.reader import Link
    from hundredweight.store.recipe import Recipe, Segment

PIECE = 1 << 20
"""Bytes of a piece of a stream that goes out."""
AT_ONCE = 128
"""Segments whose chains are looked up together."""
AHEAD = 3
"""Segments that are encoded before the one that is sent next."""
WORTH = 0.9
"""A chain that costs more than this share of the raw segment is sent as one block."""


def recipe_digest(recipe: Recipe) -> str:
    """What both sides compare, to mean the same segments."""
    return str(blake3(recipe.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one repository may exchange."""

    packs: Packs
    objects: Objects
    holder: Possessor

    def accept(self, offered: Bases) -> list[Recipe]:
        """The recipes of those offered objects that are packed here, cut alike, and the repository's own."""
        own = self.objects.possessed(self.holder, offered.recipes)
        recipes = [self._readable(oid) for oid in offered.recipes if oid in own]
        return [
            recipe for recipe in recipes if recipe is not None and recipe_digest(recipe) == offered.recipes[recipe.oid]
        ]

    def _readable(self, oid: Oid) -> Recipe | None:
        """One that is damaged or lost is no base; it must not keep other objects from moving."""
        try:
            return self.packs.recipe(oid)
        except (DamageError, PackMissing):
            return None

    def terms(self, offered: Bases) -> Terms:
        """Which bases are accepted, and how deep their chains are."""
        found: dict[Oid, str] = {}
        for recipe in self.accept(offered):
            places = self.packs.segments(segment.id for segment in recipe.segments)
            if all(segment.id in places for segment in recipe.segments):
                found[recipe.oid] = "".join(str(places[segment.id].depth) for segment in recipe.segments)
        return Terms(found)

    def allowed(self, bases: Bases) -> dict[bytes, int]:
        """The segments of those bases, with their depths. Raises `Unprocessable` when one is not accepted any more."""
        recipes = self.accept(bases)
        if len(recipes) != len(bases.recipes):
            raise Unprocessable("a base is not accepted", hint="repeat the push")
        ids = {segment.id for recipe in recipes for segment in recipe.segments}
        return {identity: place.depth for identity, place in self.packs.segments(ids).items()}

    def recipe(self, oid: Oid) -> Recipe:
        """Raises `NotFound` for an object that is not packed, or not the repository's."""
        found = self.packs.recipe(oid) if oid in self.objects.possessed(self.holder, [oid]) else None
        if found is None:
            raise NotFound(f"object '{oid}' is not packed")
        return found

    def own_in(self, pack: str) -> Iterator[bytes]:
        """The segments of those objects in the pack of that name that the repository possesses."""
        for oid in self.objects.possessed(self.holder, self.packs.tables.objects_in(pack)):
            recipe = self._readable(oid)
            yield from (segment.id for segment in recipe.segments) if recipe is not None else ()

    def stream(self, oid: Oid, wanted: Request) -> Iterator[bytes]:
        """A pack stream of the wanted segments, in order; each after the bases that it takes and the client has not.

        Raises `NotFound`, `Unprocessable`; `DamageError` amid the stream, where the store is damaged.
        """
        recipe = self.recipe(oid)
        if wanted.want and wanted.want[-1][1] > len(recipe.segments):
            raise Unprocessable(f"object '{oid}' has {len(recipe.segments)} segments")
        bases = self.accept(wanted.have)
        held = {segment.id for base in bases for segment in base.segments}
        numbers = [number for first, end in wanted.want for number in range(first, end)]
        # Not shards beside it, which a clone holds when it asks for the next: a delta against those gains nothing, and is slow.
        near = Candidates(recipe, [base for base in bases if agreement(recipe, base) > BY_SHAPE])
        return self._pieces(self._records(recipe, numbers, near, _Own(self, recipe, held)))

    @staticmethod
    def _pieces(records: Iterable[bytes]) -> Iterator[bytes]:
        """Joined to pieces of some size: one a block would be many small writes."""
        parts: list[bytes] = [MAGIC]
        size = len(MAGIC)
        for part in records:
            parts.append(part)
            size += len(part)
            if size >= PIECE:
                yield b"".join(parts)
                parts, size = [], 0
        yield b"".join(parts)

    def _records(self, recipe: Recipe, numbers: Sequence[int], near: Candidates, own: _Own) -> Iterator[bytes]:
        """What is not sent as it is stored is encoded a few segments ahead."""
        waiting: deque[Sequence[Link] | Future[_Anew]] = deque()
        try:
            for start in range(0, len(numbers), AT_ONCE):
                part = numbers[start : start + AT_ONCE]
                chains = self.packs.reader.chains(recipe.segments[number].id for number in part)
                for number in part:
                    segment = recipe.segments[number]
                    needed = _until_held(chains[segment.id], own.held)
                    base = next(iter(near.of(number)), None) if len(needed) > 1 else None
                    if _as_stored(needed, base, own):
                        waiting.append(needed)
                    else:
                        waiting.append(self.packs.pool.submit(self._anew, segment, base))
                    if len(waiting) > AHEAD:
                        yield from self._sent(waiting.popleft())
            while waiting:
                yield from self._sent(waiting.popleft())
        finally:
            for each in waiting:
                if isinstance(each, Future):
                    each.cancel()

    def _sent(self, segment: Sequence[Link] | Future[_Anew]) -> Iterator[bytes]:
        if isinstance(segment, Future):
            yield from _record(*segment.result())
            return
        for link in reversed(segment):
            at = link.location
            yield from _record(link.id, at.size, at.base, self.packs.read(at.pack, at.offset, at.stored))

    def _anew(self, segment: Segment, base: Candidate | None) -> _Anew:
        raw = self.packs.reader.segment(segment.id)
        if base is not None:
            try:
                data = block.encode(raw, segment.dtype, self.packs.reader.segment(base.id), base.dtype)
            except (DamageError, PackMissing):
                # What is damaged is no base; it must not keep other objects from moving.
                base = None
        if base is None:
            data = block.encode(raw, segment.dtype)
        return _Anew(segment.id, segment.size, base.id if base is not None and block.uses_base(data) else None, data)


class _Anew(NamedTuple):
    """A segment that is not sent as it is stored."""

    id: bytes
    size: int
    base: bytes | None
    data: bytes


class _Own:
    """The segments that the repository may see. One that it has may be stored as a delta against what is another's alone: the
    hub keeps equal segments once."""

    def __init__(self, exchange: Exchange, recipe: Recipe, held: AbstractSet[bytes]) -> None:
        """`held`: what the client has of them."""
        self.held = held
        self._exchange = exchange
        self._ids = {*(segment.id for segment in recipe.segments), *held}
        self._looked: set[str] = set()

    def has(self, link: Link) -> bool:
        """Whether the segment is known to be part of an object that the repository possesses: one out of the same pack."""
        pack = link.location.pack
        if link.id not in self._ids and pack not in self._looked:
            self._looked.add(pack)
            self._ids.update(self._exchange.own_in(pack))
        return link.id in self._ids


def _as_stored(needed: Sequence[Link], base: Candidate | None, own: _Own) -> bool:
    """Whether those blocks are what is sent. Where they stand upon nothing that the client holds, a delta against what it does
    hold, `base`, is shorter: a fresh clone has the newest version alone, and the next may stand upon an older one."""
    if len(needed) == 1:
        return True
    if base is not None and needed[-1].location.base is None:
        return False
    cost = sum(link.location.stored for link in needed)
    return cost <= needed[0].location.size * WORTH and all(map(own.has, needed[1:]))


def _until_held(chain: Sequence[Link], held: AbstractSet[bytes]) -> list[Link]:
    """The blocks of a chain that the client lacks, the wanted one first."""
    needed: list[Link] = []
    for link in chain:
        if needed and link.id in held:
            break
        needed.append(link)
    return needed


def _record(identity: bytes, size: int, base: bytes | None, data: bytes) -> Iterable[bytes]:
    return (encode_block_head(identity, size, base, len(data)), data)
