"""Killed at any moment, client or hub: nothing wrong under its final name, and the repeated command completes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.damage import damaged
from tests.people import Person
from tests.running_hub import RunningHub

FEW = 10
MANY = 100
ROUNDS = [
    pytest.param(FEW, id="few"),
    pytest.param(MANY, id="many", marks=[pytest.mark.full, pytest.mark.timeout(3000)]),
]
NAME = "team/weights"


@pytest.fixture
def own_hub(tmp_path: Path) -> Iterator[RunningHub]:
    """With parts so small that each of the files comes in several."""
    running = RunningHub(tmp_path, "--part-size", "256K").start()
    yield running
    running.stop()


@pytest.fixture
def person(tmp_path: Path, own_hub: RunningHub) -> Person:
    person = own_hub.person(tmp_path / "ada", "ada")
    person.run("git", "lfs", "install", "--skip-repo")
    return person


@pytest.fixture
def repository(own_hub: RunningHub, person: Person) -> Path:
    """A pushed repository with weights."""
    folder = person.repository("repository")
    person.run("git", "lfs", "track", "*.safetensors", cwd=folder)
    person.git("remote", "add", "origin", own_hub.remote(NAME), cwd=folder)
    commit_version(person, folder, 0)
    person.git("push", "-q", "origin", "main", cwd=folder)
    return folder


def write_weights(repository: Path, seed: int, files: int = 4, size: int = 1 << 21) -> None:
    """Files of random bytes that no earlier seed has."""
    source = random.Random(seed)
    for number in range(files):
        (repository / f"layer {number}.safetensors").write_bytes(source.randbytes(size))


def start(person: Person, *command: str, cwd: Path) -> subprocess.Popen[bytes]:
    """A command in a session of its own, so that all of it can be killed at once."""
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        command, cwd=cwd, env=person.env, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    )


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a started command with everything it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def kill_hub(hub: RunningHub) -> None:
    """SIGKILL: no chance to clean up."""
    assert hub.process is not None
    hub.process.kill()
    hub.stop()


def commit_version(person: Person, repository: Path, seed: int) -> None:
    write_weights(repository, seed)
    person.run("git", "add", ".", cwd=repository)
    person.run("git", "commit", "-q", "-m", f"version {seed}", cwd=repository)


def assert_sound(person: Person, repository: Path, own_hub: RunningHub) -> None:
    assert damaged(own_hub.data / "objects") == []
    assert damaged(repository / ".git" / "lfs" / "objects") == []
    person.run("git", "lfs", "fsck", cwd=repository)


def seconds_of(person: Person, *command: str, cwd: Path) -> float:
    begin = time.monotonic()
    person.run(*command, cwd=cwd)
    return time.monotonic() - begin


@pytest.mark.parametrize("rounds", ROUNDS)
def test_push_killed_at_random_moments(rounds: int, own_hub: RunningHub, person: Person, repository: Path) -> None:
    commit_version(person, repository, 1)
    whole = seconds_of(person, "git", "push", "-q", "origin", "main", cwd=repository)
    dice = random.Random(11)
    for number in range(rounds):
        commit_version(person, repository, 2 + number)
        push = start(person, "git", "push", "-q", "origin", "main", cwd=repository)
        time.sleep(dice.uniform(0, whole))
        kill_session(push)
        assert damaged(own_hub.data / "objects") == []
        person.run("git", "push", "-q", "origin", "main", cwd=repository)
    assert_sound(person, repository, own_hub)
    assert_clone_is_whole(person, repository, own_hub)


def assert_clone_is_whole(person: Person, repository: Path, own_hub: RunningHub) -> None:
    clone = repository.parent / "final clone"
    person.run("cwt", "clone", "-q", own_hub.remote(NAME), str(clone), cwd=repository.parent)
    for path in repository.glob("*.safetensors"):
        assert (clone / path.name).read_bytes() == path.read_bytes()
    assert person.run("git", "status", "--porcelain", cwd=clone).stdout == ""
    shutil.rmtree(clone)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_pull_killed_at_random_moments(rounds: int, own_hub: RunningHub, person: Person, repository: Path) -> None:
    """Only the client is killed: git's own programs that it started come to their own end and drop git's own locks."""
    clone = repository.parent / "clone"
    url = own_hub.remote(NAME)
    person.run("git", "clone", "-q", url, str(clone), cwd=repository.parent, GIT_LFS_SKIP_SMUDGE="1")
    whole = seconds_of(person, "git", "lfs", "pull", cwd=clone)
    dice = random.Random(12)
    for _ in range(rounds):
        shutil.rmtree(clone)
        person.run("git", "clone", "-q", url, str(clone), cwd=repository.parent, GIT_LFS_SKIP_SMUDGE="1")
        pull = start(person, "git-lfs", "pull", cwd=clone)
        time.sleep(dice.uniform(0, whole))
        pull.kill()
        pull.wait()
        assert damaged(clone / ".git" / "lfs" / "objects") == []
        wait_for_index_lock(clone)
        person.run("git", "lfs", "pull", cwd=clone)
        for path in repository.glob("*.safetensors"):
            assert (clone / path.name).read_bytes() == path.read_bytes()
        assert person.run("git", "status", "--porcelain", cwd=clone).stdout == ""
    assert_sound(person, clone, own_hub)


def wait_for_index_lock(clone: Path) -> None:
    """Until the git that the killed client started has ended."""
    end = time.monotonic() + 10
    while (clone / ".git" / "index.lock").exists():
        assert time.monotonic() < end, "git's index lock was left behind"
        time.sleep(0.02)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_hub_killed_at_random_moments_under_load(
    rounds: int, own_hub: RunningHub, person: Person, repository: Path
) -> None:
    commit_version(person, repository, 1)
    whole = seconds_of(person, "git", "push", "-q", "origin", "main", cwd=repository)
    clone = repository.parent / "clone"
    dice = random.Random(13)
    for number in range(rounds):
        commit_version(person, repository, 2 + number)
        shutil.rmtree(clone, ignore_errors=True)
        load = [
            start(person, "git", "push", "-q", "origin", "main", cwd=repository),
            start(person, "cwt", "clone", "-q", own_hub.remote(NAME), str(clone), cwd=repository.parent),
        ]
        time.sleep(dice.uniform(0, whole))
        kill_hub(own_hub)
        own_hub.start()
        for process in load:
            process.wait(60)
        assert damaged(own_hub.data / "objects") == []
        person.run("git", "push", "-q", "origin", "main", cwd=repository)
    assert_sound(person, repository, own_hub)
    assert_clone_is_whole(person, repository, own_hub)
    person.run("git", "fsck", "--strict", cwd=own_hub.data / "repositories" / "team" / "weights.git")
