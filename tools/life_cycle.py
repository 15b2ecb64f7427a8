"""The second part of the quickstart: from data and experiments to a release, what serves, and the way back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from tools.tour import ROOT, WEIGHTS, Tour, TourError

FIRST_ROWS = 1200
"""Of the training data, in its version v1; v1.1 has all."""
ENOUGH = 0.85
"""The test accuracy below which a model of this story is a mistake."""
TRAIN = "python train.py --params params.toml --history metrics.jsonl"


def experiments(tour: Tour) -> None:
    """Two trainings on branches that differ in one parameter, compared."""
    tour.step("The data gets a name, and what a training needs and gives is written down once")
    tour.run("git switch -q main && cat hundredweight.toml", "digits")
    tour.run(
        "sed -i 's/^# *version = .*/version = \"v1\"/' hundredweight.toml && git commit -qam 'Name the data v1'",
        "digits",
    )
    tour.run("cwt data status", "digits")
    tour.step(
        "Two experiments on branches: each is a commit with its parameters, metrics, data, environment and weights"
    )
    options = "--name digits --set lr=0.02,0.1 --set shift=1 --branch exp/digits --jobs 2"
    tour.run(f"cwt exp run {options} -- {TRAIN} 2>/dev/null", "digits", name="two experiments")
    tour.run("git log -1 --format=%B exp/digits-lr=0.1", "digits")
    tour.run("cwt exp list", "digits", name="exp list")
    tour.run("cwt exp compare digits-lr=0.02 digits-lr=0.1", "digits")
    tour.run("cwt exp plot digits-lr=0.02 digits-lr=0.1 -o curves.svg", "digits")
    found = tour.folder / "digits" / "curves.svg"
    if "<svg" not in found.read_text():
        raise TourError("there is no plot")
    found.unlink()


def release_and_deploy(tour: Tour, hub: str) -> str:
    """The better one becomes a release, is assigned to prod and serves; gives the URL of the service."""
    tour.step("The better one becomes a release: a tag that says what is behind it")
    tour.run("git merge -q --ff-only exp/digits-lr=0.1", "digits")
    tour.run(
        "cwt release create --bump major --from digits-lr=0.1 -m 'Reads moved digits'", "digits", name="release create"
    )
    tour.run("git push -q origin main --follow-tags && cwt exp push origin", "digits", name="push release")
    tour.run("cwt release show digits@v1.0.0", "digits")
    tour.run("cwt release assign digits@v1.0.0 prod --push", "digits")
    tour.step("Deploy what is assigned to prod: fetched, verified, switched to, started, asked for its health")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    service = f"python app.py --weights {WEIGHTS} --port {port}"
    tour.run(
        f"cwt deploy {hub}/team/digits.git#prod --to live --run '{service}' --health {url}/healthz",
        name="deploy v1.0.0",
    )
    serves(tour, url, "digits@v1.0.0")
    return url


def mistake_and_back(tour: Tour, hub: str, url: str) -> None:
    """New data, a hasty training, its release; it goes live, is rolled back by hand, then by its health check."""
    tour.step("More data is labelled: version v1.1")
    shutil.copy(ROOT / "examples/digits/data/train.csv", tour.folder / "digits" / "data" / "train.csv")
    tour.run("sed -i 's/^version = .*/version = \"v1.1\"/' hundredweight.toml", "digits")
    tour.run("cwt data diff", "digits")
    tour.run("git commit -qam 'Data v1.1'", "digits")
    tour.step("A hasty training is released by mistake")
    tour.run(
        f"cwt exp run --name hasty --jobs 1 --set epochs=1 --set lr=0.01 --branch exp/hasty -- {TRAIN} 2>/dev/null",
        "digits",
    )
    tour.run("git merge -q --ff-only exp/hasty && cwt release create --from hasty -m 'On more data'", "digits")
    tour.run("cwt release diff digits@v1.0.0 digits@v1.1.0", "digits")
    tour.run("git push -q origin main --follow-tags && cwt release assign digits@v1.1.0 prod --push", "digits")
    tour.count("deploy v1.1.0", f"cwt deploy {hub}/team/digits.git#prod --to live")
    serves(tour, url, "digits@v1.1.0")
    tour.step("Users complain; back to the version before, with one command and nothing downloaded")
    tour.run("cwt rollback --to live --why 'misreads every fifth digit'", name="roll back")
    serves(tour, url, "digits@v1.0.0")
    tour.step("A health check that knows what a good model is goes back by itself")
    check = f"python evaluate.py {WEIGHTS} --at-least {ENOUGH}"
    tour.run(f"cwt deploy {hub}/team/digits.git@digits@v1.1.0 --to live --health '{check}' --health-timeout 5", code=5)
    serves(tour, url, "digits@v1.0.0")
    tour.run("cwt deployments --to live")
    tour.run("cwt release assign digits@v1.0.0 prod --push && cwt release history", "digits")


def gates(tour: Tour, hub: str) -> None:
    """Pointers instead of weights, and a version that nobody recommends, are found before they train or serve."""
    tour.step("In Git too: the weights of the release are those of main again, as a new commit")
    tour.run(f"cwt restore digits@v1.0.0 -- {WEIGHTS}", "digits")
    tour.run("sed -i 's/^# *recommended = .*/recommended = \"digits@v1.0.0\"/' hundredweight.toml", "digits")
    tour.run("git commit -qam 'Recommend digits@v1.0.0' && git push -q origin main", "digits")
    tour.step("The gate: weights that are pointers, and the wrong version, are found")
    tour.run(f"GIT_LFS_SKIP_SMUDGE=1 git clone -q {hub}/team/digits.git runner")
    found = tour.run("cwt verify", "runner", code=1)
    if "is still a pointer" not in found:
        raise TourError("the gate let pointers pass")
    tour.run("cwt init > /dev/null && git lfs pull", "runner")
    tour.run("cwt verify --remote", "runner", name="verify")
    found = tour.run("git checkout -q digits@v1.1.0 && cwt verify --against prod", "runner", code=1)
    if "digits@v1.1.0" not in found:
        raise TourError("the gate let a wrong version pass")
    tour.step("The same in CI, and a report for reviewers")
    tour.run("git switch -q main && cwt ci init github", "runner")
    tour.run("cwt ci report --against digits@v1.1.0", "runner")


def serves(tour: Tour, url: str, release: str) -> None:
    """Ask the service which weights it has, and compare with what the tag's commit says."""
    commit = f"git -C digits cat-file -p {release}:{WEIGHTS}"
    pointer = subprocess.run(
        commit, shell=True, cwd=tour.folder, env=tour.env, capture_output=True, text=True, check=True
    ).stdout
    print(f"$ curl {url}/version", flush=True)
    with urllib.request.urlopen(f"{url}/version", timeout=10) as response:
        answer = json.load(response)
    print(f"    {json.dumps(answer)}    <- {release}", flush=True)
    if f"sha256:{answer['sha256']}" not in pointer:
        raise TourError(f"the service has other weights than {release}")
    tour.served.append(answer["sha256"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def keep_rows(path: Path, rows: int) -> None:
    """Leave the heading and so many rows."""
    path.write_text("".join(path.read_text().splitlines(keepends=True)[: rows + 1]))


def end_service(tour: Tour) -> None:
    """The service outlives the command that started it, as it should; the tour is over."""
    told = tour.folder / "live" / "service.json"
    if not told.exists():
        return
    known = json.loads(told.read_text())
    print(f"$ kill -- -{known['pid']}    # the service, a session of its own", flush=True)
    os.killpg(int(known["pid"]), signal.SIGTERM)


def tell(tour: Tour, stack: ExitStack) -> None:
    """The whole story; what it starts ends with `stack`."""
    experiments(tour)
    stack.callback(end_service, tour)
    url = release_and_deploy(tour, tour.hub)
    mistake_and_back(tour, tour.hub, url)
    gates(tour, tour.hub)
