"""Repositories: made whole, found in any case, deleted with all that hangs on them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hundredweight.backend.interface import BackendFull
from hundredweight.base.ids import Oid, RepoName
from hundredweight.git.run import Git
from hundredweight.hub.errors import status_of
from hundredweight.hub.repos.service import RepositoryExists, RepositoryMissing
from hundredweight.hub.services import Services, open_services
from hundredweight.hub.settings import Settings
from hundredweight.hub.tokens.service import Principal, Scope

MODEL = RepoName.parse("team/model")
ADA = Principal("ada", "ada", Scope.WRITE)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    opened = open_services(Settings(data=str(tmp_path / "hub")))
    yield opened
    opened.close()


def test_a_new_repository_is_a_bare_git_repository(services: Services) -> None:
    made = services.repositories.create(MODEL, created_by="ada")
    assert made == services.repositories.get(MODEL)
    assert made.path == services.settings.inside("repositories", "team", "model.git")
    config = Git(made.path).text("config", "--list")
    assert "core.bare=true" in config
    assert "http.receivepack=true" in config
    assert "uploadpack.allowfilter=true" in config
    assert Git(made.path).text("symbolic-ref", "HEAD") == "refs/heads/main"
    assert os.listdir(services.settings.moves_folder) == []


@pytest.mark.parametrize("name", ["team/model", "team/MODEL", "Team/model"])
def test_a_name_is_taken_in_every_case(services: Services, name: str) -> None:
    services.repositories.create(MODEL)
    with pytest.raises(RepositoryExists) as caught:
        services.repositories.create(RepoName.parse(name))
    assert caught.value.status == 409
    assert services.repositories.get(RepoName.parse(name)).name == "team/model"


def test_list_is_by_name_and_owner(services: Services) -> None:
    for name in ("team/b", "other/c", "team/A", "team_x/d"):
        services.repositories.create(RepoName.parse(name))
    assert [found.name for found in services.repositories.list()] == ["other/c", "team/A", "team/b", "team_x/d"]
    assert [found.name for found in services.repositories.list("TEAM")] == ["team/A", "team/b"]
    assert services.repositories.list("te%") == []


def test_of_many_first_pushes_one_makes_it(services: Services) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: services.repositories.find_or_create(MODEL, created_by="ada"), range(8)))
    assert len({one.id for one in found}) == 1
    assert os.listdir(services.settings.moves_folder) == []


def test_delete_ends_git_data_possession_and_name(services: Services) -> None:
    old = services.repositories.create(MODEL)
    oid = Oid("1" * 64)
    services.objects.record(old, oid, 5, "ada")
    services.repositories.delete(MODEL)
    assert not os.path.exists(old.path)
    assert os.listdir(services.settings.moves_folder) == []
    with pytest.raises(RepositoryMissing):
        services.repositories.get(MODEL)
    with pytest.raises(RepositoryMissing):
        services.repositories.delete(MODEL)
    assert services.objects.stats().logical == 0
    assert services.objects.stats().stored == 5
    new = services.repositories.create(MODEL)
    assert new.id != old.id
    assert services.objects.possessed(new, [oid]) == {}
    with pytest.raises(RepositoryMissing):
        services.objects.record(old, oid, 5, "ada")


def test_a_lost_folder_comes_back_empty(services: Services) -> None:
    made = services.repositories.create(MODEL)
    shutil.rmtree(made.path)
    assert services.repositories.get(MODEL) == made
    assert Git(made.path).ok("rev-parse", "--git-dir")


def test_a_folder_without_a_record_is_not_shown_to_the_next_owner(services: Services) -> None:
    path = services.repositories.create(MODEL).path
    subprocess.run(["git", "-C", path, "config", "test.secret", "yes"], check=True)
    aside = path + ".kept"
    os.rename(path, aside)
    services.repositories.delete(MODEL)
    os.rename(aside, path)
    made = services.repositories.create(MODEL)
    assert not Git(made.path).ok("config", "test.secret")
    [stray] = [name for name in os.listdir(os.path.dirname(path)) if ".stray-" in name]
    assert Git(os.path.join(os.path.dirname(path), stray)).ok("config", "test.secret")


def test_clean_removes_what_was_on_its_way(services: Services) -> None:
    half = os.path.join(services.settings.moves_folder, "repository-1")
    os.makedirs(os.path.join(half, "objects"))
    assert services.repositories.clean() == 1
    assert services.repositories.clean() == 0


def test_a_full_disk_leaves_no_repository_and_is_told(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    git = tmp_path / "programs" / "git"
    git.parent.mkdir()
    git.write_text(
        '#!/bin/sh\nfor last; do :; done\nmkdir "$last"\n'
        'echo "error: unable to write symref for HEAD: No space left on device" >&2\nexit 128\n'
    )
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{git.parent}{os.pathsep}{os.environ['PATH']}")
    full = open_services(services.settings)
    with pytest.raises(BackendFull) as caught:
        full.repositories.create(MODEL)
    full.close()
    assert (status_of(caught.value), caught.value.hint) == (507, "free some space where the hub stores its data")
    assert os.listdir(services.settings.moves_folder) == []
    assert services.repositories.find(MODEL) is None
    monkeypatch.undo()
    assert os.path.isdir(services.repositories.create(MODEL).path)


def test_git_of_the_hub_sees_no_configuration_of_its_user(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gitconfig").write_text("[init]\n\tdefaultBranch = trunk\n[core]\n\thooksPath = /evil\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    again = open_services(services.settings)
    made = again.repositories.create(MODEL)
    assert "hookspath" not in again.git.text("-C", made.path, "config", "--list")
    assert Git(made.path, again.git.env).text("rev-parse", "--absolute-git-dir") == made.path
    again.close()
