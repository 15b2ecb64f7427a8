"""Killed at any moment of a deployment or a rollback: readers see one whole version always, a service runs, and the next command
goes on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hundredweight.store.local import LocalStore
from hundredweight.store.repack import check
from tests.deploying import HEALTH, MODEL, SERVICE, Reader, Releases, Site, eventually
from tests.e2e.test_blocks import person
from tests.e2e.test_kill import kill_session, seconds_of, start
from tests.people import Person
from tests.running_hub import RunningHub

ROUNDS = [
    pytest.param(10, id="few"),
    pytest.param(100, id="many", marks=[pytest.mark.full, pytest.mark.timeout(3000)]),
]
RELEASES = 3
SERVED = ("--run", SERVICE, "--health", HEALTH, "--health-timeout", "20", "--wait", "20")


@pytest.fixture
def releases(own_hub: RunningHub, tmp_path: Path) -> Releases:
    ada = person(own_hub, tmp_path, "ada")
    made = Releases(ada, rows=700)
    ada.git("remote", "add", "origin", own_hub.remote("team/model"), cwd=made.folder)
    for _ in range(RELEASES):
        made.add()
    ada.git("push", "-q", "origin", "main", "--tags", cwd=made.folder)
    return made


@pytest.fixture
def site(own_hub: RunningHub, tmp_path: Path) -> Iterator[Site]:
    made = Site(person(own_hub, tmp_path, "eve"), own_hub.remote("team/model"))
    yield made
    made.end_services()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_deploy_and_rollback_killed(rounds: int, site: Site, releases: Releases) -> None:
    names = list(releases.files)
    dice = random.Random(23)
    site.deploy(names[0], *SERVED)
    whole = seconds_of(site.person, *deployment(site, names[1]), cwd=site.person.home)
    with Reader(site, releases.files) as reader:
        for number in range(rounds):
            command = going_back(site) if number % 3 == 2 else deployment(site, dice.choice(names))
            process = start(site.person, *command, cwd=site.person.home)
            time.sleep(dice.uniform(0, whole))
            if number % 2:
                kill_session(process)
            else:
                # The command alone: git goes on without it.
                process.kill()
                process.wait()
            assert_serves(site, releases)
            if number % 4 == 3:
                # Every now and then all that was ever fetched is gone, too.
                name = dice.choice(names)
                site.run(*deployment(site, name, "--keep", "2")[1:])
                assert_done(site, releases, name)
    assert reader.faults == []
    assert reader.reads > rounds
    site.run(*deployment(site, names[2])[1:])
    assert_done(site, releases, names[2])
    assert_sound(site)


def deployment(site: Site, name: str, *options: str) -> tuple[str, ...]:
    return ("cwt", "deploy", f"{site.source}@{name}", "--to", str(site.folder), *SERVED, *options)


def going_back(site: Site) -> tuple[str, ...]:
    return ("cwt", "rollback", "--to", str(site.folder), *SERVED)


def assert_serves(site: Site, releases: Releases) -> None:
    """A whole version is current, as every version that has its name is; and one service runs, once it has come up."""
    for folder in ["current", *(f"versions/{name}" for name in site.told["deployments"] and kept(site))]:
        path = site.folder / folder
        release = path.resolve().name.partition("-")[2]
        for name, data in releases.files[release].items():
            assert (path / name).read_bytes() == data
    assert eventually(lambda: len(site.services()) == 1), site.services()


def kept(site: Site) -> list[str]:
    return [path.name for path in (site.folder / "versions").iterdir() if not path.name.startswith(".")]


def assert_done(site: Site, releases: Releases, name: str) -> None:
    """The last command did all that it should, and nothing of killed ones is left."""
    assert site.content(MODEL) == releases.files[name][MODEL]
    assert site.leftovers() == []
    told = site.told
    assert told["deployments"][-1]["state"] == "serving"
    assert told["service"]["folder"] == site.current == told["deployments"][-1]["folder"]
    assert [one["state"] for one in told["deployments"]].count("serving") == 1
    assert not [one for one in told["deployments"] if one["state"] == "begun"]


def assert_sound(site: Site) -> None:
    """Of the store: no pack is damaged, and git finds nothing wrong."""
    store = LocalStore(str(site.folder / "store" / "lfs"))
    assert check(store.packs).faults == []
    store.close()
    eve: Person = site.person
    eve.git("fsck", "--connectivity-only", cwd=site.folder / "store")


def test_a_launcher_that_is_killed(site: Site, releases: Releases) -> None:
    """All of the command and all that it started, the coming service too, at the worst moment: the next command mends it."""
    names = list(releases.files)
    site.deploy(names[0], *SERVED)
    site.end_services()
    process = start(site.person, *deployment(site, names[1], "--health", "sleep 60"), cwd=site.person.home)
    assert eventually(lambda: site.current.startswith("2-") and bool(site.services()))
    kill_session(process)
    site.end_services()
    assert site.current.startswith("2-")
    site.run(*going_back(site)[1:], names[0])
    assert (site.current, len(site.services())) == ("1-model@v1.1.0", 1)
    assert [one["state"] for one in site.told["deployments"]] == ["served", "interrupted", "serving"]
