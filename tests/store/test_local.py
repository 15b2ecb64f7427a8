"""A clone's store, loose and packed: both are seen alike, and without packs nothing of packs is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hundredweight.base.ids import Oid
from hundredweight.store.catalog import PackMissing
from hundredweight.store.local import LocalStore
from hundredweight.store.packing import unpack
from hundredweight.store.reader import SegmentMissing
from tests.store.clone_store import CloneStore

HEAVY = {"numpy", "blake3", "dataclasses", "typing", "re", "concurrent.futures", "collections"}


@pytest.fixture
def clone(tmp_path: Path) -> CloneStore:
    return CloneStore(tmp_path)


def test_loose_and_packed_are_seen_alike(clone: CloneStore) -> None:
    packed, loose = clone.add_versions(2)
    clone.pack(packed)
    store = clone.fresh()
    for oid in (packed, loose):
        size = len(clone.contents[oid])
        assert store.size(oid) == size
        assert store.has(oid, size)
        assert not store.has(oid, size + 1)
        assert b"".join(store.open_stream(oid)) == clone.contents[oid]
        assert b"".join(store.open_stream(oid, 1000, 400_000)) == clone.contents[oid][1000:400_000]
        assert b"".join(store.open_stream(oid, size, size + 5)) == b""
    assert dict(store.ids()) == {oid: len(data) for oid, data in clone.contents.items()}
    assert (store.is_packed(packed), store.is_packed(loose)) == (True, False)
    store.close()
    store.close()


def test_what_is_not_here(clone: CloneStore) -> None:
    missing = Oid("0" * 64)
    for store in (clone.store, clone.fresh()):
        assert (store.size(missing), store.has(missing, 5), store.is_packed(missing)) == (-1, False, False)
        with pytest.raises(FileNotFoundError):
            store.open_stream(missing)
        assert store.plan_removal([missing]) is None
        assert store.remove_packed([missing]) == 0
        clone.pack(*clone.add_versions(1))
    assert clone.store.has(missing, 0), "the empty object is always here"


def test_an_object_in_both_forms_counts_once(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1)
    clone.pack(oid)
    clone.add(clone.contents[oid])
    assert list(clone.store.ids()) == [(oid, len(clone.contents[oid]))]
    assert clone.store.drop_loose(oid)
    assert clone.store.loose_size(oid) == -1
    assert clone.store.size(oid) > 0


def test_a_file_for_who_needs_one(clone: CloneStore) -> None:
    packed, loose = clone.add_versions(2)
    clone.pack(packed)
    for oid in (packed, loose):
        assert Path(clone.store.file(oid)).read_bytes() == clone.contents[oid]
    assert clone.store.drop_loose(packed)
    assert not clone.store.drop_loose(loose), "the only copy stays"
    assert Path(clone.store.path(loose)).exists()


def test_a_loose_copy_that_goes_while_it_is_read(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1, rows=3000)
    pieces = clone.store.open_stream(oid)
    begin = bytes(next(pieces))
    clone.fresh()
    clone.pack(oid)
    assert begin + b"".join(pieces) == clone.contents[oid]
    assert clone.read(oid) == clone.contents[oid]


def loaded(code: str) -> set[str]:
    listing = "import sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"{code}\n{listing}"], capture_output=True, check=True, text=True
    )
    return set(done.stdout.split())


def test_an_object_that_is_unpacked_while_it_is_read(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1, rows=9000)
    data = clone.contents[oid]
    clone.pack(oid)
    reader = clone.fresh()
    pieces, late = reader.open_stream(oid), reader.open_stream(oid, 1000, len(data) - 7)
    begin = bytes(next(pieces))
    assert len(begin) < len(data)
    other = clone.fresh()
    unpack(other, oid, other.packs)
    assert other.remove_packed([oid]) > 0
    assert begin + b"".join(pieces) == data
    assert b"".join(late) == data[1000:-7]
    Path(reader.path(oid)).unlink()
    with pytest.raises(FileNotFoundError):
        reader.open_stream(oid)


def test_an_object_that_is_taken_out_while_it_is_read(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1, rows=9000)
    clone.pack(oid)
    pieces = clone.fresh().open_stream(oid)
    assert clone.fresh().remove_packed([oid]) > 0
    with pytest.raises((PackMissing, SegmentMissing)):
        b"".join(pieces)


def test_nothing_heavy_is_loaded_to_find_an_object(clone: CloneStore) -> None:
    packed, loose = clone.add_versions(2)
    source = Path(sys.modules[LocalStore.__module__].__file__ or "").parents[2]
    start = f"import sys; sys.path.insert(0, {str(source)!r}); from hundredweight.store.local import LocalStore\n"
    ask = f"s = LocalStore({str(clone.root)!r}); print(s.size({loose!r}), s.size({'0' * 64!r}))"
    modules = loaded(start + ask)
    assert "hundredweight.store.pack" not in modules
    assert not modules & HEAVY
    clone.pack(packed)
    modules = loaded(start + f"s = LocalStore({str(clone.root)!r}); assert s.size({packed!r}) > 0")
    assert "hundredweight.store.pack" in modules
    assert not modules & {"numpy", "blake3", "dataclasses", "typing", "re", "concurrent.futures"}
