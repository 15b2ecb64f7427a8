"""The workflow files of `cwt ci init`, executed step by step against a hub: gate, training pushed back, deployment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from hundredweight.client.ci.init import Host, plan_ci, write_ci
from tests.people import PROGRAMS, Person
from tests.running_hub import RunningHub
from tests.workflows import Checkout, GitHub, run_gitlab

TRAIN = """
import json, pathlib, tomllib
import numpy as np
from safetensors.numpy import load_file, save_file
lr = tomllib.loads(pathlib.Path("params.toml").read_text())["lr"]
before = load_file("model.safetensors") if pathlib.Path("model.safetensors").exists() else {}
start = before.get("layer", np.random.default_rng(1).standard_normal((256, 256), dtype=np.float32))
if lr > 1:
    raise SystemExit("diverged")
save_file({"layer": start + np.float32(lr)}, "model.safetensors")
pathlib.Path("metrics.json").write_text(json.dumps({"accuracy": 1 - lr}))
"""
SETTINGS = """[model]
name = "tiny"
weights = ["model.safetensors"]
[data]
paths = ["data"]
[experiment]
parameters = ["params.toml"]
metrics = ["metrics.json"]
command = "{python} train.py"
[release]
minimum = {{ accuracy = 0.5 }}
"""


class Team:
    """A repository on the hub with workflows, and Ada who works in it."""

    def __init__(self, folder: Path, hub: RunningHub, host: Host) -> None:
        self.folder = folder
        self.hub = hub
        self.ada: Person = hub.person(folder / "ada", "ada")
        self.url = hub.remote(hub.new_name())
        self.work = folder / "ada" / "work"
        self.run(f"git init -q {self.work}", folder)
        for name, text in (
            ("train.py", TRAIN), ("hundredweight.toml", SETTINGS.format(python=PROGRAMS / "python")),
            ("params.toml", "lr = 0.1\n"), ("README.md", "# tiny\n"), ("data/train.csv", "x,y\n1,2\n"),
        ):  # fmt: skip
            (self.work / name).parent.mkdir(exist_ok=True)
            (self.work / name).write_text(text)
        write_ci(str(self.work), plan_ci(str(self.work), host))
        self.run(f"cwt init && {PROGRAMS / 'python'} train.py && git add . && git commit -qm 'Start'")
        self.run(f"git remote add origin {self.url} && git push -q -u origin main")

    def run(self, command: str, where: Path | None = None) -> str:
        done = subprocess.run(
            command, shell=True, cwd=where or self.work, env=self.ada.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def branch(self, name: str, rate: str, *, train: bool) -> str:
        """Push a branch with another parameter, and maybe its weights; gives the commit."""
        self.run(f"git switch -q main && git switch -q -c {name} && echo 'lr = {rate}' > params.toml")
        if train:
            self.run(f"{PROGRAMS / 'python'} train.py")
        self.run(f"git commit -qam 'Use lr {rate}' && git push -q origin {name}")
        return self.run("git rev-parse HEAD")

    def checkout(self, name: str) -> Checkout:
        """A fresh runner: a home of its own, with credentials for the hub, as hosts give them."""
        runner = self.hub.person(self.folder / name, name)
        # 'pip install hundredweight' finds it installed already; nothing else may be installed.
        return Checkout(self.url, self.folder / name / "checkout", runner.env | {"PIP_NO_INDEX": "1"})

    def on_hub(self, ref: str) -> str:
        return self.run(f"git ls-remote origin {ref}").partition("\t")[0]


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory, hub: RunningHub) -> Team:
    return Team(tmp_path_factory.mktemp("github"), hub, Host.GITHUB)


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory, hub: RunningHub) -> Team:
    return Team(tmp_path_factory.mktemp("gitlab"), hub, Host.GITLAB)


def runner(team: Team, name: str, context: dict[str, str]) -> GitHub:
    cache = team.folder / f"{name}-cache"
    cache.mkdir(exist_ok=True)
    return GitHub(team.checkout(name), context, cache)


def gate_context(commit: str) -> dict[str, str]:
    """A pull request from a fork, so nothing is commented on."""
    mine = "github.event.pull_request.head.repo.full_name == github.repository"
    return {
        "github.base_ref": "main",
        "github.event.pull_request.head.sha": commit,
        "github.event.pull_request.number": "7",
        "github.ref": "refs/pull/7/merge",
        mine: "false",
    }


def workflow(team: Team, name: str) -> Path:
    return team.work / ".github" / "workflows" / f"model-{name}.yml"


def test_the_gate_of_github_reports_and_downloads_nothing(github: Team) -> None:
    commit = github.branch("better", "0.05", train=True)
    gate = runner(github, "gate", gate_context(commit))
    summary = gate.run(workflow(github, "gate"), "gate")
    assert summary.startswith("## Model report: ")
    assert "| `accuracy` | 0.9 | 0.95 | +0.05 | ✓ at least 0.5 |" in summary
    assert "1 changed" in summary
    assert not [path for path in (gate.checkout.folder / ".git" / "lfs").rglob("objects/*/*/*") if path.is_file()]


def test_the_gate_of_github_stops_a_branch_whose_weights_would_leave_lfs(github: Team) -> None:
    github.run("git switch -q main && git switch -q -c careless && git rm -q --cached .gitattributes")
    github.run("git commit -qm 'Tidy up' && git push -q origin careless")
    commit = github.run("git rev-parse HEAD")
    github.run("git switch -q -f main")
    gate = runner(github, "careless", gate_context(commit))
    gate.run(workflow(github, "gate"), "gate", fails=True)
    assert "::error file=" in gate.checkout.said
    assert ".gitattributes" in gate.checkout.said


def train_context(branch: str, commit: str) -> dict[str, str]:
    ours = "${{ !contains(github.event.head_commit.message, 'Experiment:') }}"
    return {
        "github.ref_name": branch,
        "github.ref": f"refs/heads/{branch}",
        ours: "true",
        "${{ !cancelled() }}": "always",
    }


def test_github_trains_a_pushed_branch_and_pushes_the_result(github: Team) -> None:
    commit = github.branch("exp/low", "0.01", train=False)
    job = runner(github, "train", train_context("exp/low", commit))
    job.checkout.env |= {"GITHUB_SHA": commit, "GITHUB_ACTOR": "robot"}
    summary = job.run(workflow(github, "train"), "train")
    assert "| `accuracy` | 0.9 | 0.99 |" in summary
    github.run("git fetch -q origin")
    result = github.on_hub("refs/heads/exp/low")
    assert github.run(f"git rev-parse {result}^") == commit
    assert "Experiment: " in github.run(f"git log -1 --format=%B {result}")
    listed = github.run("cwt exp pull origin >&2 && cwt exp list --json")
    assert [(each["name"], each["parameters"]["lr"]) for each in json.loads(listed)] == [("low", 0.01)]
    # Others get the weights that were trained there.
    clone = github.folder / "ada" / "reader"
    github.run(f"cwt clone -q --branch exp/low {github.url} {clone}", github.folder)
    assert (clone / "model.safetensors").stat().st_size > 256 * 256 * 4


def test_a_training_that_fails_on_github_is_recorded_and_moves_no_branch(github: Team) -> None:
    commit = github.branch("exp/wild", "5.0", train=False)
    job = runner(github, "wild", train_context("exp/wild", commit))
    job.checkout.env |= {"GITHUB_SHA": commit, "GITHUB_ACTOR": "robot"}
    job.run(workflow(github, "train"), "train", fails=True)
    assert github.on_hub("refs/heads/exp/wild") == commit
    listed = json.loads(github.run("cwt exp pull origin >&2 && cwt exp list --json --where name=wild"))
    assert [(each["status"], each["exit_code"]) for each in listed] == [("failed", 1)]


def test_github_deploys_what_is_assigned_to_prod(github: Team) -> None:
    github.run(
        "git switch -q main && cwt release create -m 'First' --push && cwt release assign tiny@latest prod --push"
    )
    tag = github.run("git tag --list 'tiny#prod#*'")
    target = github.folder / "live"
    variables = {
        "vars.DEPLOY_TO": str(target),
        "vars.DEPLOY_RUN": "",
        "vars.DEPLOY_HEALTH": "test -s model.safetensors",
    }
    job = runner(github, "deploy", {"github.ref_name": tag, **variables})
    summary = job.run(workflow(github, "deploy"), "deploy")
    assert "tiny@v" in summary
    served = (target / "current" / "model.safetensors").read_bytes()
    assert served == (github.work / "model.safetensors").read_bytes()
    assert not os.path.lexists(target / "current" / ".git")


def predefined(team: Team, commit: str, **more: str) -> dict[str, str]:
    return {
        "CI_COMMIT_SHA": commit,
        "CI_PROJECT_URL": team.url.removesuffix(".git"),
        "GITLAB_USER_NAME": "robot",
        **more,
    }


def files(team: Team) -> list[Path]:
    return [team.work / ".gitlab" / "hundredweight.yml"]


def test_the_jobs_of_gitlab_gate_train_and_deploy(gitlab: Team) -> None:
    commit = gitlab.branch("better", "0.05", train=True)
    gate = gitlab.checkout("gate")
    run_gitlab(
        gate, files(gitlab), "model-gate", predefined(gitlab, commit, CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main")
    )
    assert "| `accuracy` | 0.9 | 0.95 | +0.05 | ✓ at least 0.5 |" in (gate.folder / "model-report.md").read_text()
    assert 'model_metric{name="accuracy"} 0.95' in (gate.folder / "model-metrics.txt").read_text()

    commit = gitlab.branch("exp/low", "0.01", train=False)
    train = predefined(gitlab, commit, CI_COMMIT_BRANCH="exp/low", CI_COMMIT_REF_SLUG="exp-low")
    run_gitlab(gitlab.checkout("train"), files(gitlab), "model-train", train)
    result = gitlab.on_hub("refs/heads/exp/low")
    gitlab.run("git fetch -q origin")
    assert gitlab.run(f"git rev-parse {result}^") == commit

    gitlab.run(
        "git switch -q main && cwt release create -m 'First' --push && cwt release assign tiny@latest prod --push"
    )
    tag = gitlab.run("git tag --list 'tiny#prod#*'")
    target = gitlab.folder / "live"
    deploy = predefined(gitlab, gitlab.run("git rev-parse main"), CI_COMMIT_TAG=tag, DEPLOY_TO=str(target))
    run_gitlab(gitlab.checkout("deploy"), files(gitlab), "model-deploy", deploy)
    assert (target / "current" / "model.safetensors").read_bytes() == (gitlab.work / "model.safetensors").read_bytes()


def test_a_failed_training_on_gitlab_is_recorded_and_moves_no_branch(gitlab: Team) -> None:
    commit = gitlab.branch("exp/wild", "5.0", train=False)
    train = predefined(gitlab, commit, CI_COMMIT_BRANCH="exp/wild", CI_COMMIT_REF_SLUG="exp-wild")
    job = gitlab.checkout("wild")
    run_gitlab(job, files(gitlab), "model-train", train, fails=True)
    assert gitlab.on_hub("refs/heads/exp/wild") == commit
    listed = json.loads(gitlab.run("cwt exp pull origin >&2 && cwt exp list --json --where name=wild"))
    assert [each["status"] for each in listed] == ["failed"]
