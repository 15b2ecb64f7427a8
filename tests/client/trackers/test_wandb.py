"""Weights & Biases in offline mode, the real one: its runs become experiments."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from hundredweight.client.trackers import wandb
from hundredweight.client.trackers.mlflow import NoRuns
from hundredweight.client.trackers.runs import Run, bring_in, flatten
from hundredweight.lineage.record import Status
from tests.clones import Clone
from tests.peers import lifecycle

pytestmark = pytest.mark.peer

TRAINING = """
import sys
import wandb

run = wandb.init(project="digits", entity="team", name=sys.argv[1], config={"lr": 3e-5, "opt": {"name": "adamw"},
"layers": [1, 2], "seed": 7})
for step in range(120):
    run.log({"loss": 1 / (step + 1), "val": {"acc": step / 120}, "note": "x" * 900})
run.summary["best"] = 0.9
run.finish(exit_code=int(sys.argv[2]))
"""


def train(folder: Path, name: str, code: int = 0) -> None:
    env = {**os.environ, "HOME": str(folder), "WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_SILENT": "true"}
    done = subprocess.run(
        [lifecycle("python"), "-c", TRAINING, name, str(code)],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `wandb` with a run that went well and one that failed."""
    made = tmp_path_factory.mktemp("training")
    train(made, "good")
    train(made, "bad", 3)
    return made / "wandb"


def test_runs_are_read_with_all_they_logged(folder: Path) -> None:
    runs = {run.name: run for run in wandb.read_folder(str(folder))}
    assert set(runs) == {"good", "bad"}
    good = runs["good"]
    assert good.parameters == {"lr": 3e-05, "opt.name": "adamw", "layers": "1, 2", "seed": 7}
    assert good.metrics == {
        "loss": pytest.approx(1 / 120),
        "val.acc": pytest.approx(119 / 120),
        "note": "x" * 900,
        "best": 0.9,
    }
    assert len(good.points) == 120
    assert good.points[1] == {"step": 1, "loss": 0.5, "val.acc": pytest.approx(1 / 120), "note": "x" * 900}
    assert (good.status, runs["bad"].status, runs["bad"].exit_code) == (Status.DONE, Status.FAILED, 3)
    assert good.url == f"https://wandb.ai/team/digits/runs/{good.id}"
    assert good.python.startswith("3.")
    assert good.started > 1_700_000_000
    assert good.ended >= good.started


def test_they_are_recorded_once(folder: Path, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.write("train.py", b"pass\n")
    clone.commit()
    first = list(bring_in(clone.workspace(), wandb.read_folder(str(folder))))
    assert [imported.already for imported in first] == [False, False]
    again = list(bring_in(clone.workspace(), wandb.read_folder(str(folder / "latest-run"))))
    assert [(imported.already, imported.id) for imported in again] == [(True, first[-1].id)]


def test_a_killed_run_is_read_as_far_as_it_is_whole(folder: Path) -> None:
    (path, *_) = sorted(folder.glob("offline-run-*/*.wandb"))
    content = path.read_bytes()
    assert len(content) > 3 * (32 << 10)
    seen = 0
    for size in range(0, len(content), len(content) // 12):
        run = wandb.read_file(io.BytesIO(content[:size]), "x")
        if run is not None:
            assert run.status is Status.KILLED
            assert len(run.points) >= seen
            seen = len(run.points)
            assert run.parameters["lr"] == 3e-05
    assert seen > 80
    for place in range(7, len(content), len(content) // 12):
        wandb.read_file(io.BytesIO(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]), "x")


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRuns):
        list(wandb.read_folder(str(tmp_path)))
    with pytest.raises(NoRuns):
        list(wandb.read_folder(str(tmp_path / "nothing")))


def test_an_id_is_the_same_whenever_a_run_is_read() -> None:
    one, other = Run("wandb", "abc", started=1_790_000_000), Run("wandb", "abd", started=1_790_000_000)
    assert one.experiment == Run("wandb", "abc", started=1_790_000_000, name="else").experiment
    assert one.experiment != other.experiment
    assert flatten({"a": {"b": 1, "c": [1, "x"]}, "d": None, "e": float("nan")}) == {
        "a.b": 1,
        "a.c": "1, x",
        "e": "nan",
    }
