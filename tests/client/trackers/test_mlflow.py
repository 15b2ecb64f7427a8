"""MLflow, the real one: its server shows what is published, and its runs become experiments."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hundredweight.git.run import Git
from hundredweight.lineage import experiments
from hundredweight.lineage.record import Record, Status, Tracker, Weights, utc
from tests.peers import lifecycle
from tests.people import Person

pytestmark = pytest.mark.peer

IDS = tuple(f"20261123-10000{number}-{letter * 6}" for number, letter in enumerate("abc"))
TRAINING = """
import mlflow, sys
mlflow.set_experiment("theirs")
with mlflow.start_run(run_name="native") as run:
    mlflow.log_params({"lr": 3e-5, "opt": "adamw"})
    for step in range(4):
        mlflow.log_metric("train/loss", 1 / (step + 1), step=step)
    mlflow.log_metric("acc", 0.9)
    mlflow.set_tag("mlflow.source.git.commit", sys.argv[1])
print("RUN", run.info.run_id)
"""
READING = """
import json, mlflow
runs = mlflow.search_runs(experiment_names=["digits"], output_format="list")
client = mlflow.MlflowClient()
print(json.dumps({r.info.run_name: {
    "status": r.info.status, "seconds": (r.info.end_time - r.info.start_time) / 1000, "params": r.data.params,
    "metrics": r.data.metrics, "tags": r.data.tags,
    "loss": [[m.step, m.value] for m in client.get_metric_history(r.info.run_id, "loss")],
} for r in runs}))
"""


class Tracking:
    """A real `mlflow server` on loopback."""

    def __init__(self, folder: Path) -> None:
        self.program = lifecycle("mlflow")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.env = {**os.environ, "HOME": str(folder), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        store = (
            "--backend-store-uri",
            f"sqlite:///{folder}/runs.sqlite",
            "--artifacts-destination",
            str(folder / "artifacts"),
        )
        command = [str(self.program), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *store]
        self._log = (folder / "server.log").open("wb")
        self._process = subprocess.Popen(
            command, cwd=folder, env=self.env, stdout=self._log, stderr=self._log, start_new_session=True
        )
        self._wait(folder)

    def _wait(self, folder: Path) -> None:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=2).close()
                return
            except OSError:
                assert self._process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
        raise AssertionError((folder / "server.log").read_text())

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def python(self, code: str, *args: str, uri: str = "") -> str:
        """Run a program with MLflow's own client."""
        env = {**self.env, "MLFLOW_TRACKING_URI": uri or self.url, "MLFLOW_ALLOW_FILE_STORE": "true"}
        done = subprocess.run(
            [lifecycle("python"), "-c", code, *args], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    made = Tracking(tmp_path_factory.mktemp("mlflow"))
    yield made
    made.stop()


class Desk:
    def __init__(self, folder: Path) -> None:
        self.person = Person("ada", folder)
        self.folder = self.person.repository("digits")
        self.head = self.person.commit(self.folder, {"train.py": b"pass\n"})
        self.git = Git(str(self.folder), self.person.env)

    def exp(self, *args: str, check: bool = True, **variables: str) -> str:
        done = self.person.run("cwt", "exp", *args, cwd=self.folder, check=check, **variables)
        return done.stdout if check else done.stdout + done.stderr

    def listed(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(self.exp("list", "--json"))}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "ada")


def test_mlflow_shows_what_is_published(tracking: Tracking, desk: Desk) -> None:
    own = (
        tracking.python("import mlflow\nwith mlflow.start_run() as run: print('RUN', run.info.run_id)")
        .partition("RUN ")[2]
        .split()[0]
    )
    for number, identity in enumerate(IDS):
        path = f".cwt/experiments/{identity}/metrics.jsonl"
        made = Record(
            identity,
            name=f"try-{number}",
            status=Status.FAILED if number == 1 else Status.DONE,
            command=("python", "train.py"),
            started=utc(1_790_000_000 + number),
            seconds=12.5,
            parameters={"lr": 3e-05, "layers": number, "note": "a, b", **{f"p{n}": n for n in range(100)}},
            metrics={"loss": 0.25, "best": 0.2},
            curves=(path,),
            weights=(Weights("model.bin", "1" * 64, 5, "w1-abc"),),
            trackers=(Tracker("mlflow", own),) if number == 2 else (),
        )
        points = b"".join(b'{"step": %d, "loss": %f}\n' % (step, 1 / (step + 1)) for step in range(4))
        experiments.write(desk.git, desk.head, made, {path: points})
    lines = desk.exp("export", "--mlflow", tracking.url).splitlines()
    assert lines[-1] == "2 experiments published; 1 there already"
    assert f"was there: {IDS[2]} (try-2) as run {own}" in lines
    assert desk.exp("export", "--mlflow", tracking.url, "try-0").splitlines()[-1].startswith("0 experiments published")
    shown = json.loads(tracking.python(READING).splitlines()[-1])
    assert set(shown) == {"try-0", "try-1"}
    assert (shown["try-0"]["status"], shown["try-1"]["status"]) == ("FINISHED", "FAILED")
    one = shown["try-0"]
    assert one["seconds"] == 12.5
    assert (one["params"]["lr"], one["params"]["note"], len(one["params"])) == ("3e-5", "a, b", 103)
    assert one["metrics"] == {"loss": 0.25, "best": 0.2}
    assert one["loss"] == [[0, 1.0], [1, 0.5], [2, pytest.approx(1 / 3, abs=1e-5)], [3, 0.25]]
    assert one["tags"]["hundredweight.experiment"] == IDS[0]
    assert one["tags"]["hundredweight.weights"] == "model.bin:w1-abc"
    assert one["tags"]["mlflow.source.git.commit"] == desk.git.text("rev-parse", f"refs/experiments/{IDS[0]}")
    # What was published comes back as nothing new.
    before = desk.listed()
    said = desk.exp("import", "--mlflow", tracking.url, "--experiment", "digits")
    assert said == "0 runs imported; 2 known already\n"
    assert desk.listed() == before


@pytest.mark.parametrize("kind", ["server", "folder"])
def test_its_runs_become_experiments(tracking: Tracking, desk: Desk, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "mlruns"
    place = tracking.url if kind == "server" else str(folder)
    said = tracking.python(TRAINING, desk.head, uri=tracking.url if kind == "server" else f"file://{folder}")
    run = said.partition("RUN ")[2].split()[0]
    only = ("--experiment", "theirs") if kind == "server" else ()
    assert desk.exp("import", "--mlflow", place, *only).splitlines()[-1] == "1 run imported"
    row = desk.listed()["native"]
    assert row["parameters"] == {"lr": 3e-05, "opt": "adamw"}
    assert row["metrics"] == {"train/loss": 0.25, "acc": 0.9}
    assert (row["status"], row["runs"], row["code"]) == ("done", [f"mlflow:{run}"], desk.head)
    assert desk.git.text("rev-parse", f"{row['commit']}^") == desk.head
    assert "  train/loss  █▃▁▁  4 steps" in desk.exp("show", "native").splitlines()
    # Once is enough, wherever it is asked for.
    assert desk.exp("import", "--mlflow", place, *only) == "0 runs imported; 1 known already\n"


def test_what_goes_wrong_is_said(tracking: Tracking, desk: Desk, tmp_path: Path) -> None:
    said = desk.exp("import", "--mlflow", "http://127.0.0.1:9", check=False)
    assert said.startswith("error: 'http://127.0.0.1:9': ")
    assert "MLFLOW_TRACKING_TOKEN" in said
    assert "has no experiment 'nobody'" in desk.exp(
        "import", "--mlflow", tracking.url, "--experiment", "nobody", check=False
    )
    (tmp_path / "empty").mkdir()
    assert "there are no runs in" in desk.exp("import", "--mlflow", str(tmp_path / "empty"), check=False)
    assert "neither a server nor a folder" in desk.exp("import", "--mlflow", "sqlite:///x.db", check=False)
    assert "no tracker named" in desk.exp("import", check=False)
