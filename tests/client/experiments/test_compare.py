"""Experiments side by side: what differs, and how many tensors changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save

from hundredweight.client.experiments.compare import compare_experiments
from hundredweight.lineage.experiments import Experiment
from hundredweight.lineage.record import DataVersion, Environment, Record, Weights
from tests.clones import Clone


def weights(clone: Clone | None, change: float, *, extra: bool = False) -> tuple[Weights, ...]:
    tensors = {"a": np.zeros(8, np.float32), "b": np.full(8, change, np.float32)}
    content = save(tensors | ({"c": np.zeros(2, np.float32)} if extra else {}))
    oid = clone.store(content) if clone is not None else f"{change:064.0f}"
    return (Weights("model.safetensors", oid, len(content)),)


def made(name: str, **facts: object) -> Experiment:
    return Experiment(Record(f"20261123-100000-{name}", name=name, **facts), "c" * 40)  # type: ignore[arg-type]


def test_differences_come_first() -> None:
    one = made("one", parameters={"epochs": 10, "lr": 0.1}, metrics={"acc": 0.5}, data=(DataVersion("data", "v1"),))
    two = made("two", parameters={"epochs": 10, "lr": 0.2}, metrics={"acc": 0.5}, environment=Environment("3.12"))
    compared = compare_experiments([one, two])
    parts = dict(compared.parts())
    assert [(row.key, row.values, row.differs) for row in parts["parameters"]] == [
        ("lr", (0.1, 0.2), True),
        ("epochs", (10, 10), False),
    ]
    assert [(row.key, row.values) for row in parts["data"]] == [("data", ("v1", None))]
    assert [(row.key, row.values) for row in parts["environment"]] == [("python", (None, "3.12"))]
    assert "weights" not in parts
    assert compared.tensors == ()


def test_tensors_that_changed(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    sides = [
        made("one", weights=weights(clone, 1)),
        made("two", weights=weights(clone, 2)),
        made("three", weights=weights(clone, 1, extra=True)),
        made("same", weights=weights(clone, 1)),
        made("away", weights=weights(None, 5)),
    ]
    compared = compare_experiments(sides, clone.workspace())
    assert [(each.place, str(each)) for each in compared.tensors] == [
        (1, "1 changed of 2 tensors"),
        (2, "1 added of 3 tensors"),
        (4, "the tensors' hashes are not known here"),
    ]
    # What was hashed is kept: the objects may go.
    for side in sides:
        (clone.folder / ".git" / "lfs" / "objects").joinpath(
            side.record.weights[0].oid[:2], side.record.weights[0].oid[2:4], side.record.weights[0].oid
        ).unlink(missing_ok=True)
    again = compare_experiments(sides, clone.workspace())
    assert again.tensors == compared.tensors


def test_exit_codes_are_told_where_one_failed() -> None:
    parts = dict(compare_experiments([made("one"), made("two", exit_code=7)]).parts())
    assert ("exit code", (0, 7)) in [(row.key, row.values) for row in parts["run"]]
    parts = dict(compare_experiments([made("one", seed=1), made("two", seed=2)]).parts())
    assert "exit code" not in [row.key for row in parts["run"]]
