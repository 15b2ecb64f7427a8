"""Runs of trackers beside a training."""

from __future__ import annotations

import os
from pathlib import Path

from hundredweight.client.experiments.trackers import find
from hundredweight.lineage.record import Tracker


def mlflow_run(folder: Path, run: str, moment: float) -> None:
    file = folder / "mlruns/0" / run / "meta.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    os.utime(file, (moment, moment))


def test_folders_of_runs_since_the_training_began(tmp_path: Path) -> None:
    mlflow_run(tmp_path, "a" * 32, 100)
    mlflow_run(tmp_path, "b" * 32, 200)
    mlflow_run(tmp_path, "c" * 32, 300)
    assert find(str(tmp_path), {}, 150) == (Tracker("mlflow", "b" * 32), Tracker("mlflow", "c" * 32))
    assert find(str(tmp_path), {}) == (Tracker("mlflow", "c" * 32),)
    assert find(str(tmp_path), {"MLFLOW_TRACKING_URI": "file:///none"}, 150) == ()
    (tmp_path / "wandb/offline-run-20260101_120000-x1y2z3").mkdir(parents=True)
    (tmp_path / "wandb/latest-run").symlink_to("offline-run-20260101_120000-x1y2z3")
    assert find(str(tmp_path), {}, 1e9) == (Tracker("wandb", "x1y2z3"),)


def test_variables_name_runs_and_where_they_are() -> None:
    variables = {
        "MLFLOW_RUN_ID": "f" * 32,
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000/",
        "MLFLOW_EXPERIMENT_ID": "3",
        "WANDB_RUN_ID": "abc",
        "WANDB_ENTITY": "team",
        "WANDB_PROJECT": "digits",
        "SLURM_JOB_ID": "77",
    }
    assert find("/none", variables) == (
        Tracker("mlflow", "f" * 32, f"http://127.0.0.1:5000/#/experiments/3/runs/{'f' * 32}"),
        Tracker("wandb", "abc", "https://wandb.ai/team/digits/runs/abc"),
        Tracker("slurm", "77"),
    )
