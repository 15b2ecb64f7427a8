"""The hub's rows of packs: whatever comes together, no chain is longer than a reader follows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hundredweight.hub.packs.catalog import BaseGone, PackContents, PackTables
from hundredweight.hub.services import open_services
from hundredweight.hub.settings import Settings
from hundredweight.store.catalog import Location
from hundredweight.store.pack import MAX_DEPTH


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[PackTables]:
    services = open_services(Settings(data=str(tmp_path / "hub")))
    yield services.packs.tables
    services.close()


def segment(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def pack(number: int, **rows: tuple[str, int]) -> PackContents:
    """A pack of segments, each with its base ("" for none) and depth."""
    name = f"{number:064x}"
    found = [
        (segment(each), Location(name, 8, 1, 1, segment(base) if base else None, depth))
        for each, (base, depth) in rows.items()
    ]
    return PackContents(name, 1000, found, [])


def chain(tables: PackTables, name: str) -> list[str]:
    """The segments that reading one takes, itself first."""
    found: list[str] = []
    at: bytes | None = segment(name)
    while at is not None:
        found.append(at.decode().rstrip("."))
        assert len(found) <= 10
        row = tables.segments([at])[at]
        base = None if row.base is None else tables.segments([row.base])[row.base]
        assert base is None or base.depth < row.depth
        at = row.base
    return found


def long_chain() -> PackContents:
    return pack(1, a=("", 0), b=("a", 1), c=("b", 2), d=("c", 3), e=("d", 4))


def test_a_segment_that_others_need_less_deep_stands_where_it_is_less_deep(tables: PackTables) -> None:
    tables.record(long_chain())
    tables.record(pack(2, e=("", 0), f=("e", 1)))
    assert chain(tables, "f") == ["f", "e"]
    assert chain(tables, "e") == ["e"]


def test_a_deeper_copy_changes_nothing(tables: PackTables) -> None:
    tables.record(pack(2, e=("", 0), f=("e", 1)))
    tables.record(long_chain())
    assert chain(tables, "f") == ["f", "e"]


def test_a_pack_whose_base_came_deeper_meanwhile_is_refused(tables: PackTables) -> None:
    """It was made against a copy of e that was forgotten since."""
    tables.record(long_chain())
    with pytest.raises(BaseGone):
        tables.record(pack(2, f=("e", 1)))
    assert tables.segments([segment("f")]) == {}


def test_a_forgotten_base_that_comes_back_deeper_takes_no_reader_too_far(tables: PackTables) -> None:
    tables.record(pack(1, e=("", 0)))
    tables.record(pack(2, f=("e", 1), g=("f", 2)))
    tables.forget_pack(f"{1:064x}")
    tables.record(long_chain())
    assert len(chain(tables, "e")) == MAX_DEPTH + 1
    assert tables.segments([segment("f")]) == {}


def test_it_brings_back_what_was_made_against_it_where_that_is_still_deeper(tables: PackTables) -> None:
    tables.record(pack(1, a=("", 0), e=("a", 1)))
    tables.record(pack(2, f=("e", 2)))
    tables.forget_pack(f"{1:064x}")
    tables.record(pack(3, e=("", 0)))
    assert chain(tables, "f") == ["f", "e"]


def test_a_pack_takes_the_place_of_one_with_longer_chains(tables: PackTables) -> None:
    tables.record(pack(1, a=("", 0), b=("a", 1), c=("b", 2)))
    tables.record(pack(2, d=("c", 3), x=("", 0)))
    tables.record(pack(3, e=("d", 4)))
    assert not tables.replace(pack(4, d=("b", 2)), f"{2:064x}"), "x is still there"
    assert chain(tables, "e") == ["e", "d", "b", "a"]
    assert tables.replace(pack(5, x=("", 0)), f"{2:064x}")
    assert not tables.has_pack(f"{2:064x}")
    assert chain(tables, "x") == ["x"]


def test_none_takes_the_place_of_shorter_chains_or_without_its_base(tables: PackTables) -> None:
    """What stands upon a segment counts on its depth."""
    tables.record(pack(1, a=("", 0), b=("a", 1), c=("b", 2)))
    tables.record(pack(2, d=("a", 1)))
    for wrong in (pack(3, d=("b", 2)), pack(3, d=("gone", 1)), pack(3, d=("", 0), new=("", 0))):
        with pytest.raises(BaseGone):
            tables.replace(wrong, f"{2:064x}")
    assert chain(tables, "d") == ["d", "a"]
    assert not tables.has_pack(f"{3:064x}")


@pytest.mark.parametrize("seed", range(5))
def test_no_chain_grows_too_long_whatever_enters_and_goes(tables: PackTables, seed: int) -> None:
    dice = random.Random(seed)
    names = "abcdefgh"
    for number in range(40):
        order = dice.sample(names, dice.randint(1, 5))
        rows: dict[str, tuple[str, int]] = {}
        for place, each in enumerate(order):
            known = {segment(name): name for name in names if name not in order}
            stored = {known[key]: row.depth for key, row in tables.segments(known).items()}
            before = {name: rows[name][1] for name in order[:place]} | stored
            fit = [name for name, depth in before.items() if depth < MAX_DEPTH]
            base = dice.choice(["", *fit])
            rows[each] = (base, before[base] + 1 if base else 0)
        with suppress(BaseGone):
            tables.record(pack(number, **rows))
        if dice.random() < 0.2:
            tables.forget_pack(f"{dice.randint(0, number):064x}")
        for key, row in tables.segments(map(segment, names)).items():
            # A base may be gone; where it is not, it is less deep.
            bases = tables.segments([row.base] if row.base else [])
            assert all(base.depth < row.depth <= MAX_DEPTH for base in bases.values()), key
