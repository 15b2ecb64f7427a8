"""Parts that come in blocks: fed from memory while they come, never twice, never from a sender that gave up; memory goes back."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hundredweight.backend.folder import FolderBackend
from hundredweight.backend.interface import Backend, BackendFull, Stage
from hundredweight.backend.memory import MemoryBackend, MemoryStage
from hundredweight.base.ids import Oid
from hundredweight.store import staged
from hundredweight.store.blocks import Block, BlockPool
from hundredweight.store.objects import ObjectMismatch, ObjectStore
from hundredweight.store.staged import PartBusy, PartRefused, StagedObject

BLOCK = 4096
PART = 4 * BLOCK
DATA = random.Random(7).randbytes(6 * PART + 5000)
OID = Oid(hashlib.sha256(DATA).hexdigest())
COUNT = 7
LONG = 60.0


@pytest.fixture(params=["folder", "memory"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "folder":
        yield FolderBackend(str(tmp_path / "objects"), str(tmp_path / "tmp"))
    else:
        yield MemoryBackend()


@pytest.fixture
def pool() -> BlockPool:
    return BlockPool(BLOCK, 24, reserve=4)


def opened(backend: Backend, pool: BlockPool) -> StagedObject:
    stage = backend.stage("upload", create=True)
    assert stage is not None
    return StagedObject(ObjectStore(backend), stage, OID, len(DATA), PART, pool)


def send(upload: StagedObject, number: int, data: bytes = DATA, *, most: int = 100) -> None:
    """A part, or with `most` so many blocks of it, after which the sender is gone."""
    rest = memoryview(data)[number * PART : (number + 1) * PART]
    writer = upload.begin(number)
    assert writer is not None
    with writer:
        assert writer.take_blocks()
        at = writer.start
        while rest and most:
            block = writer.next_block(at)
            rest = block.fill(rest)
            at += block.size
            writer.store(block)
            most -= 1
        if not rest:
            writer.finish()


def published(backend: Backend) -> bytes | None:
    store = ObjectStore(backend)
    return b"".join(store.read(OID)) if store.size(OID) >= 0 else None


def count_reads(upload: StagedObject, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    reads: list[int] = []
    read = type(upload.stage).read_into

    def counted(stage: Stage, offset: int, buffer: memoryview) -> int:
        reads.append(offset)
        return read(stage, offset, buffer)

    monkeypatch.setattr(type(upload.stage), "read_into", counted)
    return reads


def test_what_comes_in_order_is_never_read_back(
    backend: Backend, pool: BlockPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = opened(backend, pool)
    reads = count_reads(upload, monkeypatch)
    for number in range(COUNT):
        send(upload, number)
        upload.follow()
    assert upload.finish(LONG)
    assert published(backend) == DATA
    assert reads == []
    assert pool.used == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [2, 5, 24])
def test_parts_come_in_any_order(backend: Backend, seed: int, count: int) -> None:
    pool = BlockPool(BLOCK, count, reserve=2)
    upload = opened(backend, pool)
    chance = random.Random(seed)
    numbers = list(range(COUNT))
    chance.shuffle(numbers)
    for number in numbers:
        if chance.random() < 0.3 and number < COUNT - 1:
            send(upload, number, DATA[::-1], most=2)
        send(upload, number)
        if chance.random() < 0.7:
            upload.follow()
    assert upload.finish(LONG)
    assert published(backend) == DATA
    assert pool.used == 0


def test_what_a_sender_left_unfinished_is_fed_anew(backend: Backend, pool: BlockPool) -> None:
    upload = opened(backend, pool)
    send(upload, 0)
    writer = upload.begin(1)
    assert writer is not None
    with writer:
        assert writer.take_blocks()
        for _ in range(2):
            block = writer.next_block(writer.start)
            block.fill(memoryview(bytes(BLOCK)))
            writer.store(block)
            assert not upload.follow()
    for number in range(1, COUNT):
        send(upload, number)
        upload.follow()
    assert upload.finish(LONG)
    assert published(backend) == DATA


def test_who_loses_the_part_adds_nothing(backend: Backend, pool: BlockPool, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = opened(backend, pool)
    late = upload.begin(0)
    assert late is not None
    with late:
        assert late.take_blocks()
        block = late.next_block(0)
        block.fill(memoryview(bytes(BLOCK)))
        late.store(block)
        upload.follow()
        monkeypatch.setattr(staged, "STALLED", -1.0)
        send(upload, 0)
        block = late.next_block(BLOCK)
        block.fill(memoryview(bytes(BLOCK)))
        with pytest.raises(PartBusy):
            late.store(block)
    for number in range(1, COUNT):
        send(upload, number)
    assert upload.finish(LONG)
    assert published(backend) == DATA
    assert pool.used == 0


def test_senders_come_and_go_while_others_read_behind(backend: Backend) -> None:
    pool = BlockPool(BLOCK, 16, reserve=4)
    upload = opened(backend, pool)
    over = threading.Event()

    def one_part(number: int) -> None:
        for _ in range(3):
            send(upload, number, DATA[::-1], most=1 + number % 3 if number < COUNT - 1 else 1)
        send(upload, number)

    def read_behind() -> None:
        while not over.is_set():
            upload.follow()

    follower = threading.Thread(target=read_behind)
    follower.start()
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(one_part, range(COUNT)))
    finally:
        over.set()
        follower.join()
    assert upload.finish(LONG)
    assert published(backend) == DATA
    assert pool.used == 0


@pytest.mark.parametrize("place", [0, PART + 3, len(DATA) - 1])
def test_wrong_bytes_are_never_published(backend: Backend, pool: BlockPool, place: int) -> None:
    wrong = bytearray(DATA)
    wrong[place] ^= 1
    upload = opened(backend, pool)
    for number in range(COUNT):
        send(upload, number, bytes(wrong))
        upload.follow()
    with pytest.raises(ObjectMismatch):
        upload.finish(LONG)
    assert published(backend) is None
    assert pool.used == 0


def test_a_part_takes_no_more_than_it_has(backend: Backend, pool: BlockPool) -> None:
    upload = opened(backend, pool)
    writer = upload.begin(COUNT - 1)
    assert writer is not None
    with writer:
        assert writer.take_blocks()
        block = writer.next_block(writer.start + BLOCK)
        assert len(block.fill(memoryview(bytes(BLOCK)))) == BLOCK - (5000 - BLOCK)
        with pytest.raises(PartRefused):
            writer.next_block(len(DATA))
    assert pool.used == 0


def test_a_full_disk_leaves_no_block_behind(pool: BlockPool) -> None:
    backend = MemoryBackend()
    upload = opened(backend, pool)
    backend.fail_next(BackendFull("full"))
    with pytest.raises(BackendFull):
        send(upload, 0)
    assert pool.used == 0
    for number in range(COUNT):
        send(upload, number)
    assert upload.finish(LONG)
    assert published(backend) == DATA


def test_where_nobody_sends_nothing_is_kept(backend: Backend, pool: BlockPool) -> None:
    upload = opened(backend, pool)
    send(upload, 2)
    assert pool.used > 0
    upload.follow()
    assert pool.used == 0
    send(upload, 0)
    send(upload, 1)
    assert not upload.follow()
    for number in range(3, COUNT):
        send(upload, number)
    assert upload.finish(LONG)
    assert published(backend) == DATA


def test_parts_that_begin_on_no_page_come_without_blocks(pool: BlockPool) -> None:
    backend = MemoryBackend()
    upload = StagedObject(ObjectStore(backend), MemoryStage(backend, "x"), OID, len(DATA), 1000, pool)
    writer = upload.begin(1)
    assert writer is not None
    with writer:
        assert not writer.take_blocks()


def test_a_pool_gives_no_more_than_it_has() -> None:
    pool = BlockPool(BLOCK, 4, reserve=1)
    first = pool.take(2)
    assert len(first) == 2
    other = pool.swap(first[0])
    assert other is not first[0]
    assert pool.swap(other) is other
    assert pool.take(2) == []
    assert len(pool.take(1)) == 1
    for block in (*first, other):
        pool.give(block)
    assert pool.used == 1


def test_a_block_takes_what_it_has_room_for() -> None:
    block = Block(BLOCK)
    assert bytes(block.fill(memoryview(b"abc"))) == b""
    assert not block.full
    assert bytes(block.content) == b"abc"
    block.begin(7, 4)
    assert bytes(block.fill(memoryview(b"vwxyz"))) == b"z"
    assert len(block.content) == 4
    assert (block.offset, bytes(block.content)) == (7, b"vwxy")
