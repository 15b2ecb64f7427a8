"""The hub's object store: nothing shows under its name that is not that object, on every backend."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hundredweight.backend.folder import FolderBackend
from hundredweight.backend.interface import Backend, BackendFull, KeyMissing
from hundredweight.backend.memory import MemoryBackend
from hundredweight.base.ids import Oid
from hundredweight.store.objects import ObjectMismatch, ObjectStore

DATA = random.Random(0).randbytes(5000)


def oid_of(data: bytes) -> Oid:
    return Oid(hashlib.sha256(data).hexdigest())


OID = oid_of(DATA)


@pytest.fixture(params=["folder", "memory"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "folder":
        return FolderBackend(str(tmp_path / "objects"), str(tmp_path / "tmp"))
    return MemoryBackend()


@pytest.fixture
def store(backend: Backend) -> ObjectStore:
    return ObjectStore(backend)


def bring(store: ObjectStore, oid: Oid, size: int, data: bytes) -> None:
    with store.writer(oid, size) as writer:
        for start in range(0, len(data), 999):
            writer.write([data[start : start + 999]])
            writer.hash([data[start : start + 999]])
        writer.finish()


def test_an_object_is_stored_and_read(store: ObjectStore) -> None:
    assert store.size(OID) == -1
    bring(store, OID, len(DATA), DATA)
    assert store.size(OID) == len(DATA)
    assert b"".join(store.read(OID)) == DATA
    assert b"".join(store.read(OID, 10, 20)) == DATA[10:20]
    assert list(store.ids()) == [(OID, len(DATA))]


def test_the_layout_is_that_of_git_lfs(tmp_path: Path) -> None:
    store = ObjectStore(FolderBackend(str(tmp_path / "objects"), str(tmp_path / "tmp")))
    bring(store, OID, len(DATA), DATA)
    assert store.local_path(OID) == str(tmp_path / "objects" / OID[:2] / OID[2:4] / OID)


@pytest.mark.parametrize(
    ("size", "sent", "reason"),
    [
        (len(DATA), DATA[:-1], "4999 bytes came where 5000 were announced"),
        (len(DATA), DATA + b"x", "more than 5000 bytes came"),
        (len(DATA), DATA[:-1] + b"x", "the bytes that came have the SHA-256"),
        (len(DATA), b"", "0 bytes came"),
        (len(DATA) - 1, DATA[:-1], "the bytes that came have the SHA-256"),
    ],
)
def test_wrong_bytes_are_refused_and_leave_nothing(store: ObjectStore, size: int, sent: bytes, reason: str) -> None:
    with pytest.raises(ObjectMismatch, match=reason) as caught:
        bring(store, OID, size, sent)
    assert caught.value.oid == OID
    assert store.size(OID) == -1
    assert list(store.ids()) == []
    assert store.backend.clean() == 0


def test_a_second_upload_changes_nothing(store: ObjectStore) -> None:
    bring(store, OID, len(DATA), DATA)
    bring(store, OID, len(DATA), DATA)
    with pytest.raises(ObjectMismatch):
        bring(store, OID, len(DATA), DATA[::-1])
    assert b"".join(store.read(OID)) == DATA


def test_a_verified_upload_mends_a_damaged_object(store: ObjectStore) -> None:
    store.backend.put(store.key(OID), DATA[:100])
    bring(store, OID, len(DATA), DATA)
    assert b"".join(store.read(OID)) == DATA


def test_a_verified_upload_replaces_what_nobody_vouches_for(store: ObjectStore) -> None:
    store.backend.put(store.key(OID), b"x" * len(DATA))
    bring(store, OID, len(DATA), DATA)
    assert b"".join(store.read(OID)) == DATA


def test_many_at_once_store_it_whole(store: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: bring(store, OID, len(DATA), DATA), range(8)))
    assert b"".join(store.read(OID)) == DATA


def test_writing_and_hashing_may_run_side_by_side(store: ObjectStore) -> None:
    parts = [DATA] * 200
    oid = oid_of(b"".join(parts))
    with store.writer(oid, len(DATA) * 200) as writer, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(writer.hash, parts), pool.submit(writer.write, parts)]
        for one in waiting:
            one.result()
        writer.finish()
    assert store.size(oid) == len(DATA) * 200


def test_a_full_store_says_so() -> None:
    backend = MemoryBackend(capacity=100)
    with pytest.raises(BackendFull):
        bring(ObjectStore(backend), OID, len(DATA), DATA)
    assert backend.open_writers == 0


def test_other_files_are_no_objects(store: ObjectStore) -> None:
    store.backend.put("notes.txt", b"hello")
    store.backend.put(f"zz/{OID[2:4]}/{OID}", b"misplaced")
    assert list(store.ids()) == []
    with pytest.raises(KeyMissing):
        list(store.read(OID))
