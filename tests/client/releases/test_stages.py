"""Stages: our tags and GTO's, each read by the other."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hundredweight.client.releases import assign as stages
from hundredweight.client.releases.assign import NoSuchRelease, NotAssigned, Withdrawn
from hundredweight.client.releases.naming import BadReleaseName
from hundredweight.lineage import releases
from tests.client.releases.models import Repository
from tests.peers import lifecycle

NOW = 1_795_000_000.0


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    """With two versions, the second the better one."""
    made = Repository(tmp_path)
    made.cwt("release", "create", "--no-card")
    made.train(0.95)
    made.cwt("release", "create", "--no-card")
    return made


def gto(repo: Repository, *args: str) -> str:
    return repo.person.run(lifecycle("gto"), *args, cwd=repo.folder).stdout


def test_what_is_assigned_last_is_in_the_stage(repo: Repository) -> None:
    first = stages.assign(repo.git, "v1.0.0", "prod", NOW, notes="go")
    assert (first.tags, first.now, first.before) == (("digits#prod#1",), "digits@v1.0.0", None)
    second = stages.assign(repo.git, "digits@latest", "prod", NOW)
    assert (second.tags, second.before) == (("digits#prod#2",), "digits@v1.0.0")
    assert stages.assign(repo.git, "latest", "prod", NOW).tags == ()
    assert stages.assign(repo.git, "prod", "staging", NOW).tags == ("digits#staging#3",)
    # Made in the same second, and still one after the other.
    moments = [each.when for each in releases.assignments(repo.git)]
    assert len(set(moments)) == 3
    assert releases.assignments(repo.git)[0].message == "Assign digits@v1.0.0 to prod\n\ngo"


def test_leaving_a_stage_brings_back_what_was_there(repo: Repository) -> None:
    stages.assign(repo.git, "v1.0.0", "prod", NOW)
    stages.assign(repo.git, "v1.1.0", "prod", NOW)
    left = stages.unassign(repo.git, "digits", "prod", NOW)
    assert (left.tags, left.now, left.before) == (("digits#prod!#3",), "digits@v1.0.0", "digits@v1.1.0")
    with pytest.raises(NotAssigned, match=r"v1\.1\.0"):
        stages.unassign(repo.git, "v1.1.0", "prod", NOW)
    stages.assign(repo.git, "v1.1.0", "prod", NOW)
    emptied = stages.unassign(repo.git, "digits", "prod", NOW, everything=True)
    assert (len(emptied.tags), emptied.now) == (2, None)
    with pytest.raises(NotAssigned):
        stages.unassign(repo.git, "digits", "prod", NOW)


def test_many_at_once_get_a_number_each(repo: Repository) -> None:
    names = ["v1.0.0", "v1.1.0"] * 5
    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda name: stages.assign(repo.git, name, "prod", NOW).tags, names))
    numbers = [each.number for each in releases.assignments(repo.git)]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert sum(map(len, made)) == len(numbers)


def test_what_cannot_be_assigned(repo: Repository) -> None:
    with pytest.raises(NoSuchRelease) as caught:
        stages.assign(repo.git, "digits@v9.0.0", "prod", NOW)
    assert caught.value.hint
    for stage in ("pr od", "-x", "prod!", "a..", ""):
        with pytest.raises(BadReleaseName):
            stages.assign(repo.git, "v1.0.0", stage, NOW)
    repo.person.git("tag", "-m", "no", "digits@v1.1.0!", "digits@v1.1.0^{commit}", cwd=repo.folder)
    with pytest.raises(Withdrawn):
        stages.assign(repo.git, "digits@v1.1.0", "prod", NOW)


def test_the_commands_tell_what_is_where_since_when(repo: Repository) -> None:
    assert repo.cwt("release", "assign", "v1.0.0", "prod") == "digits#prod is digits@v1.0.0 now (digits#prod#1)\n"
    told = json.loads(repo.cwt("release", "assign", "v1.1.0", "prod", "--json", "-m", "better"))
    assert (told["now"], told["before"], told["tags"]) == ("digits@v1.1.0", "digits@v1.0.0", ["digits#prod#2"])
    assert "digits@v1.0.0 now, before digits@v1.1.0" in repo.cwt("release", "unassign", "digits", "prod")
    lines = [line.split()[:2] for line in repo.cwt("release", "history").splitlines()[1:]]
    assert lines == [["digits#prod", f"digits@v1.{minor}.0"] for minor in (0, 1, 0)]
    periods = json.loads(repo.cwt("release", "history", "digits#prod", "--json"))
    assert [(p["until"] is None, p["who"]) for p in periods] == [(False, "ada <ada@example.com>")] * 2 + [
        (True, "ada <ada@example.com>")
    ]
    at = json.loads(repo.cwt("release", "history", "--at", periods[1]["since"], "--json"))
    assert [each["release"] for each in at] == ["digits@v1.1.0"]
    assert repo.cwt("release", "history", "other") == ""
    assert "no date" in repo.cwt("release", "history", "--at", "soon", check=False)
    assert "prod" in repo.cwt("release", "list", "--stage", "prod")


@pytest.mark.peer
def test_gto_reads_our_tags(repo: Repository) -> None:
    repo.cwt("release", "assign", "v1.0.0", "prod")
    repo.cwt("release", "assign", "v1.1.0", "prod")
    repo.cwt("release", "assign", "v1.1.0", "staging")
    repo.cwt("release", "unassign", "digits", "prod")
    (shown,) = json.loads(gto(repo, "show", "--json")).items()
    assert shown[0] == "digits"
    assert shown[1]["version"] == "v1.1.0"
    assert (shown[1]["stage"]["prod"], shown[1]["stage"]["staging"]) == ("v1.0.0", "v1.1.0")
    events = [(each["event"], each["version"], each["ref"]) for each in json.loads(gto(repo, "history", "--json"))]
    assert sorted(events) == sorted(
        [
            ("registration", "v1.0.0", "digits@v1.0.0"),
            ("registration", "v1.1.0", "digits@v1.1.0"),
            ("assignment", "v1.0.0", "digits#prod#1"),
            ("assignment", "v1.1.0", "digits#prod#2"),
            ("assignment", "v1.1.0", "digits#staging#3"),
            ("unassignment", "v1.1.0", "digits#prod!#4"),
        ]
    )


@pytest.mark.peer
def test_we_read_gtos_tags_and_go_on_from_them(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    gto(repo, "register", "digits", "--version", "v2.0.0")
    repo.train(0.95)
    gto(repo, "register", "digits", "--bump-minor")
    gto(repo, "assign", "digits", "--version", "v2.1.0", "--stage", "prod")
    found = {release.name: release for release in releases.find_releases(repo.git)}
    assert list(found) == ["digits@v2.0.0", "digits@v2.1.0"]
    in_prod = releases.resolve(repo.git, "digits#prod")
    assert in_prod is not None
    assert in_prod.name == "digits@v2.1.0"
    assert '"test_acc": 0.95' in repo.cwt("release", "show", "prod", "--json")
    repo.train(0.97)
    assert "released digits@v2.2.0" in repo.cwt("release", "create")
    repo.cwt("release", "assign", "v2.2.0", "prod")
    assert json.loads(gto(repo, "show", "--json"))["digits"]["stage"]["prod"] == "v2.2.0"
    gto(repo, "deprecate", "digits", "v2.2.0", "prod")
    in_prod = releases.resolve(repo.git, "prod")
    assert in_prod is not None
    assert (
        in_prod.name
        == json.loads(gto(repo, "show", "--json"))["digits"]["stage"]["prod"].join(("digits@", ""))
        == "digits@v2.1.0"
    )
    gto(repo, "deprecate", "digits", "v2.2.0")
    assert releases.find_releases(repo.git)[-1].withdrawn
