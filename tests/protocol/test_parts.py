"""Messages of uploads in parts: what is encoded is read back; what cannot be is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.protocol.message import BadMessage
from hundredweight.protocol.parts import (
    MAX_PART,
    MAX_PARTS,
    PartsState,
    choose_part_size,
    commit_url,
    part_url,
    ranges,
)


@given(st.integers(1, 1 << 40), st.sampled_from([1 << 20, 3 << 20, 1 << 30]), st.sets(st.integers(0, 200)))
def test_a_state_is_read_back(size: int, part_size: int, numbers: set[int]) -> None:
    if size > part_size * MAX_PARTS:
        size = part_size
    count = PartsState(size, part_size).count
    state = PartsState(size, part_size, ranges(sorted(number for number in numbers if number < count)))
    assert PartsState.parse(state.encode()) == state


@given(st.integers(1, 5000), st.sets(st.integers(0, 60)))
def test_held_and_missing_make_up_the_whole(size: int, numbers: set[int]) -> None:
    count = PartsState(size, 100).count
    held = sorted(number for number in numbers if number < count)
    state = PartsState(size, 100, ranges(held))
    assert sorted([*held, *state.missing()]) == list(range(count))
    spans = [state.span(number) for number in range(count)]
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == size
    assert state.held_bytes == sum(end - start for start, end in (spans[number] for number in held))


def test_there_is_no_part_outside() -> None:
    state = PartsState(250, 100)
    for number in (-1, 3):
        with pytest.raises(IndexError):
            state.span(number)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0},
        {"size": -1},
        {"size": "7"},
        {"part_size": 0},
        {"part_size": MAX_PART + 1},
        {"size": 1 << 62},
        {"held": None},
        {"held": {}},
        {"held": [[0]]},
        {"held": [[0, 1, 2]]},
        {"held": [["0", "1"]]},
        {"held": [[True, 2]]},
        {"held": [[1, 1]]},
        {"held": [[2, 1]]},
        {"held": [[-1, 1]]},
        {"held": [[1, 2], [0, 1]]},
        {"held": [[0, 2], [1, 3]]},
        {"held": [[0, 4]]},
        {"held": [[0, MAX_PARTS + 1]]},
    ],
)
def test_an_impossible_state_is_refused(change: dict[str, Any]) -> None:
    good = {"size": 3000, "part_size": 1024, "held": [[0, 1], [2, 3]]}
    assert PartsState.parse(json.dumps(good).encode()).missing() == [1]
    with pytest.raises(BadMessage):
        PartsState.parse(json.dumps({**good, **change}).encode())


def test_parts_grow_before_there_are_too_many() -> None:
    assert choose_part_size(5 << 30, 16 << 20) == 16 << 20
    assert choose_part_size((16 << 20) * MAX_PARTS + 1, 16 << 20) == 32 << 20
    assert choose_part_size(1 << 62, 16 << 20) == MAX_PART


def test_urls_keep_the_query() -> None:
    assert part_url("http://h/o/parts?a=1&b=2", 7) == "http://h/o/parts/7?a=1&b=2"
    assert commit_url("http://h/o/parts?a=1") == "http://h/o/parts/commit?a=1"
    assert commit_url("http://h/o/parts") == "http://h/o/parts/commit"
