"""Metrics as trainings write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.lineage import metrics
from hundredweight.lineage.fields import RecordInvalid, Value

TRAINER = {
    "best_metric": 0.91,
    "global_step": 20,
    "log_history": [
        {"epoch": 0.5, "grad_norm": 1.5, "learning_rate": 5e-05, "loss": 2.0, "step": 10},
        {"epoch": 1.0, "eval_accuracy": 0.91, "eval_loss": 0.4, "eval_runtime": 1.2, "step": 20},
        {"epoch": 1.0, "step": 20, "total_flos": 1.0, "train_loss": 1.1, "train_samples_per_second": 3.0},
    ],
}


def test_a_plain_file_is_flat_numbers() -> None:
    found = metrics.read("m.json", b'{"test": {"acc": 0.9, "note": "x"}, "loss": NaN, "ok": true}')
    assert found.final["test.acc"] == 0.9
    assert str(found.final["loss"]) == "nan"
    assert found.final["ok"] is True
    assert found.curve == []
    assert metrics.read("m.yaml", b"acc: 0.5\n").final == {"acc": 0.5}


def test_lines_are_a_curve_and_the_last_values_count() -> None:
    found = metrics.read("m.jsonl", b'{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0, "acc": 0.5}\n{"step": 3, "lo')
    assert found.final == {"loss": 1.0, "acc": 0.5}
    assert [point["step"] for point in found.curve] == [1, 2]
    with pytest.raises(RecordInvalid):
        metrics.read("m.jsonl", b"{\n{}\n")


def test_tables() -> None:
    found = metrics.read("m.csv", b"epoch,step,train_loss,val_loss\n0,10,2.0,\n0,20,,0.5\n")
    assert found.final == {"train_loss": 2.0, "val_loss": 0.5}
    assert found.curve[1] == {"epoch": 0, "step": 20, "val_loss": 0.5}
    assert metrics.read("m.csv", b"acc,loss\n0.9,0.1\n") == metrics.Metrics({"acc": 0.9, "loss": 0.1})


def test_the_trainer_of_hugging_face() -> None:
    found = metrics.read("out/trainer_state.json", json.dumps(TRAINER).encode())
    assert found.final == {"loss": 2.0, "eval_accuracy": 0.91, "eval_loss": 0.4, "train_loss": 1.1, "best_metric": 0.91}
    assert len(found.curve) == 3
    assert found.curve[0]["learning_rate"] == 5e-05


def test_a_folder_of_dvclive() -> None:
    found = metrics.read_dvclive(
        {
            "metrics.json": b'{"train": {"loss": 0.5}, "acc": 0.9}',
            "params.yaml": b"lr: 1e-3\n",
            "plots/metrics/train/loss.tsv": b"step\tloss\n0\t1.0\n1\t0.5\n",
            "plots/metrics/acc.tsv": b"step\tacc\n0\t0.8\n1\t0.9\n",
        }
    )
    assert found.final["acc"] == 0.9
    assert {"step": 1, "train/loss": 0.5} in found.curve
    assert found.parameters == {"lr": 0.001}


def test_thinning_keeps_the_ends_and_rare_points() -> None:
    curve: list[dict[str, Value]] = [{"step": n, "loss": 1.0} for n in range(50_000)]
    curve.insert(777, {"step": 777, "eval": 2})
    kept = metrics.thin(curve)
    assert len(kept) <= metrics.MAX_POINTS + 2
    assert kept[0]["step"] == 0
    assert kept[-1]["step"] == 49_999
    assert {"step": 777, "eval": 2} in kept


_POINTS = st.lists(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.one_of(st.integers(-9, 9), st.floats()), min_size=1
    )
)


@given(_POINTS)
def test_a_curve_is_read_as_it_was_written(points: list[dict[str, int | float]]) -> None:
    found = metrics.read("m.jsonl", metrics.encode_curve([dict(point) for point in points]))
    assert [sorted(point) for point in found.curve] == [sorted(point) for point in points]
    assert metrics.encode_curve(found.curve) == metrics.encode_curve([dict(point) for point in points])


@given(st.sampled_from(["m.json", "m.jsonl", "m.csv", "m.tsv", "m.yaml", "m.toml", "trainer_state.json"]), st.binary())
def test_any_bytes_are_metrics_or_a_named_fault(name: str, data: bytes) -> None:
    try:
        assert isinstance(metrics.read(name, data).final, dict)
    except RecordInvalid:
        return
