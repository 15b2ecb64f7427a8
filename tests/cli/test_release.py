"""Releases that a team shares over a hub: tag, branch, objects, stages and signatures go together."""

from __future__ import annotations

import json
from pathlib import Path

from tests.client.releases.models import Repository
from tests.client.releases.test_signing import make_key
from tests.running_hub import RunningHub


def test_a_release_is_pushed_with_all_that_it_needs(hub: RunningHub, tmp_path: Path) -> None:
    repo = Repository(tmp_path / "ada")
    name = hub.new_name()
    repo.person.login(hub.url, hub.new_token("ada"))
    repo.person.git("remote", "add", "origin", hub.remote(name), cwd=repo.folder)
    private, public = make_key(tmp_path)
    assert "released digits@v1.0.0" in repo.cwt("release", "create", "--push", "origin")
    repo.cwt("release", "assign", "latest", "prod", "--push", "origin")
    repo.cwt("release", "sign", "latest", "--key", private, "--push", "origin")
    other = hub.person(tmp_path / "bob", "bob")
    other.run("cwt", "clone", hub.remote(name), "clone")
    clone = other.home / "clone"
    told = json.loads(other.run("cwt", "release", "show", "prod", "--json", cwd=clone).stdout)
    assert (told["name"], told["stages"]) == ("digits@v1.0.0", ["prod"])
    assert other.git("rev-parse", "origin/main", "digits@v1.0.0^{commit}", cwd=clone).split() == [told["commit"]] * 2
    assert (clone / "model.safetensors").read_bytes() == (repo.folder / "model.safetensors").read_bytes()
    other.git("fetch", "-q", "origin", "refs/signatures/*:refs/signatures/*", cwd=clone)
    assert "as signed" in other.run("cwt", "release", "verify", "prod", "--key", public, cwd=clone).stdout
    repo.train(0.95)
    repo.cwt("release", "create")
    repo.cwt("release", "assign", "latest", "prod")
    repo.cwt("release", "unassign", "digits", "prod", "--push", "origin")
    assert "#prod!#3" in other.git("ls-remote", "--tags", "origin", cwd=clone)


def test_a_release_that_cannot_be_pushed_stays_and_says_how(tmp_path: Path) -> None:
    repo = Repository(tmp_path / "ada")
    repo.person.git("remote", "add", "origin", "http://127.0.0.1:9/team/none.git", cwd=repo.folder)
    repo.person.git("config", "lfs.transfer.maxretries", "1", cwd=repo.folder)
    done = repo.cwt("release", "create", "--push", "origin", check=False)
    assert "released digits@v1.0.0" in done
    assert "run 'git push --atomic origin" in done
    assert "digits@v1.0.0" in repo.cwt("release", "list")


def test_a_stage_is_pushed_with_its_release(hub: RunningHub, tmp_path: Path) -> None:
    """Others would see a stage with a commit that has no name."""
    repo = Repository(tmp_path / "ada")
    name = hub.new_name()
    repo.person.login(hub.url, hub.new_token("ada"))
    repo.person.git("remote", "add", "origin", hub.remote(name), cwd=repo.folder)
    repo.cwt("release", "create")
    repo.cwt("release", "assign", "latest", "prod")
    assert "already" in repo.cwt("release", "assign", "latest", "prod", "--push", "origin")
    there = repo.person.git("ls-remote", "--tags", "--refs", "origin", cwd=repo.folder)
    assert sorted(line.partition("refs/tags/")[2] for line in there.splitlines()) == ["digits#prod#1", "digits@v1.0.0"]
    repo.cwt("release", "assign", "latest", "prod", "--push", "origin")


def test_history_takes_a_stage_alone(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    repo.cwt("release", "create")
    repo.cwt("release", "assign", "latest", "prod")
    repo.cwt("release", "unassign", "digits", "prod")
    for name in ("prod", "digits", "digits#prod"):
        assert "digits#prod  digits@v1.0.0" in repo.cwt("release", "history", name)
    told = repo.person.run("cwt", "release", "history", "nothing", cwd=repo.folder)
    assert (told.stdout, told.stderr.startswith("nothing was in 'nothing' so far")) == ("", True)
    shown = repo.cwt("release", "show", "latest")
    assert '"' not in shown, shown
