"""Killed at any moment, client or hub: nothing wrong under its final name, and the repeated command completes."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Home, HubProcess, damaged, kill_session, write_weights

FEW = 10
MANY = 100
ROUNDS = [
    pytest.param(FEW, id="few"),
    pytest.param(MANY, id="many", marks=[pytest.mark.full, pytest.mark.timeout(3000)]),
]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path)
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def home(tmp_path: Path, hub: HubProcess) -> Home:
    return Home(tmp_path / "home", hub)


@pytest.fixture
def repository(tmp_path: Path, hub: HubProcess, home: Home) -> Path:
    """A pushed repository with weights."""
    folder = tmp_path / "repository"
    folder.mkdir()
    home.run("git", "init", "-q", cwd=folder)
    home.run("git", "lfs", "track", "*.safetensors", cwd=folder)
    home.run("git", "remote", "add", "origin", f"{hub.url}/team/weights.git", cwd=folder)
    commit_version(home, folder, 0)
    home.run("git", "push", "-q", "origin", "main", cwd=folder)
    return folder


def commit_version(home: Home, repository: Path, seed: int) -> None:
    write_weights(repository, seed)
    home.run("git", "add", ".", cwd=repository)
    home.run("git", "commit", "-q", "-m", f"version {seed}", cwd=repository)


def assert_sound(home: Home, repository: Path, hub: HubProcess) -> None:
    assert hub.damaged_objects() == []
    assert damaged(repository / ".git" / "lfs" / "objects") == []
    home.run("git", "lfs", "fsck", cwd=repository)


def seconds_of(home: Home, *command: str, cwd: Path) -> float:
    begin = time.monotonic()
    home.run(*command, cwd=cwd)
    return time.monotonic() - begin


@pytest.mark.parametrize("rounds", ROUNDS)
def test_push_killed_at_random_moments(rounds: int, hub: HubProcess, home: Home, repository: Path) -> None:
    commit_version(home, repository, 1)
    whole = seconds_of(home, "git", "push", "-q", "origin", "main", cwd=repository)
    dice = random.Random(11)
    for number in range(rounds):
        commit_version(home, repository, 2 + number)
        push = home.start("git", "push", "-q", "origin", "main", cwd=repository)
        time.sleep(dice.uniform(0, whole))
        kill_session(push)
        assert hub.damaged_objects() == []
        home.run("git", "push", "-q", "origin", "main", cwd=repository)
    assert_sound(home, repository, hub)
    assert_clone_is_whole(home, repository, hub)


def assert_clone_is_whole(home: Home, repository: Path, hub: HubProcess) -> None:
    clone = repository.parent / "final clone"
    home.run("cwt", "clone", "-q", f"{hub.url}/team/weights.git", str(clone), cwd=repository.parent)
    for path in repository.glob("*.safetensors"):
        assert (clone / path.name).read_bytes() == path.read_bytes()
    assert home.run("git", "status", "--porcelain", cwd=clone).stdout == ""
    shutil.rmtree(clone)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_pull_killed_at_random_moments(rounds: int, hub: HubProcess, home: Home, repository: Path) -> None:
    """Only the client is killed: git's own programs that it started come to their own end and drop git's own locks."""
    clone = repository.parent / "clone"
    url = f"{hub.url}/team/weights.git"
    home.run("git", "clone", "-q", url, str(clone), cwd=repository.parent, GIT_LFS_SKIP_SMUDGE="1")
    whole = seconds_of(home, "git", "lfs", "pull", cwd=clone)
    dice = random.Random(12)
    for _ in range(rounds):
        shutil.rmtree(clone)
        home.run("git", "clone", "-q", url, str(clone), cwd=repository.parent, GIT_LFS_SKIP_SMUDGE="1")
        pull = home.start("git-lfs", "pull", cwd=clone)
        time.sleep(dice.uniform(0, whole))
        pull.kill()
        pull.wait()
        assert damaged(clone / ".git" / "lfs" / "objects") == []
        wait_for_index_lock(clone)
        home.run("git", "lfs", "pull", cwd=clone)
        for path in repository.glob("*.safetensors"):
            assert (clone / path.name).read_bytes() == path.read_bytes()
        assert home.run("git", "status", "--porcelain", cwd=clone).stdout == ""
    assert_sound(home, clone, hub)


def wait_for_index_lock(clone: Path) -> None:
    """Until the git that the killed client started has ended."""
    end = time.monotonic() + 10
    while (clone / ".git" / "index.lock").exists():
        assert time.monotonic() < end, "git's index lock was left behind"
        time.sleep(0.02)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_hub_killed_at_random_moments_under_load(rounds: int, hub: HubProcess, home: Home, repository: Path) -> None:
    commit_version(home, repository, 1)
    whole = seconds_of(home, "git", "push", "-q", "origin", "main", cwd=repository)
    clone = repository.parent / "clone"
    dice = random.Random(13)
    for number in range(rounds):
        commit_version(home, repository, 2 + number)
        shutil.rmtree(clone, ignore_errors=True)
        load = [
            home.start("git", "push", "-q", "origin", "main", cwd=repository),
            home.start("cwt", "clone", "-q", f"{hub.url}/team/weights.git", str(clone), cwd=repository.parent),
        ]
        time.sleep(dice.uniform(0, whole))
        hub.kill()
        restart = threading.Timer(0.1, hub.start)
        restart.start()
        restart.join()
        for process in load:
            process.wait(60)
        assert hub.damaged_objects() == []
        home.run("git", "push", "-q", "origin", "main", cwd=repository)
    assert_sound(home, repository, hub)
    assert_clone_is_whole(home, repository, hub)
    home.run("git", "fsck", "--strict", cwd=hub.data / "repositories" / "team" / "weights.git")
