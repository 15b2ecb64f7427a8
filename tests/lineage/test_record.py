"""Records: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.lineage import record
from hundredweight.lineage.fields import RecordInvalid
from hundredweight.lineage.record import Code, DataVersion, Environment, Gpu, Hardware, Record, Status, Tracker, Weights

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.dictionaries(
    TEXT, st.one_of(st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), TEXT)
)
RECORDS = st.builds(
    Record,
    id=st.just("20261123-140000-abc123"),
    name=TEXT,
    status=st.sampled_from(Status),
    command=st.lists(TEXT, max_size=3).map(tuple),
    started=TEXT,
    seconds=st.floats(0, 1e9),
    exit_code=st.integers(-64, 255),
    code=st.builds(Code, TEXT, st.booleans()),
    seed=st.none() | st.integers(),
    parameters=VALUES,
    metrics=VALUES,
    curves=st.lists(TEXT, max_size=2).map(tuple),
    hardware=st.builds(
        Hardware,
        TEXT,
        st.integers(0, 512),
        st.integers(0, 1 << 45),
        st.lists(st.builds(Gpu, TEXT, st.integers(0), st.integers(1))).map(tuple),
    ),
    data=st.lists(st.builds(DataVersion, TEXT, TEXT, TEXT, TEXT, st.integers(0), st.integers(0)), max_size=2).map(
        tuple
    ),
    environment=st.builds(Environment, TEXT, TEXT, TEXT, TEXT, st.dictionaries(TEXT, TEXT), st.lists(TEXT).map(tuple)),
    weights=st.lists(st.builds(Weights, TEXT, TEXT, st.integers(0), TEXT), max_size=2).map(tuple),
    trackers=st.lists(st.builds(Tracker, TEXT, TEXT, TEXT), max_size=2).map(tuple),
)


@given(RECORDS)
def test_a_record_comes_back(made: Record) -> None:
    data = made.encode()
    assert record.decode(data, "x") == made
    assert record.decode(data, "x").encode() == data


def test_what_json_has_not_is_written_as_text() -> None:
    made = Record("a", metrics={"loss": float("nan")})
    assert json.loads(made.encode())["metrics"] == {"loss": "nan"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[]", "not a table"),
        (b"{", "not JSON"),
        (b'{"id": ""}', "'id'"),
        (b'{"id": "../x"}', "'id'"),
        (b'{"id": "a", "status": "fine"}', "'status'"),
        (b'{"id": "a", "parameters": {"x": [1]}}', "parameters.x"),
        (b'{"id": "a", "weights": [{"size": "big"}]}', "'size'"),
        (b'{"id": "a", "version": 0}', "'version'"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, said: str) -> None:
    with pytest.raises(RecordInvalid, match="the file: ") as caught:
        record.decode(data, "the file")
    assert said in str(caught.value)


def test_a_newer_record_is_read_as_far_as_known() -> None:
    assert record.decode(b'{"version": 7, "id": "a", "fields": {"of": "tomorrow"}}', "x") == Record("a")


def test_ids_sort_by_time_and_differ() -> None:
    ids = [record.new_id(1_700_000_000 + second) for second in range(50)]
    assert ids == sorted(ids)
    assert len({record.new_id(0) for _ in range(500)}) == 500
    assert record.new_id(0, bytes(4)) == "19700101-000000-aaaaaa"
