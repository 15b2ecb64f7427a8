"""Where things are: work trees, subfolders, bare repositories, both object formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.base.errors import EXIT_NOT_A_REPOSITORY
from hundredweight.git.repository import NotARepository, discover
from hundredweight.git.run import Git


@pytest.mark.parametrize(("object_format", "digits"), [("sha1", 40), ("sha256", 64)])
def test_a_work_tree_and_its_subfolder(tmp_path: Path, object_format: str, digits: int) -> None:
    Git(str(tmp_path)).output("init", "-q", f"--object-format={object_format}")
    (tmp_path / "sub folder").mkdir()
    top = discover(Git(str(tmp_path)))
    assert (top.git_dir, top.common_dir, top.work_tree) == (
        str(tmp_path / ".git"),
        str(tmp_path / ".git"),
        str(tmp_path),
    )
    assert (top.prefix, top.bare, top.object_format, top.null_id) == ("", False, object_format, "0" * digits)
    below = discover(Git(str(tmp_path / "sub folder")))
    assert (below.prefix, below.work_tree) == ("sub folder/", str(tmp_path))
    assert below.root_git.text("rev-parse", "--show-prefix") == ""


def test_line_ends_in_names_of_folders(tmp_path: Path) -> None:
    top = tmp_path / "two\nlines\n"
    (top / "sub\nfolder\n").mkdir(parents=True)
    Git(str(top)).output("init", "-q")
    found = discover(Git(str(top / "sub\nfolder\n")))
    assert (found.git_dir, found.work_tree, found.prefix) == (str(top / ".git"), str(top), "sub\nfolder\n/")


def test_a_bare_repository(tmp_path: Path) -> None:
    Git(str(tmp_path)).output("init", "-q", "--bare")
    bare = discover(Git(str(tmp_path)))
    assert bare.bare
    assert (bare.git_dir, bare.work_tree) == (str(tmp_path), "")
    assert bare.root_git is bare.git


def test_a_second_work_tree_shares_the_common_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    git = Git(str(first))
    Git().output("init", "-q", str(first))
    git.output("-c", "user.name=n", "-c", "user.email=e@x", "commit", "-q", "--allow-empty", "-m", "one")
    git.output("worktree", "add", "-q", str(second))
    found = discover(Git(str(second)))
    assert found.common_dir == str(first / ".git")
    assert found.git_dir == str(first / ".git" / "worktrees" / "second")
    assert found.work_tree == str(second)


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(NotARepository) as caught:
        discover(Git(str(tmp_path)))
    assert caught.value.exit_code == EXIT_NOT_A_REPOSITORY
    assert "git init" in caught.value.hint
