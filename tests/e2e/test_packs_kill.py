"""Killed at any moment of packing, unpacking, pruning, or moving blocks, on either side: every version comes back."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hundredweight.base.ids import Oid
from hundredweight.hub.services import open_services
from hundredweight.hub.settings import load
from hundredweight.store.local import LocalStore
from hundredweight.store.pack import DEEPEST
from hundredweight.store.repack import check
from tests.damage import damaged
from tests.e2e.test_blocks import person as new_person
from tests.e2e.test_blocks import traffic
from tests.e2e.test_kill import kill_hub, kill_session, seconds_of, start, wait_for_index_lock
from tests.people import Person
from tests.running_hub import RunningHub
from tests.store.weights import arrays, fine_tuned, safetensors_of

NAME = "model.safetensors"
REPOSITORY = "team/model"
PUSH = ("git", "push", "-q", "origin", "main")
VERSIONS = 4
ROWS = 700
"""About 1 MiB a version."""


def rounds(few: int, many: int) -> pytest.MarkDecorator:
    """`few` in every run, `many` in a long one: of all kinds together 20 and 210."""
    long = [pytest.mark.full, pytest.mark.timeout(3000)]
    return pytest.mark.parametrize("rounds", [pytest.param(few, id="few"), pytest.param(many, id="many", marks=long)])


class Model:
    """Versions of one model without end, each a small step from the one before."""

    def __init__(self) -> None:
        self._now = arrays(1, ROWS)
        self._count = 0

    def next(self) -> bytes:
        self._now = fine_tuned(self._now, self._count, 1e-5)
        self._count += 1
        return safetensors_of(self._now)


class Story:
    """A repository with packs, and what each of its commits must give back."""

    def __init__(self, ada: Person) -> None:
        self.person = ada
        self.folder = ada.repository("work")
        self.dice = random.Random(17)
        self.model = Model()
        self.versions: dict[str, bytes] = {}
        ada.run("cwt", "init", cwd=self.folder)

    def commit(self, count: int = 1) -> None:
        for _ in range(count):
            data = self.model.next()
            self.versions[self.person.commit(self.folder, {NAME: data})] = data

    def run(self, *command: str) -> str:
        return self.person.run(*command, cwd=self.folder).stdout

    def kill(self, seconds: float, *command: str) -> None:
        """Run the command, and kill it with all that it started at a random moment within that time."""
        process = start(self.person, *command, cwd=self.folder)
        time.sleep(self.dice.uniform(0, seconds))
        kill_session(process)

    def assert_sound(self) -> None:
        """The store gives every version, none of its packs and objects is damaged, and one of the versions checks out."""
        self.assert_holds(list(self.versions.values()))
        self.check_out(self.dice.choice(list(self.versions)))
        self.check_out("main")

    def assert_holds(self, contents: list[bytes]) -> None:
        assert damaged(self.folder / ".git" / "lfs" / "objects") == []
        store = LocalStore(str(self.folder / ".git" / "lfs"))
        assert check(store.packs).faults == []
        for data in contents:
            oid = Oid(hashlib.sha256(data).hexdigest())
            assert b"".join(store.open_stream(oid)) == data
        store.close()

    def check_out(self, commit: str) -> None:
        self.run("git", "checkout", "-q", "-f", commit)
        data = self.versions.get(commit)
        assert data is None or (self.folder / NAME).read_bytes() == data

    def assert_ends_well(self) -> None:
        for commit in self.versions:
            self.check_out(commit)
        self.run("git", "checkout", "-q", "main")
        assert self.run("git", "status", "--porcelain") == ""
        assert self.run("git", "lfs", "fsck") == "Git LFS fsck OK\n"
        assert [path for path in (self.folder / ".git/lfs/packs").iterdir() if path.suffix != ".pack"] == [
            self.folder / ".git/lfs/packs/lock"
        ]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    ada = Person("ada", tmp_path / "ada")
    ada.run("git", "lfs", "install", "--skip-repo")
    return Story(ada)


@rounds(5, 35)
def test_pack_and_unpack_killed(rounds: int, story: Story) -> None:
    """Each round kills both."""
    story.commit(VERSIONS)
    packing = seconds_of(story.person, "cwt", "pack", cwd=story.folder)
    unpacking = seconds_of(story.person, "cwt", "unpack", cwd=story.folder)
    for number in range(rounds):
        story.kill(packing, "cwt", "pack")
        story.assert_sound()
        story.run("cwt", "pack")
        assert not loose(story)
        story.kill(unpacking, "cwt", "unpack", *(["--all"] if number % 2 else [NAME]))
        story.assert_sound()
        story.run("cwt", "unpack")
        assert len(loose(story)) == VERSIONS
    story.assert_ends_well()


def loose(story: Story) -> list[str]:
    return [path.name for path in (story.folder / ".git/lfs/objects").rglob("*") if path.is_file()]


@rounds(3, 33)
def test_prune_killed(rounds: int, story: Story, tmp_path: Path) -> None:
    """It deletes what is pushed out of packs, which rewrites them, and packs the rest."""
    remote = tmp_path / "remote.git"
    story.person.git("init", "-q", "--bare", str(remote))
    story.run("git", "remote", "add", "origin", f"file://{remote}")
    story.commit(VERSIONS - 1)
    story.run(*PUSH)
    story.commit()
    unpushed = list(story.versions.values())[-1]
    story.run("cwt", "pack")
    pruning = seconds_of(story.person, "git", "lfs", "prune", "--force", cwd=story.folder)
    for number in range(rounds):
        story.run("git", "lfs", "fetch", "--all")
        story.assert_holds(list(story.versions.values()))
        if number % 3:
            story.run("cwt", "pack")
        story.kill(pruning, "git", "lfs", "prune", "--force")
        story.assert_holds([unpushed])
        story.run("git", "lfs", "prune", "--force")
        story.assert_holds([unpushed])
        assert not loose(story)
    story.run("git", "lfs", "fetch", "--all")
    story.assert_ends_well()


@pytest.fixture
def own_hub(tmp_path: Path) -> Iterator[RunningHub]:
    """It packs when it is told to; parts are so small that an upload takes some."""
    running = RunningHub(tmp_path, "--part-size", "128K", "--pack", "false").start()
    yield running
    running.stop()


@pytest.fixture
def pushed(own_hub: RunningHub, tmp_path: Path) -> Story:
    """With a first version on the hub."""
    made = Story(new_person(own_hub, tmp_path, "ada"))
    made.run("git", "remote", "add", "origin", own_hub.remote(REPOSITORY))
    made.commit()
    made.run(*PUSH)
    return made


def assert_hub_is_sound(story: Story, hub: RunningHub) -> None:
    """Nothing that it has recorded is missing, and nothing is damaged."""
    done = story.person.run("cwt", "hub", "check", "--json", "--data", str(hub.data), check=False)
    *findings, end = [json.loads(line) for line in done.stdout.splitlines() if '"progress"' not in line]
    assert done.returncode == 0, (findings, end, hub.log[-2000:])
    assert damaged(hub.data / "objects") == []


def assert_clone_is_whole(story: Story, hub: RunningHub, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    story.person.run("cwt", "clone", "-q", hub.remote(REPOSITORY), str(clone))
    for commit, data in story.versions.items():
        story.person.run("git", "checkout", "-q", commit, cwd=clone)
        assert (clone / NAME).read_bytes() == data


@rounds(2, 23)
def test_push_by_blocks_killed(rounds: int, pushed: Story, own_hub: RunningHub, tmp_path: Path) -> None:
    push_and_kill(rounds, pushed, own_hub, lambda seconds: pushed.kill(seconds, *PUSH))
    assert_clone_is_whole(pushed, own_hub, tmp_path)


def push_and_kill(rounds: int, pushed: Story, hub: RunningHub, kill: Callable[[float], None]) -> None:
    """Each round commits a version and calls `kill`, told how long a whole push takes, to push it and kill one side."""
    pushed.commit()
    whole = seconds_of(pushed.person, *PUSH, cwd=pushed.folder)
    assert traffic(hub, "PUT", "/blocks/"), "nothing went as blocks"
    for _ in range(rounds):
        pushed.commit()
        kill(whole)
        pushed.assert_sound()
        assert_hub_is_sound(pushed, hub)
        pushed.run(*PUSH)
    assert_hub_is_sound(pushed, hub)
    pushed.run("cwt", "pack")
    pushed.assert_ends_well()


@rounds(2, 20)
def test_pull_by_blocks_killed(rounds: int, pushed: Story, own_hub: RunningHub, tmp_path: Path) -> None:
    """Into a clone that keeps what comes as packs. Only our own program is killed: git drops its locks itself."""
    clone = tmp_path / "clone"
    pushed.person.run("cwt", "clone", "-q", own_hub.remote(REPOSITORY), str(clone))
    here = in_clone(pushed, clone)
    whole = 0.0
    for number in range(rounds + 1):
        pushed.commit()
        pushed.run(*PUSH)
        pushed.person.run("git", "pull", "-q", cwd=clone, GIT_LFS_SKIP_SMUDGE="1")
        if number:
            pull = start(pushed.person, "git-lfs", "pull", cwd=clone)
            time.sleep(pushed.dice.uniform(whole / 4, whole))
            pull.kill()
            pull.wait()
            wait_for_index_lock(clone)
            here.assert_holds(list(pushed.versions.values())[:-1])
        whole = whole or seconds_of(pushed.person, "git", "lfs", "pull", cwd=clone)
        here.run("git", "lfs", "pull")
        assert (clone / NAME).read_bytes() == list(pushed.versions.values())[-1]
    assert traffic(own_hub, "POST", "/blocks/segments"), "nothing came as blocks"
    here.run("cwt", "pack")
    here.assert_ends_well()


def in_clone(story: Story, folder: Path) -> Story:
    """The same story in another clone."""
    made = copy.copy(story)
    made.folder = folder
    return made


@rounds(2, 33)
def test_hub_killed_while_blocks_come(rounds: int, pushed: Story, own_hub: RunningHub, tmp_path: Path) -> None:
    def kill(whole: float) -> None:
        push = start(pushed.person, *PUSH, cwd=pushed.folder)
        # What comes first is the client's own start.
        time.sleep(pushed.dice.uniform(whole / 4, whole))
        kill_hub(own_hub)
        own_hub.start()
        push.wait(60)

    push_and_kill(rounds, pushed, own_hub, kill)
    assert_clone_is_whole(pushed, own_hub, tmp_path)


@rounds(1, 31)
def test_background_packing_killed(rounds: int, pushed: Story, own_hub: RunningHub, tmp_path: Path) -> None:
    """What comes whole is packed later; the hub starts again after each kill."""
    pushed.run("git", "config", "hundredweight.packs", "false")
    whole = 0.0
    for number in range(rounds + 1):
        pushed.commit(2)
        pushed.run(*PUSH)
        packer = start_packing(own_hub)
        if number:
            time.sleep(pushed.dice.uniform(0, whole))
            packer.kill()
        begun = time.monotonic()
        packer.communicate(timeout=60)
        whole = whole or time.monotonic() - begun
        assert number or packer.returncode == 0
        own_hub.stop()
        own_hub.start()
        assert_hub_is_sound(pushed, own_hub)
        again = start_packing(own_hub)
        wrong = again.communicate(timeout=60)[1]
        assert again.returncode == 0, wrong
        assert_hub_is_sound(pushed, own_hub)
    loose_there = [path for path in (own_hub.data / "objects").rglob("*") if len(path.name) == 64]
    assert loose_there == []
    assert_clone_is_whole(pushed, own_hub, tmp_path)


@rounds(1, 20)
def test_shortening_killed(rounds: int, pushed: Story, own_hub: RunningHub, tmp_path: Path) -> None:
    """What fresh clones push, each upon the newest version that is all they have, is deep at first."""
    pushed.commit(2)
    pushed.run(*PUSH)
    whole = 0.0
    for number in range(rounds + 1):
        for place in ("a", "b"):
            clone = tmp_path / f"{place}{number}"
            pushed.person.run("cwt", "clone", "-q", own_hub.remote(REPOSITORY), str(clone))
            fresh = in_clone(pushed, clone)
            fresh.commit()
            fresh.run(*PUSH)
        assert depth_of_newest(own_hub, fresh) > DEEPEST
        packer = start_packing(own_hub)
        if number:
            time.sleep(pushed.dice.uniform(0, whole))
            packer.kill()
        begun = time.monotonic()
        packer.communicate(timeout=60)
        whole = whole or time.monotonic() - begun
        own_hub.stop()
        own_hub.start()
        assert_hub_is_sound(pushed, own_hub)
        again = start_packing(own_hub)
        wrong = again.communicate(timeout=60)[1]
        assert again.returncode == 0, wrong
        assert_hub_is_sound(pushed, own_hub)
        assert depth_of_newest(own_hub, fresh) <= DEEPEST
    assert_clone_is_whole(pushed, own_hub, tmp_path)


def depth_of_newest(hub: RunningHub, story: Story) -> int:
    services = open_services(load({}, data=str(hub.data)))
    recipe = services.packs.recipe(Oid(hashlib.sha256(list(story.versions.values())[-1]).hexdigest()))
    assert recipe is not None
    found = services.packs.segments(segment.id for segment in recipe.segments)
    services.close()
    return max(at.depth for at in found.values())


def start_packing(hub: RunningHub) -> subprocess.Popen[str]:
    """The packer in a process of its own, at its beginning."""
    command = [sys.executable, "-m", "tests.e2e.hub_packing", str(hub.data)]
    root = Path(__file__).parents[2]
    packer = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert packer.stdout is not None
    assert packer.stdout.readline() == "begins\n"
    return packer
