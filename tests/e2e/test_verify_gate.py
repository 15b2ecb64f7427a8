"""The gate of a team: what a service or a pipeline checks before it trusts a clone, with real clones of a real hub."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.people import Person
from tests.running_hub import RunningHub

GOOD, WORSE = (os.urandom(200_000) for _ in range(2))
SETTINGS = '[model]\nname = "digits"\nweights = ["*.safetensors"]\nrecommended = "{}"\n[data]\npaths = ["data"]\n'


class Team:
    """Ada releases two versions, the second by mistake; Ben runs the service."""

    def __init__(self, hub: RunningHub, folder: Path) -> None:
        self.ada = hub.person(folder / "ada", "ada")
        self.ben = hub.person(folder / "ben", "ben")
        self.url = hub.remote(hub.new_name())
        work = self.ada.repository("digits")
        self.ada.run("cwt", "init", cwd=work)
        for number, weights in enumerate((GOOD, WORSE)):
            name = f"digits@v1.{number}.0"
            self.ada.commit(
                work,
                {
                    "hundredweight.toml": SETTINGS.format("digits@v1.0.0").encode(),
                    "model.safetensors": weights,
                    "data/train.csv": b"text,label\none,a\n" * (number + 1),
                },
            )
            self.ada.git("tag", "-a", "-m", f"Release {name}", name, cwd=work)
        self.ada.git("push", "-q", self.url, "main", "--tags", cwd=work)
        self.work = work

    def clone(self, *options: str, smudge: bool = True) -> Path:
        self.ben.run("git", "lfs", "install")
        self.ben.run("git", "clone", "-q", *options, self.url, "service", GIT_LFS_SKIP_SMUDGE=str(int(not smudge)))
        return self.ben.home / "service"


@pytest.fixture
def team(hub: RunningHub, tmp_path: Path) -> Team:
    return Team(hub, tmp_path)


def verify(person: Person, folder: Path, *args: str) -> tuple[int, list[dict[str, Any]]]:
    done = person.run("cwt", "verify", "--json", *args, cwd=folder, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["findings"]


def test_a_clone_without_weights_of_the_wrong_version_is_brought_to_order(team: Team) -> None:
    service = team.clone(smudge=False)
    code, found = verify(team.ben, service)
    assert code == 1
    assert [each["code"] for each in found] == ["pointer", "not-recommended", "data-differ"]
    # The worse model went out by mistake: what is recommended is the one before.
    for each in sorted(found, key=lambda each: each["code"]):
        if each["check"] != "release" or each["code"] == "not-recommended":
            team.ben.run("bash", "-ec", each["mend"], cwd=service)
    team.ben.run("git", "lfs", "pull", cwd=service)
    assert verify(team.ben, service, "--remote", "--strict") == (0, [])
    assert (service / "model.safetensors").read_bytes() == GOOD


def test_a_shallow_clone_of_a_tag_passes_as_in_a_pipeline(team: Team) -> None:
    service = team.clone("--depth", "1", "--branch", "digits@v1.0.0")
    assert verify(team.ben, service, "--remote", "--full") == (0, [])
    assert verify(team.ben, service, "digits@v1.0.0", "--remote") == (0, [])


def test_cwt_clone_leaves_nothing_to_complain_about(team: Team) -> None:
    team.ben.run("git", "lfs", "install")
    team.ben.run("cwt", "clone", "--quiet", "--branch", "digits@v1.0.0", team.url, "service")
    assert verify(team.ben, team.ben.home / "service", "--remote", "--full") == (0, [])


def test_packed_objects_and_work_trees_beside_are_verified_too(team: Team) -> None:
    service = team.clone()
    team.ben.git("worktree", "add", "-q", "../beside", "digits@v1.0.0", cwd=service)
    beside = team.ben.home / "beside"
    team.ben.run("cwt", "pack", cwd=service)
    assert verify(team.ben, beside, "--full") == (0, [])
    (beside / "model.safetensors").write_bytes(WORSE)
    code, found = verify(team.ben, beside)
    assert (code, [each["code"] for each in found]) == (1, ["differs"])
    team.ben.run("bash", "-ec", found[0]["mend"], cwd=beside)
    assert verify(team.ben, beside, "--full") == (0, [])


def test_a_tag_that_was_moved_on_the_hub_is_told(team: Team) -> None:
    service = team.clone("--branch", "digits@v1.0.0")
    team.ada.git("tag", "-f", "-a", "-m", "Again", "digits@v1.0.0", "digits@v1.1.0^{}", cwd=team.work)
    team.ada.git("push", "-q", "-f", team.url, "digits@v1.0.0", cwd=team.work)
    assert verify(team.ben, service) == (0, [])
    code, found = verify(team.ben, service, "--remote")
    assert (code, [each["code"] for each in found]) == (1, ["moved-tag"])
