"""A clone's loose objects: git-lfs's layout, whole or absent."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hundredweight.base.ids import Oid
from hundredweight.store.loose import LooseStore


def put(store: LooseStore, data: bytes) -> Oid:
    oid = Oid(hashlib.sha256(data).hexdigest())
    with store.writer() as out:
        out.write(data)
        out.commit(store.path(oid))
    return oid


def test_layout_and_listing(tmp_path: Path) -> None:
    store = LooseStore(str(tmp_path / "lfs"))
    ids = sorted(put(store, str(n).encode()) for n in range(20))
    for oid in ids:
        assert Path(store.path(oid)) == tmp_path / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    (tmp_path / "lfs" / "objects" / ids[0][:2] / "stray").write_text("")
    (tmp_path / "lfs" / "objects" / ids[0][:2] / ids[0][2:4] / "stray").write_text("")
    assert [oid for oid, _ in store.ids()] == ids
    assert os.listdir(tmp_path / "lfs" / "tmp") == []


def test_presence_needs_the_right_size(tmp_path: Path) -> None:
    store = LooseStore(str(tmp_path))
    oid = put(store, b"12345")
    assert store.has(oid, 5)
    assert not store.has(oid, 6)
    assert store.size(oid) == 5
    assert store.has(Oid("0" * 64), 0), "the empty object is always here"
    store.remove(oid)
    store.remove(oid)
    assert store.size(oid) == -1
    assert not store.has(oid, 5)


def test_objects_of_a_reference_are_adopted(tmp_path: Path) -> None:
    other = LooseStore(str(tmp_path / "other"))
    oid = put(other, b"shared")
    store = LooseStore(str(tmp_path / "mine"), (other.objects,))
    assert not store.has(oid, 7)
    assert store.has(oid, 6)
    assert os.path.samefile(store.path(oid), other.path(oid))
    assert [found for found, _ in store.ids()] == [oid]


def test_a_store_without_a_folder_is_empty(tmp_path: Path) -> None:
    assert list(LooseStore(str(tmp_path / "none")).ids()) == []


def test_adopting_a_finished_file(tmp_path: Path) -> None:
    store = LooseStore(str(tmp_path))
    temp = tmp_path / "finished"
    temp.write_bytes(b"abc")
    oid = Oid(hashlib.sha256(b"abc").hexdigest())
    store.adopt(str(temp), oid)
    assert store.has(oid, 3)
    assert not temp.exists()
