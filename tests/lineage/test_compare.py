"""What is behind versions, side by side."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from hundredweight.lineage.block import Facts
from hundredweight.lineage.compare import Row, compare
from hundredweight.lineage.record import DataVersion, Environment, Weights

VALUES = st.dictionaries(
    st.text("abc", min_size=1), st.none() | st.booleans() | st.integers() | st.floats() | st.text()
)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_every_value_has_its_place_and_what_differs_comes_first(sides: list[dict[str, object]]) -> None:
    found = compare([Facts(metrics=side) for side in sides]).metrics  # type: ignore[arg-type]
    assert {row.key for row in found} == {key for side in sides for key in side}
    for row in found:
        assert len(row.values) == len(sides)
        assert all(value is side.get(row.key) for value, side in zip(row.values, sides, strict=True))
    assert [row.differs for row in found] == sorted((row.differs for row in found), reverse=True)


@given(VALUES)
def test_a_version_does_not_differ_from_itself(side: dict[str, object]) -> None:
    facts = Facts(metrics=side, parameters=side)  # type: ignore[arg-type]
    assert not compare([facts, facts, facts]).differs


def test_numbers_change_by_an_amount_and_nothing_else_does() -> None:
    assert Row("loss", (0.5, 0.25)).change == -0.25
    assert Row("epochs", (3, 8)).change == 5
    assert not Row("lr", (1, 1.0)).differs
    assert not Row("loss", (math.nan, math.nan)).differs
    assert [Row("x", values).change for values in ((True, False), ("a", 1), (None, 1.0))] == [None, None, None]


def test_data_is_told_by_its_name_while_names_are_true() -> None:
    old = Facts(data=(DataVersion("data", "v1", digest="a" * 64),))
    new = Facts(data=(DataVersion("data", "v1.1", digest="b" * 64),))
    renamed = Facts(data=(DataVersion("data", "v1", digest="b" * 64),))
    assert compare([old, new]).data == (Row("data", ("v1", "v1.1")),)
    assert compare([old, renamed]).data == (Row("data", ("a" * 16, "b" * 16)),)


def test_weights_are_told_by_their_tensors_where_all_sides_know_them() -> None:
    old = Facts(weights=(Weights("m", "1" * 64, 5, "w1-x"),))
    same = Facts(weights=(Weights("m", "2" * 64, 5, "w1-x"),))
    unknown = Facts(weights=(Weights("m", "2" * 64, 5),))
    assert not compare([old, same]).differs
    assert compare([old, unknown]).weights == (Row("m", ("1" * 64, "2" * 64)),)


def test_the_environment_is_python_and_packages() -> None:
    old = Facts(environment=Environment("3.11.2", packages={"numpy": "2.0"}))
    new = Facts(environment=Environment("3.11.2", "12.4", packages={"numpy": "2.1", "torch": "2.5"}))
    rows = compare([old, new]).environment
    assert rows == (
        Row("numpy", ("2.0", "2.1")),
        Row("cuda", (None, "12.4")),
        Row("torch", (None, "2.5")),
        Row("python", ("3.11.2", "3.11.2")),
    )
