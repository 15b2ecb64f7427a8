"""A client of `cwt-blocks` for tests of the hub: honest streams, and streams made by hand, brought in parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from blake3 import blake3

from hundredweight.base.ids import Oid
from hundredweight.codec import block
from hundredweight.formats.source import BytesSource
from hundredweight.protocol.blocks import Bases, Request, StreamName, Terms, recipe_url, segments_url, stream_url
from hundredweight.protocol.parts import commit_url, part_url
from hundredweight.store.pack import (
    MAGIC,
    BlockRecord,
    PackStreamReader,
    PackStreamWriter,
    encode_block_head,
    encode_recipe_record,
)
from hundredweight.store.packer import Packer, SourceBases
from hundredweight.store.recipe import Recipe, Segment
from tests.hub.serving import Answer, Caller, sha256
from tests.store.weights import recipe_of

TRANSFERS = ["cwt-blocks", "cwt-parts", "basic"]


class Block(NamedTuple):
    """A record of a stream that is made by hand."""

    id: bytes
    size: int
    base: bytes | None
    data: bytes


def identity(raw: bytes) -> bytes:
    return bytes(blake3(raw).digest())


def made(raw: bytes, base: bytes | None = None) -> Block:
    """The block of `raw`; with `base`, surely a delta (both are F32)."""
    data = block.encode(raw, "F32" if base is not None else "", base)
    assert block.uses_base(data) == (base is not None)
    return Block(identity(raw), len(raw), None if base is None else identity(base), data)


def recipe_by_hand(pieces: Sequence[bytes]) -> Recipe:
    """Cut as a client that keeps to no rules may."""
    data = b"".join(pieces)
    return Recipe(Oid(sha256(data)), len(data), "", tuple(Segment(identity(each), len(each), "") for each in pieces))


def stream_of(recipe: Recipe | bytes | None, blocks: Iterable[Block]) -> bytes:
    encoded = recipe.encode() if isinstance(recipe, Recipe) else recipe
    parts = [MAGIC] + ([] if encoded is None else [encode_recipe_record(encoded)])
    for each in blocks:
        parts += [encode_block_head(each.id, each.size, each.base, len(each.data)), each.data]
    return b"".join(parts)


def bases_of(objects: Iterable[bytes]) -> Bases:
    return Bases({each.oid: blake3(each.encode()).hexdigest() for each in map(recipe_of, objects)})


class Blocks:
    """One object, by one caller. `data` may be nothing of that object."""

    def __init__(self, caller: Caller, data: bytes, *, oid: str = "", size: int = -1, down: bool = False) -> None:
        self.caller = caller
        self.data = data
        self.oid = oid or sha256(data)
        self.size = len(data) if size < 0 else size
        answer = caller.batch("download" if down else "upload", (self.oid, self.size), transfers=TRANSFERS)
        assert answer.json["transfer"] == "cwt-blocks"
        self.actions: dict[str, Any] = answer.json["objects"][0].get("actions", {})

    @property
    def href(self) -> str:
        href: str = self.actions["blocks"]["href"]
        return href

    # Up

    def terms(self, bases: Bases) -> Answer:
        return self.caller.send("POST", recipe_url(self.href), bases.encode())

    def stream(self, bases: Sequence[bytes] = ()) -> bytes:
        """What an honest client sends that has `bases`."""
        depths = Terms.parse(self.terms(bases_of(bases)).body).depths if bases else {}
        known = [each for each in bases if recipe_of(each).oid in depths]
        store = SourceBases(
            depths={
                segment.id: int(digit)
                for each in known
                for segment, digit in zip(recipe_of(each).segments, depths[recipe_of(each).oid], strict=True)
            }
        )
        for each in known:
            store.add(recipe_of(each), BytesSource(each))
        have = {segment.id for each in known for segment in recipe_of(each).segments}
        out = bytearray()
        with Packer(store, 1) as packer:
            target = PackStreamWriter(out.extend)
            packer.pack(BytesSource(self.data), recipe_of(self.data), [recipe_of(each) for each in known], target, have)
        return bytes(out)

    def send(self, stream: bytes, bases: Sequence[bytes] = (), *, name: StreamName | None = None) -> Sending:
        return Sending(self, stream, bases_of(bases), name)

    def push(self, bases: Sequence[bytes] = ()) -> int:
        """Bring the object as an honest client does; gives the bytes of the stream."""
        stream = self.stream(bases)
        answer = self.send(stream, bases).whole()
        assert answer.status == 200, answer.body
        return len(stream)

    # Down

    def recipe(self) -> Answer:
        return self.caller.send("GET", recipe_url(self.href))

    def segments(self, want: Sequence[tuple[int, int]], have: Bases | None = None) -> Answer:
        body = Request(tuple(want), have or Bases()).encode()
        return self.caller.send("POST", segments_url(self.href), body)

    def pull(self, held: Sequence[bytes] = ()) -> tuple[bytes, int]:
        """The object as an honest client gets it that holds `held`; and the bytes of the stream."""
        recipe = Recipe.decode(self.recipe().body)
        raws: dict[bytes, bytes] = {}
        for each in held:
            other = recipe_of(each)
            raws |= {one.id: each[at : at + one.size] for one, at in zip(other.segments, other.offsets(), strict=False)}
        want = [(n, n + 1) for n, segment in enumerate(recipe.segments) if segment.id not in raws]
        answer = self.segments(want, bases_of(held))
        assert answer.status == 200, answer.body
        raws |= decoded(answer.body, raws)
        return b"".join(raws[segment.id] for segment in recipe.segments), len(answer.body)


class Sending:
    """One stream on its way."""

    def __init__(self, blocks: Blocks, stream: bytes, bases: Bases, name: StreamName | None = None) -> None:
        self.caller = blocks.caller
        self.stream = stream
        self.bases = bases
        self.href = stream_url(blocks.href, name or StreamName(blake3(stream).hexdigest(), len(stream)))
        self.part_size = 0

    def open(self) -> Answer:
        answer = self.caller.send("POST", self.href, self.bases.encode())
        if answer.status == 200:
            self.part_size = answer.json["part_size"]
        return answer

    def count(self) -> int:
        return -(-len(self.stream) // self.part_size)

    def put(self, number: int, data: bytes | None = None) -> Answer:
        content = self.stream[number * self.part_size : (number + 1) * self.part_size] if data is None else data
        return self.caller.send("PUT", part_url(self.href, number), content)

    def put_all(self) -> None:
        for number in range(self.count()):
            answer = self.put(number)
            assert answer.status == 200, answer.body

    def commit(self) -> Answer:
        while (answer := self.caller.send("POST", commit_url(self.href), b"")).status == 202:
            pass
        return answer

    def whole(self) -> Answer:
        """All of it; the first answer that is no success, or the last."""
        opened = self.open()
        if opened.status != 200:
            return opened
        self.put_all()
        return self.commit()


def records(stream: bytes) -> list[BlockRecord]:
    reader = PackStreamReader()
    found = [each for each in reader.feed(stream) if isinstance(each, BlockRecord)]
    reader.finish()
    return found


def decoded(stream: bytes, held: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The raw bytes of a stream's segments."""
    raws = dict(held)
    for each in records(stream):
        raw = bytes(block.decode(each.data, each.size, None if each.base is None else raws[each.base]))
        assert identity(raw) == each.id
        raws[each.id] = raw
    return raws
