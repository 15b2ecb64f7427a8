"""`git lfs checkout`: which files, from which folder, and the sides of a conflict."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hundredweight.base.progress import NullMeter
from hundredweight.client import checkout as module
from hundredweight.client.checkout import ConflictError, candidates, checkout, checkout_side, rooted_pattern
from hundredweight.client.worktree import ObjectAbsent
from hundredweight.git import index
from tests.clones import Clone, oid_of, pointer_of
from tests.people import Person

FILES = {"a.bin": b"content of a", "dir/b.bin": b"content of b", "dir/sub/c.bin": b"content of c", "empty.bin": b""}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone")
    made.write(".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n")
    for path, content in FILES.items():
        made.put(path, content)
    made.commit()
    made.git.output("config", "filter.lfs.clean", "git-lfs clean -- %f")
    return made


def contents(clone: Clone) -> dict[str, bytes]:
    return {path: (clone.folder / path).read_bytes() for path in FILES if (clone.folder / path).exists()}


def paths_of(clone: Clone, *patterns: str) -> list[str]:
    return [file.path for file in candidates(clone.workspace(), patterns)]


def test_everything_or_what_matches(clone: Clone) -> None:
    assert paths_of(clone) == list(FILES)
    assert paths_of(clone, "dir") == ["dir/b.bin", "dir/sub/c.bin"]
    assert paths_of(clone, "*.bin", "nothing") == list(FILES)
    assert paths_of(clone, "dir/sub/**") == ["dir/sub/c.bin"]


def test_with_a_newer_git_the_index_is_listed(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "lists_sparsely", lambda _git: True)
    clone.put("staged.bin", b"staged only")
    clone.git.output("-c", "filter.lfs.clean=cat", "add", "staged.bin")
    clone.git.output("update-index", "--skip-worktree", "dir/b.bin")
    assert paths_of(clone) == ["a.bin", "dir/sub/c.bin", "empty.bin", "staged.bin"]


def test_a_repository_without_commits_has_nothing(tmp_path: Path) -> None:
    assert paths_of(Clone(tmp_path / "empty")) == []


@pytest.mark.parametrize(
    ("folder", "typed", "pattern"),
    [
        ("", "a.bin", "a.bin"),
        ("", ".", "**"),
        ("", "dir", "dir/"),
        ("", "*.bin", "*.bin"),
        ("dir", "b.bin", "dir/b.bin"),
        ("dir", ".", "dir/"),
        ("dir", "..", "**"),
        ("dir/sub", "../b.bin", "dir/b.bin"),
        ("dir", "../gone/**", "gone/**"),
    ],
)
def test_patterns_are_read_from_the_current_folder(clone: Clone, folder: str, typed: str, pattern: str) -> None:
    assert rooted_pattern(clone.workspace(folder), str(clone.folder / folder), typed) == pattern


def test_an_absolute_path_is_read_too(clone: Clone) -> None:
    where = str(clone.folder / "dir")
    assert rooted_pattern(clone.workspace("dir"), where, str(clone.folder / "a.bin")) == "a.bin"


def test_pointers_are_replaced_and_the_rest_is_told(clone: Clone) -> None:
    os.unlink(clone.workspace().store.path(oid_of(FILES["dir/b.bin"])))
    (clone.folder / "dir/sub/c.bin").write_bytes(b"edited")
    errors = checkout(clone.workspace(), candidates(clone.workspace(), ()), NullMeter())
    assert [type(error) for error in errors] == [ObjectAbsent]
    assert contents(clone) == {
        "a.bin": b"content of a",
        "dir/b.bin": pointer_of(FILES["dir/b.bin"]).encode(),
        "dir/sub/c.bin": b"edited",
        "empty.bin": b"",
    }


@pytest.fixture
def conflict(clone: Clone) -> Clone:
    """`a.bin` differs on both sides."""
    clone.git.output("config", "filter.lfs.clean", "cat")
    for branch in ("ours", "theirs"):
        clone.git.output("checkout", "-q", "-b", branch, "main")
        clone.put("a.bin", branch.encode())
        (clone.folder / "plain.txt").write_text(branch)
        clone.commit()
    clone.git.output("checkout", "-q", "ours")
    assert clone.git.run("merge", "theirs").code == 1
    clone.git.output("config", "filter.lfs.clean", "git-lfs clean -- %f")
    return clone


def test_each_side_of_a_conflict(conflict: Clone, tmp_path: Path) -> None:
    for side, content in (("base", FILES["a.bin"]), ("ours", b"ours"), ("theirs", b"theirs")):
        target = tmp_path / "new" / side
        checkout_side(conflict.workspace(), "a.bin", side, str(target))
        assert target.read_bytes() == content


def test_a_side_that_cannot_be_had(conflict: Clone, tmp_path: Path) -> None:
    target = str(tmp_path / "target")
    with pytest.raises(ConflictError, match="not in the middle of a merge"):
        checkout_side(conflict.workspace(), "dir/b.bin", "ours", target)
    with pytest.raises(ConflictError, match="Could not find decoder pointer"):
        checkout_side(conflict.workspace(), "plain.txt", "ours", target)
    os.unlink(conflict.workspace().store.path(oid_of(b"theirs")))
    with pytest.raises(ObjectAbsent):
        checkout_side(conflict.workspace(), "a.bin", "theirs", target)
    assert not os.path.exists(target)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConflictError, match="Could not create path"):
        checkout_side(conflict.workspace(), "a.bin", "ours", str(tmp_path / "file" / "below"))
    assert module.STAGES == {"base": 1, "ours": 2, "theirs": 3}


def test_the_command(clone: Clone, tmp_path: Path) -> None:
    person = Person("test", tmp_path / "home")
    done = person.run("git", "lfs", "checkout", "b.bin", cwd=clone.folder / "dir")
    assert "Checking out LFS objects: 100% (1/1), 12 B" in done.stdout + done.stderr
    assert (clone.folder / "dir/b.bin").read_bytes() == FILES["dir/b.bin"]
    assert (clone.folder / "a.bin").read_bytes() == pointer_of(FILES["a.bin"]).encode()
    wrong = person.run("git", "lfs", "checkout", "--base", cwd=clone.folder, check=False)
    assert wrong.returncode == 2
    assert "--to and exactly one of --theirs, --ours, and --base must be used together" in wrong.stderr
    both = person.run("git", "lfs", "checkout", "--to", "x", "--base", "--ours", "a.bin", cwd=clone.folder, check=False)
    assert "at most one of --base, --theirs, and --ours is allowed" in both.stderr
    two = person.run("git", "lfs", "checkout", "--to", "x", "--base", "a", "b", cwd=clone.folder, check=False)
    assert "--to requires exactly one Git LFS object file path" in two.stderr
    clone.git.output("config", "--unset", "filter.lfs.clean")
    assert "Git LFS is not installed" in person.run("git", "lfs", "checkout", cwd=clone.folder).stdout


def test_the_command_in_a_bare_repository(tmp_path: Path) -> None:
    person = Person("test", tmp_path / "home")
    person.git("init", "-q", "--bare", "bare")
    done = person.run("git", "lfs", "checkout", cwd=tmp_path / "home" / "bare")
    assert done.stdout == "This operation must be run in a work tree.\n"
