"""A clone as the actions see it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hundredweight.base import trace
from hundredweight.client.workspace import Workspace, open_workspace
from hundredweight.git.config import Config
from hundredweight.git.repository import Repository
from hundredweight.git.run import Git


def workspace(folder: Path, **variables: str) -> Workspace:
    return open_workspace(Git(str(folder)), {**os.environ, **variables})


def test_the_store_lies_in_the_git_folder_or_where_told(tmp_path: Path) -> None:
    git = Git(str(tmp_path))
    git.output("init", "-q")
    assert workspace(tmp_path).store.root == str(tmp_path / ".git" / "lfs")
    git.output("config", "lfs.storage", "elsewhere")
    assert workspace(tmp_path).store.root == str(tmp_path / ".git" / "elsewhere")
    git.output("config", "lfs.storage", "/abs/olute")
    assert workspace(tmp_path).store.root == "/abs/olute"


def test_git_configuration_wins_over_the_shipped_one(tmp_path: Path) -> None:
    git = Git(str(tmp_path))
    git.output("init", "-q")
    (tmp_path / ".lfsconfig").write_text("[lfs]\nurl = https://shipped\nfetchinclude = a\n[core]\neditor = evil\n")
    git.output("config", "lfs.url", "https://mine")
    said: list[str] = []
    trace.set_notice_sink(said.append)
    found = workspace(tmp_path)
    assert said == []
    assert found.config.get("lfs.url") == "https://mine"
    assert found.config.get("lfs.fetchinclude") == "a"
    assert found.git_config.get("lfs.fetchinclude") == ""
    trace.set_notice_sink(None)
    assert said == ["warning: These unsafe '.lfsconfig' keys were ignored:\n\n  core.editor"]


@pytest.mark.parametrize(
    ("shared", "umask"),
    [
        ("", None),
        ("umask", None),
        ("false", None),
        ("0", None),
        ("nonsense", None),
        ("group", 0o007),
        ("true", 0o007),
        ("1", 0o007),
        ("all", 0o002),
        ("everybody", 0o002),
        ("2", 0o002),
        ("0640", 0o027),
        ("0660", 0o007),
        ("0888", None),
    ],
)
def test_a_shared_repository_has_a_umask_of_its_own(shared: str, umask: int | None) -> None:
    entries = [("core.sharedRepository", shared)] if shared else []
    repository = Repository(Git(), "/nowhere/.git", "/nowhere/.git", "/nowhere", "", "sha1")
    assert Workspace(repository, Config(entries), {}).shared_umask == umask


def test_alternates_give_reference_folders(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    Git().output("init", "-q", str(first))
    (first / ".git" / "lfs" / "objects").mkdir(parents=True)
    Git().output("clone", "-q", "--shared", str(first), str(second))
    assert workspace(second).store.references == (str(first / ".git" / "lfs" / "objects"),)
    by_variable = workspace(tmp_path / "first", GIT_ALTERNATE_OBJECT_DIRECTORIES=str(first / ".git" / "objects"))
    assert by_variable.reference_folders() == [str(first / ".git" / "lfs" / "objects")]
