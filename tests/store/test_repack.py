"""Removing objects from packs keeps all others; checks find what is damaged; repair saves what can be read."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hundredweight.base.ids import Oid
from hundredweight.store import repack
from hundredweight.store.repack import check, execute, plan_repack, set_aside
from tests.store.clone_store import CloneStore


@pytest.fixture
def clone(tmp_path: Path) -> CloneStore:
    return CloneStore(tmp_path)


def remove(clone: CloneStore, *oids: Oid) -> None:
    clone.store.remove_packed(oids)
    for oid in oids:
        del clone.contents[oid]


def test_a_base_that_others_need_goes_along(clone: CloneStore) -> None:
    first, second, third = clone.add_versions(3)
    clone.pack(first, second, third)
    remove(clone, first)
    assert clone.packed() == {second, third}
    clone.check()
    remove(clone, second)
    assert clone.packed() == {third}
    clone.check()
    assert check(clone.store.packs).faults == []


def test_bases_in_other_packs(clone: CloneStore) -> None:
    oids = clone.add_versions(4)
    for place in range(4):
        clone.pack(*oids[: place + 1])
    assert len(clone.store.packs.names()) == 4
    remove(clone, oids[1], oids[3])
    clone.check()
    assert clone.packed() == {oids[0], oids[2]}
    assert check(clone.store.packs).faults == []


def test_packs_that_nothing_needs_go(clone: CloneStore) -> None:
    a, b = clone.add_versions(1, seed=1)[0], clone.add_versions(1, seed=2, rows=310)[0]
    clone.pack(a)
    clone.pack(b)
    before = clone.stored()
    plan = clone.store.plan_removal([a])
    assert plan is not None
    assert (len(plan.dropped), plan.rewritten) == (1, [])
    assert clone.stored() == before, "a plan changes nothing"
    remove(clone, a)
    assert before - clone.stored() == plan.freed
    remove(clone, b)
    assert clone.store.packs.names() == []
    assert clone.store.remove_packed([a]) == 0


def test_many_small_packs_become_one(clone: CloneStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repack, "MANY", 3)
    oids = clone.add_versions(4)
    for place in range(4):
        clone.pack(*oids[: place + 1])
    folder = clone.store.packs
    with folder.lock():
        execute(folder, plan_repack(folder))
    assert len(folder.names()) == 1
    clone.check()
    assert check(folder).faults == []
    with folder.lock():
        plan = plan_repack(folder)
        assert (plan.rewritten, plan.dropped) == ([], [])


def test_packs_of_a_bounded_size(clone: CloneStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bases stand in the packs before."""
    monkeypatch.setattr(repack, "PACK_STORED", 100_000)
    oids = clone.add_versions(3)
    clone.pack(*oids)
    remove(clone, oids[1])
    assert len(clone.store.packs.names()) > 1
    clone.check()
    assert check(clone.store.packs).faults == []


def pack_file(clone: CloneStore) -> Path:
    (path,) = Path(clone.store.packs.folder).glob("*.pack")
    path.chmod(0o644)
    return path


def test_any_damage_is_found(clone: CloneStore) -> None:
    """One bit anywhere in a pack; and what the check does not name can be read."""
    oids = clone.add_versions(2, rows=180)
    clone.pack(*oids)
    path = pack_file(clone)
    data = path.read_bytes()
    rng = random.Random(4)
    places = [
        *rng.sample(range(len(data)), 12),
        0,
        9,
        len(data) - 1,
        len(data) - 60,
        clone.store.packs.index(path.stem).end + 3,
    ]
    for place in places:
        broken = bytearray(data)
        broken[place] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        store = clone.fresh()
        report = check(store.packs)
        assert report.packs == [path.stem]
        for oid, _ in store.packs.ids():
            if oid not in report.objects:
                assert b"".join(store.open_stream(oid)) == clone.contents[oid]
        store.close()
    path.write_bytes(data)
    report = check(clone.fresh().packs)
    assert (report.faults, report.checked_packs, report.checked_objects) == ([], 1, 2)


def test_repair_keeps_what_can_be_read(clone: CloneStore) -> None:
    """A delta is damaged: its object is named and goes, its base's object stays; brought again, all is well."""
    first, second = clone.add_versions(2)
    clone.pack(first, second)
    folder = clone.store.packs
    recipe = folder.recipe(second)
    assert recipe is not None
    at = max(folder.segments(segment.id for segment in recipe.segments).values(), key=lambda each: each.depth)
    path = pack_file(clone)
    data = bytearray(path.read_bytes())
    data[at.offset + at.stored // 2 : at.offset + at.stored] = bytes(at.stored - at.stored // 2)
    path.write_bytes(data)
    clone.store.close()
    report = check(folder)
    assert report.objects == [second]
    assert report.packs == [path.stem]
    with folder.lock():
        plan = plan_repack(folder, rewrite=report.packs)
        assert plan.lost == [second]
        execute(folder, plan)
    assert clone.packed() == {first}
    assert check(folder).faults == []
    clone.add(clone.contents[second])
    clone.pack(first, second)
    clone.check()


def test_a_pack_that_cannot_be_opened_is_set_aside(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1)
    clone.pack(oid)
    path = pack_file(clone)
    path.write_bytes(path.read_bytes()[:-7])
    store = clone.fresh()
    report = check(store.packs)
    assert report.packs == [path.stem]
    set_aside(store.packs, [*report.packs, "0" * 64], store.bad)
    assert check(store.packs).faults == []
    assert (Path(store.bad) / path.name).exists()


def test_the_check_tells_how_far_it_is(clone: CloneStore) -> None:
    oids = clone.add_versions(2)
    clone.pack(*oids)
    seen: list[int] = []
    check(clone.store.packs, seen.append)
    assert sum(seen) == sum(len(data) for data in clone.contents.values())


def test_an_object_whose_segments_are_gone_is_lost(clone: CloneStore) -> None:
    first, second = clone.add_versions(2)
    clone.pack(first)
    gone = clone.store.packs.names()[0]
    clone.pack(first, second)
    clone.store.packs.remove_pack(gone)
    report = check(clone.store.packs)
    assert report.objects == [second]
    with clone.store.packs.lock():
        plan = plan_repack(clone.store.packs)
        assert plan.lost == [second]
        execute(clone.store.packs, plan)
    assert clone.packed() == set()
