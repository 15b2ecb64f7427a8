"""`cwt ci report`: what a branch changes, told from pointers, records and recipes alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.people import Person
from tests.running_hub import RunningHub

SETTINGS = """[model]
name = "digits"
weights = ["*.safetensors"]
[data]
paths = ["data"]
[experiment]
parameters = ["params.toml"]
metrics = ["metrics.json"]
environment = "requirements.txt"
[release]
minimum = { accuracy = 0.9, recall = 0.5 }
maximum = { loss = 0.5 }
"""


class Team:
    """Ada has `main` and a branch `tune` with another model on the hub; the gate has a clone without weights."""

    def __init__(self, folder: Path, hub: RunningHub) -> None:
        self.ada = hub.person(folder / "ada", "ada")
        self.url = hub.remote(hub.new_name())
        self.work = folder / "ada" / "work"
        self.run(f"git init -q {self.work}", folder)
        self.run("cwt init")
        (self.work / "hundredweight.toml").write_text(SETTINGS)
        (self.work / "data").mkdir()
        self.version(1, accuracy=0.95, lr=0.1, rows=3, numpy="2.0.0")
        self.run(f"git remote add origin {self.url} && git push -q -u origin main && git switch -q -c tune")
        self.version(2, accuracy=0.85, lr=0.02, rows=4, numpy="2.1.0")
        self.run("git push -q origin tune")
        self.gate = folder / "gate"
        self.run(f"GIT_LFS_SKIP_SMUDGE=1 git clone -q {self.url} {self.gate}", folder)

    def version(self, seed: int, *, accuracy: float, lr: float, rows: int, numpy: str) -> None:
        fixed, moved = (np.random.default_rng(key).standard_normal((256, 256), dtype=np.float32) for key in (0, seed))
        save_file({"fixed": fixed, "moved": moved}, self.work / "model.safetensors")
        (self.work / "data" / "train.csv").write_text("x,y\n" + "1,2\n" * rows)
        (self.work / "params.toml").write_text(f"lr = {lr}\nepochs = 3\n")
        (self.work / "metrics.json").write_text(json.dumps({"accuracy": accuracy, "loss": 0.4}))
        (self.work / "requirements.txt").write_text(f"numpy=={numpy}\n")
        self.run(f"git add . && git commit -qm 'Version {seed}'")

    def run(self, command: str, where: Path | None = None) -> str:
        done = subprocess.run(
            command, shell=True, cwd=where or self.work, env=self.ada.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, hub: RunningHub) -> Team:
    return Team(tmp_path_factory.mktemp("report"), hub)


def test_a_reviewer_reads_what_the_branch_changes(team: Team) -> None:
    text = team.run("cwt ci report --against origin/main origin/tune", team.gate)
    assert text.startswith("## Model report: `origin/tune` (")
    assert "- **`accuracy` is 0.85, at least 0.9**\n" in text
    assert "- **`recall` is none, at least 0.5**\n" in text
    assert "- different: metrics, parameters, data, environment, weights\n" in text
    assert "| `accuracy` | 0.95 | 0.85 | -0.1 | ✗ at least 0.9 |\n" in text
    assert "| `loss` | 0.4 | 0.4 |  | ✓ at most 0.5 |\n" in text
    assert "| `lr` | 0.1 | 0.02 |\n" in text
    assert "| `numpy` |" in text
    assert "| `data` |" in text
    assert "epochs" not in text
    assert "| `model.safetensors` | 524 KB | 524 KB | 1 changed, 1 unchanged |\n" in text


def test_nothing_was_downloaded_for_it(team: Team) -> None:
    team.run("cwt ci report --against origin/main origin/tune", team.gate)
    objects = list((team.gate / ".git" / "lfs").rglob("objects/*/*/*"))
    assert not [path for path in objects if path.is_file()]


def test_machines_read_the_same(team: Team) -> None:
    found = json.loads(team.run("cwt ci report --json --against origin/main origin/tune", team.gate))
    assert not found["kept"]
    assert found["models"][0]["tensors"] == {"changed": 1, "unchanged": 1}
    assert {row["key"]: (row["old"], row["new"]) for row in found["parameters"]} == {
        "lr": (0.1, 0.02),
        "epochs": (3, 3),
    }
    limits = {each["metric"]: each["kept"] for each in found["limits"]}
    assert limits == {"accuracy": False, "recall": False, "loss": True}


def test_gitlab_gets_figures_and_the_file_is_written(team: Team, tmp_path: Path) -> None:
    out, metrics = tmp_path / "report.md", tmp_path / "metrics.txt"
    said = team.run(f"cwt ci report --against main tune --out {out} --metrics {metrics}")
    assert said == ""
    assert out.read_text().startswith("## Model report: `tune` (")
    lines = metrics.read_text().splitlines()
    assert 'model_metric{name="accuracy"} 0.85' in lines
    assert any(line.startswith('model_bytes{path="model.safetensors"} 52') for line in lines)
    assert lines[-1] == "# EOF"


def test_a_branch_without_changes_says_so(team: Team) -> None:
    text = team.run("cwt ci report --against main main", team.work)
    assert "- nothing that is recorded differs\n" in text
    assert "### Weights" not in text


def test_an_unknown_revision_is_an_error(team: Team) -> None:
    ada: Person = team.ada
    done = subprocess.run(
        ["cwt", "ci", "report", "--against", "nowhere"],
        cwd=team.work,
        env=ada.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "error: 'nowhere' is no commit here\nhint: fetch it, or name another revision\n"
