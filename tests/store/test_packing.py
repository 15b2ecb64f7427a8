"""Loose to packed and back: nothing is lost, damage stays out, what gains nothing stays loose."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hundredweight.base.ids import Oid
from hundredweight.store import packing
from hundredweight.store.pack import PackDamaged
from hundredweight.store.packfolder import NotPacked, PacksBusy
from hundredweight.store.packing import LooseItem, PackedWrong, pack_loose, unpack
from hundredweight.store.recipe import Recipe, Segment
from tests.store.clone_store import CloneStore


@pytest.fixture
def clone(tmp_path: Path) -> CloneStore:
    return CloneStore(tmp_path)


def test_versions_become_a_pack(clone: CloneStore) -> None:
    oids = clone.add_versions(4)
    before = clone.stored()
    report = clone.pack(*oids)
    assert [item.oid for item in report.items] == oids
    assert len(report.packs) == 1
    assert clone.loose() == set()
    assert clone.stored() < before / 2
    clone.check()


def test_predecessors_are_packed_first(clone: CloneStore) -> None:
    first, second, third = clone.add_versions(3)
    items = [LooseItem(third, (second, first)), LooseItem(second, (first,)), LooseItem(first), LooseItem(third)]
    report = pack_loose(clone.store, items)
    assert [item.oid for item in report.items] == [first, second, third]
    assert [item.result.deltas > 0 for item in report.items if item.result] == [False, True, True]
    clone.check()


def test_circles_of_predecessors(clone: CloneStore) -> None:
    """History does not go in circles, but two names may swap contents."""
    first, second = clone.add_versions(2)
    pack_loose(clone.store, [LooseItem(first, (second,)), LooseItem(second, (first, second))])
    assert clone.packed() == {first, second}
    clone.check()


def test_after_what_is_packed_already(clone: CloneStore) -> None:
    first, second = clone.add_versions(2)
    clone.pack(first)
    report = clone.pack(first, second)
    assert [item.oid for item in report.items] == [second]
    assert report.items[0].result is not None
    assert report.items[0].result.deltas > 0
    clone.check()


def test_what_gains_nothing_stays_loose(clone: CloneStore) -> None:
    noise = clone.add(random.Random(1).randbytes(1 << 18))
    text = clone.add(b"some text again and again, " * 20_000)
    small = clone.add(b"small" * 100)
    report = clone.pack(noise, text, small, Oid("0" * 64))
    assert {item.oid: item.result is None for item in report.items} == {noise: True, text: False}
    assert clone.loose() == {noise, small}
    twin = clone.add(clone.contents[text][:300_000] + b"!")
    assert clone.pack(twin).items[0].result is not None
    clone.check()


def test_noise_that_shares_is_packed(clone: CloneStore) -> None:
    noise = random.Random(1).randbytes(1 << 21)
    first = clone.add(noise)
    second = clone.add(noise[: 1 << 20] + b"inserted" + noise[1 << 20 :])
    clone.pack(first)
    assert clone.loose() == {first, second}
    padded = clone.add(noise + bytes(1 << 20))
    clone.pack(padded)
    clone.pack(second)
    assert clone.loose() == {first}
    clone.check()


def test_a_damaged_loose_object_is_named_and_stays(clone: CloneStore) -> None:
    first, second = clone.add_versions(2)
    path = Path(clone.store.path(first))
    path.chmod(0o644)
    with path.open("r+b") as broken:
        broken.seek(5000)
        broken.write(b"damage")
    report = clone.pack(first, second)
    assert [error.oid for error in report.damaged] == [first]
    assert clone.loose() == {first}
    assert clone.read(second) == clone.contents[second]


def test_a_loose_copy_beside_its_pack_goes(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1)
    clone.pack(oid)
    packs = clone.store.packs.names()
    clone.add(clone.contents[oid])
    report = clone.pack(oid)
    assert (clone.loose(), report.packs, clone.store.packs.names()) == (set(), [], packs)
    clone.check()


def test_a_loose_copy_beside_a_damaged_pack_stays(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1)
    clone.pack(oid)
    (pack,) = Path(clone.store.packs.folder).glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[data.index(b"cwtr") + 700 :][:1] = b"?"
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    pack.chmod(0o644)
    pack.write_bytes(data)
    clone.store.close()
    clone.add(clone.contents[oid])
    clone.pack(oid)
    assert clone.loose() == {oid}
    clone.check()


def test_a_pack_that_reads_back_wrong_is_not_kept(clone: CloneStore, monkeypatch: pytest.MonkeyPatch) -> None:
    (oid,) = clone.add_versions(1)

    def refuse(chunks: object, name: str) -> None:
        raise PackDamaged("as if the disk lied")

    monkeypatch.setattr(packing, "check_hash", refuse)
    with pytest.raises(PackDamaged):
        clone.pack(oid)
    assert clone.store.packs.names() == []
    assert clone.loose() == {oid}


def test_several_packs_where_one_would_be_too_large(clone: CloneStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACK_RAW", 600_000)
    oids = clone.add_versions(4)
    report = clone.pack(*oids)
    assert len(report.packs) > 1
    assert all(item.result and item.result.deltas for item in report.items[1:])
    clone.check()


def test_a_second_packer_waits_or_is_refused(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1)
    with clone.fresh().packs.lock(), pytest.raises(PacksBusy):
        pack_loose(clone.store, [LooseItem(oid)], wait=False)
    assert clone.loose() == {oid}


def test_unpacking(clone: CloneStore) -> None:
    oids = clone.add_versions(3)
    clone.pack(*oids)
    for oid in oids:
        assert unpack(clone.store, oid, clone.store.packs) == len(clone.contents[oid])
        assert Path(clone.store.path(oid)).read_bytes() == clone.contents[oid]
    assert clone.packed() == set(oids)
    with pytest.raises(NotPacked):
        unpack(clone.store, Oid("0" * 64), clone.store.packs)


def test_right_segments_of_a_wrong_object(clone: CloneStore) -> None:
    """Each segment is what it says; the object is not. Nothing is made of it."""
    (oid,) = clone.add_versions(1)
    clone.pack(oid)
    recipe = clone.store.packs.recipe(oid)
    assert recipe is not None
    false = Recipe(Oid("7" * 64), recipe.size, "", tuple(Segment(s.id, s.size, s.dtype) for s in recipe.segments[::-1]))
    with clone.store.packs.lock(), clone.store.packs.writer() as target:
        target.stream.recipe(false.oid, false.size, false.encode())
        target.commit()
    with pytest.raises(PackedWrong):
        unpack(clone.store, false.oid, clone.store.packs)
    assert clone.store.loose_size(false.oid) == -1
    assert list(Path(clone.store.temp).iterdir()) == []
