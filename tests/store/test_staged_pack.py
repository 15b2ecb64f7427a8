"""An object that comes as a pack stream: any bytes over any predecessor come back, at bounded memory, after any restart."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from hundredweight.backend.interface import BackendFailed
from hundredweight.backend.memory import MemoryBackend
from hundredweight.base.ids import Oid
from hundredweight.formats.source import BytesSource
from hundredweight.store import staged_pack
from hundredweight.store.objects import ObjectMismatch
from hundredweight.store.pack import PackStreamWriter
from hundredweight.store.packer import Packer
from hundredweight.store.reader import Link, ObjectReader
from hundredweight.store.staged import PartsMissing
from hundredweight.store.staged_pack import BaseUnreadable, StagedPack
from hundredweight.store.turns import Turns
from tests.hub.blocks_client import identity, made, recipe_by_hand, stream_of
from tests.store.memory_packs import MemoryPacks
from tests.store.weights import arrays, fine_tuned, oid_of, recipe_of, safetensors_of

PART = 10_000
LONG = 30.0
WEIGHTS = [safetensors_of(arrays(rows=40)), safetensors_of(fine_tuned(arrays(rows=40)))]


class Hub:
    """A store of packs, and uploads into it."""

    def __init__(self) -> None:
        self.backend = MemoryBackend()
        self.packs = MemoryPacks()
        self.reader = ObjectReader(self.packs, self.packs, workers=1)
        self.pool = ThreadPoolExecutor(2)
        self.turns = Turns(2)
        self._names = count()

    def open(self, stream: bytes, data: bytes, bases: tuple[bytes, ...] = (), name: str = "") -> StagedPack:
        stage = self.backend.stage(name or f"upload.{next(self._names)}", create=True)
        assert stage is not None
        ids = {segment.id for base in bases for segment in recipe_of(base).segments}
        return StagedPack(
            stage,
            len(stream),
            PART,
            oid=oid_of(data),
            object_size=len(data),
            digest=blake3(stream).hexdigest(),
            allowed={key: place.depth for key, place in self.packs.segments(ids).items()},
            reader=self.reader,
            pool=self.pool,
            turns=self.turns,
        )

    def stream(self, data: bytes, bases: tuple[bytes, ...] = ()) -> bytes:
        out = bytearray()
        recipes = [recipe_of(base) for base in bases]
        have = {segment.id for recipe in recipes for segment in recipe.segments}
        with Packer(self.reader, 1) as packer:
            packer.pack(BytesSource(data), recipe_of(data), recipes, PackStreamWriter(out.extend), have)
        return bytes(out)

    def publish(self, upload: StagedPack) -> None:
        upload.publish("pack")
        pack = b"".join(self.backend.read("pack"))
        assert len(pack) == upload.total
        assert self.packs.add(pack) == upload.name

    def push(self, data: bytes, bases: tuple[bytes, ...] = ()) -> None:
        stream = self.stream(data, bases)
        upload = self.open(stream, data, bases)
        send(upload, stream)
        assert upload.finish(LONG)
        self.publish(upload)

    def get(self, data: bytes) -> bytes:
        recipe = self.packs.recipe(oid_of(data))
        assert recipe is not None
        return b"".join(self.reader.read(recipe))


@pytest.fixture
def hub() -> Iterator[Hub]:
    made_here = Hub()
    yield made_here
    made_here.pool.shutdown()


def send(upload: StagedPack, stream: bytes, only: range | None = None) -> None:
    for number in range(-(-len(stream) // PART)) if only is None else only:
        writer = upload.begin(number)
        if writer is not None:
            with writer:
                writer.write([stream[number * PART : (number + 1) * PART]])
                writer.finish()


PIECES = [bytes([number]) * 20_000 + b"%d" % number for number in range(12)]
WHOLE = b"".join(PIECES)
STREAM = stream_of(recipe_by_hand(PIECES), [made(piece) for piece in PIECES])

contents = st.one_of(
    st.binary(min_size=1, max_size=3000),
    st.sampled_from(WEIGHTS),
    st.builds(lambda data, cut, more: data[:cut] + more, st.sampled_from(WEIGHTS), st.integers(1, 70_000), st.binary()),
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=30), st.integers(1, 9000)),
)


@settings(max_examples=60, deadline=None)
@given(contents, contents)
def test_any_bytes_over_any_predecessor_come_back(old: bytes, new: bytes) -> None:
    hub = Hub()
    try:
        hub.push(old)
        if new != old:
            hub.push(new, (old,))
        assert hub.get(old) == old
        assert hub.get(new) == new
    finally:
        hub.pool.shutdown()


def test_a_stream_that_waits_holds_nothing_and_goes_on_right(hub: Hub) -> None:
    """Many may wait at once, each amid a record of 17 MB: what came of it is read again."""
    pieces = [random.Random(7).randbytes(20 * PART + 77), bytes(100_000), random.Random(8).randbytes(3 * PART)]
    whole = b"".join(pieces)
    stream = stream_of(recipe_by_hand(pieces), [made(piece) for piece in pieces])
    upload = hub.open(stream, whole)
    for number in range(-(-len(stream) // PART)):
        send(upload, stream, range(number, number + 1))
        if number % 4 == 3:
            upload.follow(LONG)
            assert not upload._stream._buffer
            assert not upload._records
    assert upload.finish(LONG)
    hub.publish(upload)
    assert hub.get(whole) == whole


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_stream_with_any_damage_is_refused(data: st.DataObject) -> None:
    hub = Hub()
    try:
        bad = bytearray(STREAM)
        for _ in range(data.draw(st.integers(1, 4))):
            bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
        if bytes(bad) == STREAM:
            return
        upload = hub.open(bytes(bad), WHOLE)
        send(upload, bytes(bad))
        with pytest.raises(ObjectMismatch):
            upload.finish(LONG)
        assert upload.failed
        with pytest.raises(ObjectMismatch):
            upload.finish(LONG)
    finally:
        hub.pool.shutdown()


def test_it_goes_on_after_a_restart_at_any_part(hub: Hub) -> None:
    stream = hub.stream(WEIGHTS[0])
    parts = -(-len(stream) // PART)
    for number in range(parts):
        upload = hub.open(stream, WEIGHTS[0], name="one")
        assert upload.state.missing() == list(range(number, parts))
        send(upload, stream, range(number, number + 1))
        upload.follow()
        if number + 1 < parts:
            with pytest.raises(PartsMissing):
                upload.finish(LONG)
    assert upload.finish(LONG)
    hub.publish(upload)
    hub.publish(upload)
    assert hub.get(WEIGHTS[0]) == WEIGHTS[0]


def test_nothing_large_is_kept_while_nothing_comes(hub: Hub) -> None:
    upload = hub.open(STREAM, WHOLE)
    send(upload, STREAM, range(1))
    upload.follow()
    assert not upload._coming
    assert not upload._records


def test_work_is_done_in_slices_and_given_up_when_nobody_asks(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short stream may stand for very much: what it repeats, and what is in the store."""
    piece = bytes(1 << 20)
    recipe = recipe_by_hand([piece] * 300)
    data = piece * 300
    stream = stream_of(recipe, [made(piece)])
    upload = hub.open(stream, data)
    send(upload, stream)
    began = time.monotonic()
    assert not upload.finish(0.05)
    assert time.monotonic() - began < 1
    before = upload._next
    assert 0 < before < 300
    monkeypatch.setattr(staged_pack, "PATIENCE", -1.0)
    assert not upload.follow(LONG)
    assert upload._next == before
    monkeypatch.undo()
    other = hub.open(STREAM, WHOLE)
    send(other, STREAM)
    assert other.finish(LONG)
    upload.halt()
    assert not upload.finish(0.5)


def test_streams_take_turns(hub: Hub) -> None:
    upload = hub.open(STREAM, WHOLE)
    send(upload, STREAM)
    hub.turns.acquire()
    hub.turns.acquire()
    assert not upload.finish(0.05)
    hub.turns.release()
    assert upload.finish(LONG)


def test_a_stream_of_long_segments_has_its_turn_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged_pack, "LONG", 1000)
    upload = hub.open(STREAM, WHOLE)
    send(upload, STREAM)
    hub.turns.acquire()
    assert not upload.finish(0.2)
    assert upload._next == 0
    hub.turns.release()
    assert upload.finish(LONG)
    assert hub.turns.acquire(0, alone=True)
    hub.publish(upload)
    assert hub.get(WHOLE) == WHOLE


def test_segments_of_the_store_are_looked_up_many_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = hub.open(STREAM, WHOLE)
    send(first, STREAM)
    assert first.finish(LONG)
    hub.publish(first)
    pieces = PIECES[::-1]
    stream = stream_of(recipe_by_hand(pieces), [])
    upload = hub.open(stream, b"".join(pieces))
    upload._allowed = {identity(piece): 0 for piece in pieces}
    asked: list[int] = []
    chains = hub.reader.chains

    def counted(ids: Iterable[bytes]) -> dict[bytes, list[Link]]:
        wanted = list(ids)
        asked.append(len(wanted))
        return chains(wanted)

    monkeypatch.setattr(hub.reader, "chains", counted)
    send(upload, stream)
    assert upload.finish(LONG)
    assert asked == [len(PIECES)]


def test_a_damaged_base_is_told_as_such(hub: Hub) -> None:
    hub.push(WEIGHTS[0])
    stream = hub.stream(WEIGHTS[1], (WEIGHTS[0],))
    upload = hub.open(stream, WEIGHTS[1], (WEIGHTS[0],))
    send(upload, stream)
    hub.packs.packs.clear()
    hub.reader = upload._reader = ObjectReader(hub.packs, hub.packs, workers=1)
    with pytest.raises(BaseUnreadable) as caught:
        upload.finish(LONG)
    assert caught.value.status == 422
    assert upload.failed


def test_a_full_disk_at_the_end_costs_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = hub.open(STREAM, WHOLE)
    send(upload, STREAM)

    def fail(_offset: int, _parts: object) -> None:
        raise BackendFailed("no space")

    with monkeypatch.context() as patched:
        patched.setattr(upload.stage, "write_at", fail)
        for _ in range(2):
            with pytest.raises(BackendFailed):
                upload.finish(LONG)
    assert not upload.failed
    assert upload.finish(LONG)
    hub.publish(upload)
    assert hub.get(WHOLE) == WHOLE


def test_the_digest_is_checked(hub: Hub) -> None:
    upload = hub.open(STREAM, WHOLE)
    upload._digest = identity(b"another").hex()
    send(upload, STREAM)
    with pytest.raises(ObjectMismatch, match="digest"):
        upload.finish(LONG)


def test_another_object_is_refused(hub: Hub) -> None:
    upload = hub.open(STREAM, WHOLE)
    upload.oid = Oid("ab" * 32)
    send(upload, STREAM)
    with pytest.raises(ObjectMismatch, match="another object"):
        upload.finish(LONG)


def test_tensors_that_the_object_does_not_have_are_refused(hub: Hub) -> None:
    """Every block is right and so is the whole; only who reads the recipe alone would be deceived."""
    old, new = WEIGHTS
    hub.push(old)
    honest = recipe_of(new)
    lying = replace(honest, tensors=recipe_of(old).tensors)
    stream = hub.stream(new, (old,)).replace(honest.encode(), lying.encode())
    upload = hub.open(stream, new, (old,))
    send(upload, stream)
    for _ in range(2):
        with pytest.raises(ObjectMismatch, match="something else of tensor"):
            upload.finish(LONG)
    assert upload.failed
    hub.push(new, (old,))
    assert hub.get(new) == new
