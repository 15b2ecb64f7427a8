"""`--set`: which runs it means, and how values reach them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base.errors import UsageError
from hundredweight.client.experiments import grid
from hundredweight.client.experiments.grid import Setting


def test_every_combination_is_a_run() -> None:
    runs = grid.parse_grid(["lr=1e-5,3e-5", "train.epochs=1,2", "name=adam"])
    assert [[setting.value for setting in run] for run in runs] == [
        [1e-05, 1, "adam"],
        [1e-05, 2, "adam"],
        [3e-05, 1, "adam"],
        [3e-05, 2, "adam"],
    ]
    keys = grid.varied(runs)
    assert keys == ["lr", "train.epochs"]
    assert [grid.run_name("x", run, keys) for run in runs[:2]] == ["x-lr=1e-5-epochs=1", "x-lr=1e-5-epochs=2"]
    assert grid.run_name("a b", (Setting("k", "../x y"),), ["k"]) == "a-b-k=../x-y"
    assert grid.parse_grid([]) == [()]
    assert grid.varied(grid.parse_grid(["a=1"])) == []


@pytest.mark.parametrize(
    "texts", [["lr"], ["=1"], [":lr=1"], ["a=1", "a=2"], ["a=" + ",".join("1" * 40), "b=" + ",".join("1" * 40)]]
)
def test_what_makes_no_sense(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        grid.parse_grid(texts)


def test_files_that_have_the_key_are_changed() -> None:
    files = {"a.toml": b"lr = 1\nx = 2\n", "b.yaml": b"x: 3\ny: {z: 4}\n"}
    read = files.get
    known = frozenset(("lr", "x", "y.z"))
    assert grid.assign(
        [Setting("lr", 0.5), Setting("x", 9, "b.yaml"), Setting("y.z", 5)], list(files), read
    ) == grid.Assigned({"a.toml": b"lr = 0.5\nx = 2\n", "b.yaml": b"x: 9\ny: {z: 5}\n"}, (), known)
    loose = Setting("other", 1)
    assert grid.assign([loose], [*files, "missing.json"], read) == grid.Assigned({}, (loose,), known)
    with pytest.raises(UsageError, match=r"is in 'a\.toml' and in 'b\.yaml'"):
        grid.assign([Setting("x", 1)], list(files), read)


def test_a_mistyped_key_is_told_before_it_costs_a_training() -> None:
    known = ("train.optimizer.lr", "train.epochs", "lr")
    with pytest.raises(UsageError, match=r"no parameter file has 'train\.optimzer\.lr'") as caught:
        grid.check_spelling(Setting("train.optimzer.lr", 1), known)
    assert caught.value.hint.startswith("did you mean 'train.optimizer.lr'?")
    for key in ("note", "lr2", "data.path"):
        grid.check_spelling(Setting(key, 1), known)


def test_words_and_variables() -> None:
    run = [Setting("train.lr", 3e-05), Setting("flag", True)]
    assert grid.variables(run) == {"CWT_PARAM_TRAIN_LR": "3e-5", "CWT_PARAM_FLAG": "true"}
    command = ["python", "--lr={train.lr}", "{}", "{other}"]
    assert grid.fill(command, run) == (["python", "--lr=3e-5", "{}", "{other}"], {"train.lr"})


@given(st.lists(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=5))
def test_numbers_come_through(values: list[int | float]) -> None:
    (axis,) = zip(*grid.parse_grid(["k=" + ",".join(grid.shown(value) for value in values)]), strict=True)
    assert [setting.value for setting in axis] == values
