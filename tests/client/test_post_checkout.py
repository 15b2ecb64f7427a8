"""The hooks after checkout, merge and commit, as git starts them: write bits, and a word about pointers left in place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hundredweight.client import pointer_files
from tests.clones import Clone, pointer_of
from tests.people import Person

ATTRIBUTES = b"*.bin filter=lfs diff=lfs merge=lfs -text\n*.psd lockable\n"
WARNING = "Git LFS: 2 files hold pointers instead of their content; run 'git lfs pull' to get it\n"


@pytest.fixture
def person(tmp_path: Path) -> Person:
    made = Person("test", tmp_path / "home")
    made.git("lfs", "install", "--skip-repo")
    return made


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Two pointers without objects, one file with content, one lockable file; a second branch."""
    made = Clone(tmp_path / "clone")
    made.write(".gitattributes", ATTRIBUTES)
    for name in ("one.bin", "dir/two.bin"):
        made.write(name, pointer_of(name.encode()).encode())
    made.write("real.psd", b"picture")
    made.commit()
    made.git.output("branch", "other")
    return made


def test_the_hooks_are_hooks(clone: Clone, person: Person) -> None:
    for name, args in (("post-checkout", ["a", "b"]), ("post-merge", [])):
        done = person.run("git", "lfs", name, *args, cwd=clone.folder, check=False)
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout == f"This should be run through Git's {name} hook.  Run `git lfs update` to install it.\n"


def test_a_checkout_that_leaves_pointers_says_so_and_what_mends_it(clone: Clone, person: Person) -> None:
    person.git("lfs", "update", cwd=clone.folder)
    done = person.run("git", "checkout", "-q", "other", cwd=clone.folder, GIT_LFS_SKIP_SMUDGE="1")
    assert done.stderr == WARNING
    person.git("lfs", "install", "--local", "--skip-smudge", cwd=clone.folder)
    assert person.run("git", "checkout", "-q", "main", cwd=clone.folder).stderr == WARNING
    one_file = person.run("git", "checkout", "--", "one.bin", cwd=clone.folder)
    assert "pointer" not in one_file.stderr


def test_a_clone_that_skips_says_so_too(clone: Clone, person: Person) -> None:
    done = person.run("git", "clone", "-q", str(clone.folder), "copy", GIT_LFS_SKIP_SMUDGE="1")
    assert done.stderr.endswith(WARNING)


def test_whoever_writes_the_files_afterwards_is_not_warned(clone: Clone, person: Person) -> None:
    person.env[pointer_files.WRITES_LATER] = "1"
    done = person.run("git", "clone", "-q", str(clone.folder), "copy", GIT_LFS_SKIP_SMUDGE="1")
    assert done.stderr == ""


def test_a_merge_in_a_skipping_clone_says_so(clone: Clone, person: Person) -> None:
    person.git("lfs", "update", cwd=clone.folder)
    person.git("lfs", "install", "--local", "--skip-smudge", cwd=clone.folder)
    clone.git.output("checkout", "-q", "other")
    (clone.folder / "new.txt").write_text("x")
    clone.commit()
    clone.git.output("checkout", "-q", "main")
    assert WARNING in person.run("git", "merge", "other", cwd=clone.folder).stderr


def test_counting(clone: Clone) -> None:
    assert pointer_files.may_be_left(clone.workspace())  # no filter is installed
    assert pointer_files.count(clone.workspace()) == 2
    clone.git.output("config", "lfs.fetchexclude", "dir")
    assert pointer_files.count(clone.workspace()) == 1
    os.unlink(clone.folder / "one.bin")
    (clone.folder / "one.bin").symlink_to("dir/two.bin")
    assert pointer_files.count(clone.workspace()) == 0


def test_nobody_is_told_when_the_filter_is_at_work(clone: Clone) -> None:
    clone.git.output("config", "filter.lfs.process", "git-lfs filter-process")
    assert not pointer_files.may_be_left(clone.workspace(GIT_LFS_SKIP_SMUDGE="0"))
    assert pointer_files.may_be_left(clone.workspace(GIT_LFS_SKIP_DOWNLOAD_ERRORS="yes"))
    clone.git.output("config", "lfs.skipdownloaderrors", "true")
    assert pointer_files.may_be_left(clone.workspace())


def test_write_bits_from_start_to_end(clone: Clone, person: Person) -> None:
    person.git("lfs", "update", cwd=clone.folder)
    person.env["GIT_LFS_SKIP_SMUDGE"] = "1"
    (clone.folder / "new.psd").write_bytes(b"1")
    person.git("add", ".", cwd=clone.folder)
    person.git("commit", "-q", "-m", "new", cwd=clone.folder)
    assert not os.stat(clone.folder / "new.psd").st_mode & 0o222
    assert os.stat(clone.folder / "real.psd").st_mode & 0o200
    person.git("checkout", "-q", "other", cwd=clone.folder)
    person.git("merge", "-q", "--no-ff", "-m", "merge", "main", cwd=clone.folder)
    assert not os.stat(clone.folder / "new.psd").st_mode & 0o222
    assert not os.stat(clone.folder / "real.psd").st_mode & 0o222


def test_hooks_in_unusual_places(clone: Clone, person: Person, tmp_path: Path) -> None:
    """Where finding the repository takes git's help: a linked work tree, a separate git folder."""
    person.git("worktree", "add", "-q", str(tmp_path / "linked"), cwd=clone.folder, GIT_LFS_SKIP_SMUDGE="1")
    person.run("git", "lfs", "post-merge", "0", cwd=tmp_path / "linked")
    assert not os.stat(tmp_path / "linked" / "real.psd").st_mode & 0o222
    (clone.folder / ".git").rename(tmp_path / "elsewhere")
    person.run("git", "lfs", "post-merge", "0", cwd=clone.folder, GIT_DIR="../elsewhere", GIT_WORK_TREE=".")
    assert not os.stat(clone.folder / "real.psd").st_mode & 0o222
    outside = person.run("git", "lfs", "post-commit", cwd=tmp_path, check=False)
    assert outside.returncode == 128
