"""A check finds every way in which a store may differ from its records, and moves aside only what is damaged."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.backend.folder import FolderBackend
from hundredweight.backend.interface import READ_CHUNK, Backend, BackendFailed
from hundredweight.backend.memory import MemoryBackend
from hundredweight.base.ids import Oid
from hundredweight.store import check as check_module
from hundredweight.store.check import Finding, Kind, Progress, check
from hundredweight.store.objects import ObjectStore

LONG_AGO = time.time() - 3600


class Recorded:
    """Records in memory."""

    def __init__(self, *objects: bytes) -> None:
        self.sizes = {oid_of(data): len(data) for data in objects}

    def all(self) -> Iterator[tuple[Oid, int]]:
        yield from sorted(self.sizes.items())

    def has(self, oid: Oid) -> bool:
        return oid in self.sizes


def oid_of(data: bytes) -> Oid:
    return Oid(hashlib.sha256(data).hexdigest())


def bring(store: ObjectStore, data: bytes) -> Oid:
    oid = oid_of(data)
    with store.writer(oid, len(data)) as writer:
        writer.write([data])
        writer.hash([data])
        writer.finish()
    return oid


def overwrite(backend: Backend, key: str, data: bytes) -> None:
    with backend.writer() as writer:
        writer.write([data])
        writer.commit(key, replace=True)


def findings(store: ObjectStore, records: Recorded, *, repair: bool = False) -> list[Finding]:
    return [found for found in check(store, records, repair=repair) if isinstance(found, Finding)]


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return ObjectStore(FolderBackend(str(tmp_path / "objects"), str(tmp_path / "tmp")))
    return ObjectStore(MemoryBackend())


def test_a_good_store_has_no_findings(store: ObjectStore) -> None:
    contents = [random.Random(number).randbytes(1000 + number) for number in range(20)]
    for data in contents:
        bring(store, data)
    events = list(check(store, Recorded(*contents, b""), repair=True))
    assert events == [Progress(21, sum(map(len, contents)))], "the empty object is nowhere and is not missed"


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (b"A" * 999 + b"B", "the stored bytes have the SHA-256 '"),
        (b"A" * 999, "999 bytes are stored where 1000 are recorded"),
        (b"A" * 1001, "1001 bytes are stored where 1000 are recorded"),
        (b"", "0 bytes are stored where 1000 are recorded"),
    ],
)
def test_damage_is_found_and_moved_aside(store: ObjectStore, damaged: bytes, reason: str) -> None:
    data, good = b"A" * 1000, b"good"
    oid = bring(store, data)
    bring(store, good)
    overwrite(store.backend, store.key(oid), damaged)
    records = Recorded(data, good)

    [found] = findings(store, records)
    assert (found.kind, found.name, found.size, found.place) == (Kind.DAMAGED, oid, 1000, "")
    assert found.reason.startswith(reason)
    assert store.size(oid) == len(damaged), "looking changes nothing"

    [found] = findings(store, records, repair=True)
    assert (found.kind, found.name) == (Kind.DAMAGED, oid)
    assert found.place.startswith(f"quarantine/{oid}.")
    assert b"".join(store.backend.read(found.place)) == damaged, "nothing is deleted"
    assert store.size(oid) == -1

    assert [one.kind for one in findings(store, records)] == [Kind.MISSING]
    bring(store, data)
    assert findings(store, records) == []


def test_the_same_object_may_be_damaged_twice(store: ObjectStore) -> None:
    records = Recorded(b"data")
    for wrong in (b"one", b"two"):
        oid = bring(store, b"data")
        overwrite(store.backend, store.key(oid), wrong)
        findings(store, records, repair=True)
    kept = [b"".join(store.backend.read(stat.key)) for stat in store.backend.list("quarantine/")]
    assert sorted(kept) == [b"one", b"two"]
    assert list(store.contents()) == []


def test_strays_and_unrecorded_objects_are_named_and_left(tmp_path: Path) -> None:
    store = ObjectStore(FolderBackend(str(tmp_path / "objects"), str(tmp_path / "tmp")))
    lost = bring(store, b"nobody recorded it")
    os.utime(tmp_path / "objects" / store.key(lost), (LONG_AGO, LONG_AGO))
    bring(store, b"an upload that is about to be recorded")
    (tmp_path / "objects" / "notes.txt").write_text("hello")
    (tmp_path / "objects" / lost[:2] / ".hidden file").write_text("")
    misplaced = tmp_path / "objects" / "zz" / lost
    misplaced.parent.mkdir()
    misplaced.write_bytes(b"x")
    found = findings(store, Recorded(), repair=True)
    assert {(one.kind, one.name) for one in found} == {
        (Kind.UNRECORDED, lost),
        (Kind.STRAY, "notes.txt"),
        (Kind.STRAY, f"{lost[:2]}/.hidden file"),
        (Kind.STRAY, f"zz/{lost}"),
    }
    assert not any(one.kind.is_fault for one in found)
    assert sum(1 for path in (tmp_path / "objects").rglob("*") if path.is_file()) == 5


def test_what_cannot_be_read_is_told_and_not_moved() -> None:
    backend = MemoryBackend()
    store = ObjectStore(backend)
    bad, good = sorted((oid_of(data), data) for data in (b"one", b"two"))
    for _, data in (bad, good):
        bring(store, data)
    walk = check(store, Recorded(b"one", b"two"), repair=True)
    backend.fail_next(BackendFailed("cannot read it: Input/output error", temporary=True))
    [found] = [one for one in walk if isinstance(one, Finding)]
    assert (found.kind, found.name, found.reason) == (Kind.UNREADABLE, bad[0], "cannot read it: Input/output error")
    assert store.size(bad[0]) == 3


def test_an_upload_during_the_check_is_no_finding(store: ObjectStore) -> None:
    """Healed between the two looks, arrived after the listing, replaced at the moment of the move: each is fine."""
    oid = bring(store, b"data")
    overwrite(store.backend, store.key(oid), b"dada")

    class Healing(ObjectStore):
        def read(self, oid: Oid, start: int = 0, end: int | None = None) -> Iterator[bytes]:
            pieces = [bytes(piece) for piece in super().read(oid, start, end)]
            bring(store, b"data")
            return iter(pieces)

    assert findings(Healing(store.backend), Recorded(b"data"), repair=True) == []
    assert store.quarantine(oid) == "", "its bytes are good"
    assert b"".join(store.read(oid)) == b"data"

    class Late(Recorded):
        def all(self) -> Iterator[tuple[Oid, int]]:
            yield from super().all()
            late = Oid("f" * 64)
            assert late > max(self.sizes)
            yield bring(store, b"late"), 4

    assert findings(store, Late(b"data")) == []
    assert store.quarantine(oid_of(b"never came")) == ""


def test_progress_is_told_within_a_large_object(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "REPORT_SECONDS", 0.0)
    data = bytes(3 * READ_CHUNK)
    bring(store, data)
    events = list(check(store, Recorded(data), repair=False))
    assert events == [Progress(1, READ_CHUNK * number) for number in (1, 2, 3, 3)]


@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=20), st.sampled_from(["good", "damaged", "missing", "unrecorded"]), max_size=12
    )
)
def test_each_object_gets_its_own_verdict(states: dict[bytes, str]) -> None:
    backend = MemoryBackend()
    store = ObjectStore(backend)
    for data, state in states.items():
        if state != "missing":
            bring(store, data)
        if state == "damaged":
            overwrite(backend, store.key(oid_of(data)), data + b"!")
    backend.values = {key: (value, LONG_AGO) for key, (value, _) in backend.values.items()}
    records = Recorded(*(data for data, state in states.items() if state != "unrecorded"))
    expected = {(oid_of(data), state) for data, state in states.items() if state != "good"}
    assert {(found.name, found.kind.value) for found in findings(store, records, repair=True)} == expected
