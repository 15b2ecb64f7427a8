"""A folder of packs: what appears is found, what is replaced is followed, what is damaged is named."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from hundredweight.base.ids import Oid
from hundredweight.store import packfolder
from hundredweight.store.catalog import PackMissing
from hundredweight.store.pack import MAGIC, PackDamaged
from hundredweight.store.packfolder import BaseGone, NotPacked, PackFolder, PacksBusy
from hundredweight.store.recipe import Recipe, Segment
from hundredweight.store.repack import execute, plan_repack
from tests.store.clone_store import CloneStore


@pytest.fixture
def clone(tmp_path: Path) -> CloneStore:
    return CloneStore(tmp_path)


def test_packs_of_another_process_are_seen(clone: CloneStore) -> None:
    folder = clone.store.packs
    first, second = clone.add_versions(2)
    assert folder.size(first) == -1
    assert list(folder.ids()) == []
    other = clone.fresh()
    clone.pack(first)
    assert other.packs.size(first) == len(clone.contents[first])
    clone.pack(second)
    assert other.packs.size(second) == len(clone.contents[second]), "within the same tick of the clock"
    assert b"".join(other.packs.open_stream(second)) == clone.contents[second]
    assert [oid for oid, _ in other.packs.ids()] == sorted((first, second))


def test_ranges(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1)
    clone.pack(oid)
    for start, end in ((0, 10), (5, 100_000), (400_000, None)):
        assert b"".join(clone.store.open_stream(oid, start, end)) == clone.contents[oid][start:end]


def test_what_is_not_packed(clone: CloneStore) -> None:
    oid = Oid("0" * 64)
    with pytest.raises(NotPacked):
        clone.store.packs.open_stream(oid)
    assert clone.store.packs.recipe(oid) is None
    assert clone.store.packs.segments([b"x" * 32]) == {}
    with pytest.raises(PackMissing):
        clone.store.packs.read("0" * 64, 0, 1)
    with pytest.raises(PackMissing):
        clone.store.packs.index("0" * 64)


@pytest.mark.parametrize("kept_open", [0, 64])
def test_a_repack_while_an_object_is_read(clone: CloneStore, monkeypatch: pytest.MonkeyPatch, kept_open: int) -> None:
    monkeypatch.setattr(packfolder, "KEPT_OPEN", kept_open)
    first, second, third = clone.add_versions(3, rows=12_000)
    clone.pack(first)
    clone.pack(first, second)
    clone.pack(first, second, third)
    pieces = clone.store.open_stream(third)
    begin = bytes(next(pieces))
    other = clone.fresh()
    with other.packs.lock():
        execute(other.packs, plan_repack(other.packs, [second]))
    assert begin + b"".join(pieces) == clone.contents[third]
    assert clone.read(third) == clone.contents[third]
    assert clone.store.packs.size(second) == -1


def test_one_writer_at_a_time(clone: CloneStore) -> None:
    folder = clone.store.packs
    with folder.lock(), pytest.raises(PacksBusy), clone.fresh().packs.lock(wait=False):
        pass
    with folder.lock(wait=False):
        pass
    entered = threading.Event()

    def wait() -> None:
        with clone.fresh().packs.lock():
            entered.set()

    with folder.lock():
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not entered.wait(0.05)
    waiting.join(5)
    assert entered.is_set()


def test_a_pack_whose_base_went_is_not_published(clone: CloneStore) -> None:
    folder = clone.store.packs
    with folder.writer() as target, folder.lock():
        target.stream.block(b"s" * 32, 10, b"b" * 32, b"block", 1)
        with pytest.raises(BaseGone):
            target.commit()
    assert folder.names() == []
    assert os.listdir(folder.temp) == []


def test_an_empty_pack_is_none(clone: CloneStore) -> None:
    folder = clone.store.packs
    with folder.writer() as target, folder.lock():
        assert target.commit() == ""
    assert folder.names() == []


def test_of_two_copies_the_shorter_chain_is_taken(clone: CloneStore) -> None:
    """Else a chain through both could lead in a circle."""
    folder = clone.store.packs
    base, middle, both = (bytes((number,)) * 32 for number in (1, 2, 3))
    packs = (
        [(base, None, 0)],
        [(middle, base, 1), (both, middle, 2)],
        [(both, base, 1)],
    )
    with folder.lock():
        for blocks in packs:
            with folder.writer() as target:
                for identity, on, depth in blocks:
                    target.stream.block(identity, 10, on, b"block", depth)
                target.commit()
    found = folder.segments([both])[both]
    assert (found.base, found.depth) == (base, 1)


def test_damaged_packs_are_named_and_passed_over(clone: CloneStore) -> None:
    first, second = clone.add_versions(2)
    clone.pack(first)
    folder = Path(clone.store.packs.folder)
    good = {path.name for path in folder.glob("*.pack")}
    clone.add(clone.contents[second])
    clone.pack(second)
    (bad,) = (path for path in folder.glob("*.pack") if path.name not in good)
    data = bad.read_bytes()
    bad.chmod(0o644)
    end = clone.store.packs.index(bad.stem).end
    cases = (b"", MAGIC, data[:-1], data[:-100] + bytes(100), data[: len(data) // 2])
    for broken in cases:
        bad.write_bytes(broken)
        seen = clone.fresh().packs
        assert b"".join(seen.open_stream(first)) == clone.contents[first]
        assert seen.size(second) == -1
        assert list(seen.damaged) == [bad.stem]
    bad.write_bytes(data[:end] + b"\xff" * 1024 + data[end + 1024 :])
    seen = clone.fresh().packs
    recipe = clone.store.packs.recipe(first)
    assert recipe is not None
    assert len(seen.segments(segment.id for segment in recipe.segments)) == len(recipe.segments)
    assert list(seen.damaged) == [bad.stem]
    bad.unlink()
    assert seen.size(first) > 0
    seen.names()
    assert seen.damaged == {}


def test_a_recipe_filed_under_another_object(clone: CloneStore) -> None:
    folder = clone.store.packs
    recipe = Recipe(Oid("1" * 64), 4, "", (Segment(b"s" * 32, 4, ""),))
    with folder.lock(), folder.writer() as target:
        target.stream.recipe("2" * 64, 4, recipe.encode())
        target.commit()
    with pytest.raises(PackDamaged, match="is that of"):
        folder.recipe(Oid("2" * 64))


def test_other_files_are_passed_over(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1)
    clone.pack(oid)
    for name in ("x.pack", "tmp-1", "0" * 64):
        (Path(clone.store.packs.folder) / name).write_bytes(b"")
    folder = PackFolder(str(clone.root))
    assert len(folder.names()) == 1
    assert folder.damaged == {}


def test_closed_is_opened_again(clone: CloneStore) -> None:
    (oid,) = clone.add_versions(1)
    clone.pack(oid)
    for _ in range(2):
        assert clone.read(oid) == clone.contents[oid]
        clone.store.close()
