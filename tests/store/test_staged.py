"""Streams that come in parts: in any order, several at once, resumed by another process, and published only when right."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hundredweight.backend.folder import FolderBackend
from hundredweight.backend.interface import Backend, BackendFailed, BackendFull
from hundredweight.backend.memory import MemoryBackend
from hundredweight.base.ids import Oid
from hundredweight.store import staged
from hundredweight.store.objects import ObjectMismatch, ObjectStore
from hundredweight.store.staged import PartBusy, PartRefused, PartsMissing, StagedObject

PART = 1000
DATA = random.Random(3).randbytes(10_500)
OID = Oid(hashlib.sha256(DATA).hexdigest())
COUNT = 11
LONG = 60.0


@pytest.fixture(params=["folder", "memory"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "folder":
        yield FolderBackend(str(tmp_path / "objects"), str(tmp_path / "tmp"))
    else:
        yield MemoryBackend()


def opened(backend: Backend, size: int = len(DATA)) -> StagedObject:
    """The upload as a process that has just started finds it."""
    stage = backend.stage("upload", create=True)
    assert stage is not None
    return StagedObject(ObjectStore(backend), stage, OID, size, PART)


def send(upload: StagedObject, number: int, data: bytes = DATA) -> None:
    content = data[number * PART : (number + 1) * PART]
    writer = upload.begin(number)
    assert writer is not None
    with writer:
        for start in range(0, len(content), 300):
            writer.write([content[start : start + 200], content[start + 200 : start + 300]])
        writer.finish()


def published(backend: Backend) -> bytes | None:
    store = ObjectStore(backend)
    return b"".join(store.read(OID)) if store.size(OID) >= 0 else None


@pytest.mark.parametrize("seed", range(5))
def test_parts_come_in_any_order(backend: Backend, seed: int) -> None:
    upload = opened(backend)
    numbers = list(range(COUNT))
    random.Random(seed).shuffle(numbers)
    for number in numbers:
        assert published(backend) is None
        send(upload, number)
        upload.follow()
    assert upload.finish(LONG)
    assert published(backend) == DATA
    assert backend.stages() == ()


def test_parts_come_from_many_threads_while_others_read_behind(backend: Backend) -> None:
    upload = opened(backend)

    def one_part(number: int) -> None:
        send(upload, number)
        upload.follow()
        upload.sync()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one_part, range(COUNT)))
    assert upload.finish(LONG)
    assert published(backend) == DATA


def test_another_process_goes_on(backend: Backend) -> None:
    first = opened(backend)
    for number in (0, 3, 10):
        send(first, number)
    left = first.begin(5)
    assert left is not None
    left.write([b"half of it"])
    again = opened(backend)
    assert again.state.held == ((0, 1), (3, 4), (10, 11))
    assert again.state.held_bytes == 2500
    for number in again.state.missing():
        send(again, number)
    assert again.finish(LONG)
    assert published(backend) == DATA


def test_a_part_that_is_held_never_changes(backend: Backend) -> None:
    upload = opened(backend)
    for number in range(COUNT):
        send(upload, number)
        assert upload.begin(number) is None
    assert upload.finish(LONG)
    assert upload.begin(0) is None
    assert upload.finish(LONG)


def test_one_sender_a_part(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = opened(backend)
    first = upload.begin(2)
    assert first is not None
    first.write([DATA[2000:2100]])
    with pytest.raises(PartBusy):
        upload.begin(2)
    monkeypatch.setattr(staged, "STALLED", -1.0)
    send(upload, 2)
    with pytest.raises(PartBusy):
        first.write([b"x" * 900])
    with pytest.raises(PartRefused):
        first.finish()
    with first:
        """Leaving takes nothing away from the other."""
    assert upload.state.held == ((2, 3),)


def test_a_sender_that_gave_up_leaves_the_part_free(backend: Backend) -> None:
    upload = opened(backend)
    writer = upload.begin(0)
    assert writer is not None
    with writer:
        writer.write([b"wrong bytes"])
    assert upload.state.held == ()
    send(upload, 0)


@pytest.mark.parametrize("number", [-1, COUNT, 1 << 40])
def test_there_are_no_other_parts(backend: Backend, number: int) -> None:
    with pytest.raises(PartRefused):
        opened(backend).begin(number)


def test_a_part_has_its_size(backend: Backend) -> None:
    upload = opened(backend)
    for number, size in ((0, PART), (10, 500)):
        writer = upload.begin(number)
        assert writer is not None
        with writer:
            with pytest.raises(PartRefused, match="more than"):
                writer.write([b"x" * (size + 1)])
            writer.write([b"x" * (size - 1)])
            with pytest.raises(PartRefused, match=f"{size - 1} bytes came"):
                writer.finish()
    assert upload.state.held == ()


def test_nothing_is_published_with_parts_missing(backend: Backend) -> None:
    upload = opened(backend)
    for number in (0, 1, 4):
        send(upload, number)
    with pytest.raises(PartsMissing) as caught:
        upload.finish(LONG)
    assert caught.value.missing == [2, 3, 5, 6, 7, 8, 9, 10]
    assert published(backend) is None


@pytest.mark.parametrize("place", [0, 5_000, 10_499])
def test_wrong_bytes_are_never_published(backend: Backend, place: int) -> None:
    upload = opened(backend)
    wrong = DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :]
    for number in range(COUNT):
        send(upload, number, wrong)
    with pytest.raises(ObjectMismatch):
        upload.finish(LONG)
    assert published(backend) is None
    upload.stage.remove()
    assert backend.stages() == ()


def test_an_end_that_takes_long_is_asked_for_again(backend: Backend) -> None:
    upload = opened(backend)
    for number in range(COUNT):
        send(upload, number)
    assert not upload.finish(0.0)
    assert published(backend) is None
    assert upload.finish(LONG)


def test_two_who_end_at_once_publish_once(backend: Backend) -> None:
    upload = opened(backend)
    for number in range(COUNT):
        send(upload, number)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: upload.finish(LONG), range(4)))
    assert published(backend) == DATA


def test_a_process_that_ends_stops_reading(backend: Backend) -> None:
    upload = opened(backend)
    for number in range(COUNT):
        send(upload, number)
    upload.halt()
    assert not upload.follow()
    assert not upload.finish(LONG)
    assert published(backend) is None


def test_what_the_backend_cannot_do_is_told_and_can_be_repeated() -> None:
    backend = MemoryBackend()
    upload = opened(backend)
    writer = upload.begin(0)
    assert writer is not None
    backend.fail_next(BackendFull("full"))
    with writer, pytest.raises(BackendFull):
        writer.write([DATA[:PART]])
    for number in range(COUNT):
        send(upload, number)
    backend.fail_next(BackendFailed("broken"))
    with pytest.raises(BackendFailed):
        upload.finish(LONG)
    assert upload.finish(LONG)
    assert published(backend) == DATA


def test_a_published_stage_takes_no_late_write(tmp_path: Path) -> None:
    backend = FolderBackend(str(tmp_path / "objects"), str(tmp_path / "tmp"))
    upload = opened(backend)
    for number in range(COUNT):
        send(upload, number)
    assert upload.finish(LONG)
    with pytest.raises(BackendFailed):
        upload.stage.write_at(0, [b"late"])
    assert published(backend) == DATA
    path = backend.local_path(ObjectStore.key(OID))
    assert path is not None
    assert Path(path).stat().st_mode & 0o777 == 0o444


def test_much_unsynced_is_brought_to_the_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "SYNC_EVERY", 1500)
    backend = FolderBackend(str(tmp_path / "objects"), str(tmp_path / "tmp"))
    upload = opened(backend)
    synced = threading.Semaphore(0)
    monkeypatch.setattr(type(upload.stage), "sync", lambda _stage: synced.release())
    send(upload, 0)
    upload.sync()
    assert not synced.acquire(blocking=False)
    send(upload, 1)
    upload.sync()
    upload.sync()
    assert synced.acquire(blocking=False)
    assert not synced.acquire(blocking=False)
