"""Axes: every value has a place, ticks are round and few."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.client.charts.axis import axis, categorical

NUMBERS = st.floats(-1e12, 1e12, allow_nan=False).filter(lambda value: value == 0 or abs(value) > 1e-12)


@given(st.lists(NUMBERS, max_size=10), st.integers(2, 8))
def test_every_value_has_a_place(values: list[float], count: int) -> None:
    made = axis(values, count=count)
    assert all(-1e-6 <= made.place(value) <= 1 + 1e-6 for value in values)
    assert made.low < made.high
    assert len(made.ticks) <= count + 2
    assert all(made.low <= tick <= made.high or math.isclose(made.place(tick), round(made.place(tick)), abs_tol=1e-6)
               for tick, _ in made.ticks)  # fmt: skip


@given(st.lists(st.floats(1e-12, 1e12), max_size=10))
def test_so_it_has_on_a_logarithmic_one(values: list[float]) -> None:
    made = axis(values, log=True)
    assert all(-1e-6 <= made.place(value) <= 1 + 1e-6 for value in values)
    assert all(made.low <= tick <= made.high for tick, _ in made.ticks)
    assert len(made.ticks) <= 12


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 3000], ["0", "1000", "2000", "3000"]),
        ([0.1, 0.9], ["0.2", "0.4", "0.6", "0.8"]),
        ([0.85, 0.87], ["0.850", "0.855", "0.860", "0.865", "0.870"]),
        ([-5, 5], ["-5", "0", "5"]),
        ([1e-5, 3e-5], ["1.0e-5", "1.5e-5", "2.0e-5", "2.5e-5", "3.0e-5"]),
        ([0, 4e6], ["0", "1e6", "2e6", "3e6", "4e6"]),
        ([7, 7], ["7"]),
        ([1, 2], ["1", "2"]),
        ([7.5, 7.5], ["7.0", "7.5", "8.0"]),
    ],
)
def test_labels_are_what_people_write(values: list[float], labels: list[str]) -> None:
    assert [text for _, text in axis(values).ticks] == labels


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1e-5, 1e-3], ["1e-5", "1e-4", "1e-3"]),
        ([1, 1000], ["1", "10", "100", "1000"]),
        ([0.4, 2.5], ["0.5", "1", "2"]),
        ([1e-12, 1e12], ["1e-12", "1e-8", "1e-4", "1e0", "1e4", "1e8", "1e12"]),
    ],
)
def test_labels_of_a_logarithmic_one(values: list[float], labels: list[str]) -> None:
    assert [text for _, text in axis(values, log=True).ticks] == labels


def test_names_stand_side_by_side() -> None:
    made = categorical(["adamw", "sgd"])
    assert [(made.place(value), text) for value, text in made.ticks] == [(0.25, "adamw"), (0.75, "sgd")]
