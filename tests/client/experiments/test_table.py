"""Which experiments, in which order, in which columns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.client.experiments.table import (
    BadCondition,
    Condition,
    UnknownField,
    columns,
    fields_of,
    get,
    order,
    select,
    tabulate,
)
from hundredweight.lineage.experiments import Experiment
from hundredweight.lineage.listing import Row, in_short
from hundredweight.lineage.record import DataVersion, Record, Status


def row(number: int, **facts: Any) -> Row:
    made: dict[str, Any] = {
        "name": f"n{number}",
        "started": f"2026-11-{number + 1:02d}T00:00:00Z",
        "parameters": {"lr": 3e-05, "opt": "adamw", "amp": True},
        "metrics": {"val_loss": 1.0 / (number + 1)},
        "data": (DataVersion("data", "v1"),),
    }
    return in_short(Experiment(Record(f"2026110{number}-000000-aaaaa{number}", **{**made, **facts}), "c" * 40))


ROWS = [
    row(0),
    row(1, parameters={"lr": 1e-05, "opt": "sgd", "amp": False}),
    row(2, status=Status.FAILED, exit_code=3, metrics={}),
    row(3, parameters={"lr": "auto", "name": "odd"}, metrics={"val_loss": 0.1, "lr": 7}, seed=4),
]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("val_loss<0.5", "n3"),
        ("val_loss <= 0.5", "n1 n3"),
        ("val_loss>=100%", "n0"),
        ("lr=3e-5", "n0 n2"),
        ("params.lr=0.00003", "n0 n2"),
        ("lr!=3e-5", "n1 n3"),
        ("metrics.lr=7", "n3"),
        ("params.lr=auto", "n3"),
        ("params.name=odd", "n3"),
        ("status=done", "n0 n1 n3"),
        ("status!=done", "n2"),
        ("name~n[12]", "n1 n2"),
        ("name!~n[12]", "n0 n3"),
        ("opt~ad*", "n0 n2"),
        ("opt!~ad*", "n1 n3"),
        ("amp=true", "n0 n2"),
        ("started>2026-11-02", "n1 n2 n3"),
        ("exit_code=3", "n2"),
        ("data=v1", "n0 n1 n2 n3"),
        ("opt<3", ""),
    ],
)
def test_conditions(text: str, names: str) -> None:
    assert [found.name for found in select(ROWS, [Condition.parse(text)])] == names.split()


def test_all_conditions_must_hold() -> None:
    found = select(ROWS, [Condition.parse("status=done"), Condition.parse("opt=sgd")])
    assert [each.name for each in found] == ["n1"]


def test_what_nobody_has_is_named_with_what_is_like_it() -> None:
    with pytest.raises(UnknownField) as caught:
        select(ROWS, [Condition.parse("valloss<1")])
    assert caught.value.hint == "did you mean 'val_loss'?"
    assert select([], [Condition.parse("valloss<1")]) == []
    with pytest.raises(BadCondition):
        Condition.parse("val_loss")
    with pytest.raises(BadCondition):
        Condition.parse("val_loss=>1")


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ([], "n3 n2 n1 n0"),
        (["val_loss"], "n3 n1 n0 n2"),
        (["-val_loss"], "n0 n1 n3 n2"),
        (["params.lr"], "n1 n0 n2 n3"),
        (["-params.lr", "-name"], "n2 n0 n1 n3"),
        (["status", "-name"], "n3 n1 n0 n2"),
    ],
)
def test_orders(keys: list[str], names: str) -> None:
    assert [found.name for found in order(ROWS, keys)] == names.split()


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=2), st.booleans()), max_size=12))
def test_an_order_loses_nothing_and_ends_with_what_is_missing(values: list[Any]) -> None:
    rows = [row(0, parameters={} if value is None else {"x": value}) for value in values]
    rows.append(row(0, parameters={"x": 1}))
    for key in ("x", "-x"):
        ordered = [get(each, "x") for each in order(rows, [key])]
        assert sorted(map(repr, ordered)) == sorted(repr(get(each, "x")) for each in rows)
        missing = [value is None for value in ordered]
        assert missing == sorted(missing)


def test_names_that_collide_are_told_apart() -> None:
    assert fields_of(ROWS) == ["val_loss", "lr", "params.lr", "opt", "amp", "params.name"]
    assert get(ROWS[3], "lr") == 7
    assert get(ROWS[3], "params.lr") == "auto"
    assert get(ROWS[3], "name") == "n3"


def test_columns_by_pattern() -> None:
    assert columns(ROWS, ["name", "*l*ss", "params.*"]) == ["name", "val_loss", "params.lr", "params.name"]
    with pytest.raises(UnknownField):
        columns(ROWS, ["nothing"])
    assert columns(ROWS)[:5] == ["id", "name", "status", "started", "seconds"]
    assert columns(ROWS)[-2:] == ["seed", "data"]


def test_what_is_the_same_in_all_is_told_once() -> None:
    shown = tabulate(ROWS[:2], columns(ROWS[:2]))
    assert shown.head == ["id", "name", "started", "val_loss", "lr", "opt", "amp"]
    assert dict(shown.same) == {"status": "done", "seconds": "0.0", "data": "v1"}
    assert shown.rows[1] == ["20261101-000000-aaaaa1", "n1", "2026-11-02 00:00:00", "0.5", "1e-5", "sgd", "false"]
    assert shown.right == (3, 4)
    assert "status" in tabulate(ROWS[:1], columns(ROWS[:1])).head
    assert "status" in tabulate(ROWS[:2], columns(ROWS[:2]), hide_same=False).head


@given(st.integers(1, 200))
def test_a_table_fits(width: int) -> None:
    shown = tabulate(ROWS, columns(ROWS), width=width)
    taken = sum(max(len(line[place]) for line in [shown.head, *shown.rows]) + 2 for place in range(len(shown.head))) - 2
    assert taken <= max(width, 22)
    assert shown.head[0] == "id"
    everything = tabulate(ROWS, columns(ROWS)).head
    assert sorted(shown.head + shown.dropped) == sorted(everything)
