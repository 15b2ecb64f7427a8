"""Lockable files: who is read-only after which hook, and when nothing is looked at."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hundredweight.client import post_checkout, post_commit, post_merge
from hundredweight.client.lock_cache import LockCache
from hundredweight.client.lockable import LockableFiles, keeps_read_only, mentions_lockable, set_writable
from hundredweight.protocol.locks import Lock
from tests.clones import Clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """`mine.psd` is locked by the user, the other *.psd are lockable; everything is writable."""
    made = Clone(tmp_path / "clone")
    made.write(".gitattributes", b"*.psd lockable\n")
    for name in ("a.psd", "dir/b.psd", "mine.psd", "free.txt"):
        made.write(name, b"1")
    made.commit()
    LockCache(made.workspace().lfs_folder).add(Lock("1", "mine.psd", "", ""))
    return made


def read_only(clone: Clone) -> list[str]:
    files = [path for path in clone.folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    return sorted(
        str(path.relative_to(clone.folder)) for path in files if not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP)
    )


def test_after_a_commit_what_it_changed(clone: Clone) -> None:
    clone.write("dir/b.psd", b"2")
    clone.write("mine.psd", b"2")
    clone.commit()
    assert post_commit.fix_write_bits(clone.workspace()) == []
    assert read_only(clone) == ["dir/b.psd"]


def test_after_the_first_commit_everything_in_it(clone: Clone) -> None:
    post_commit.fix_write_bits(clone.workspace())
    assert read_only(clone) == ["a.psd", "dir/b.psd"]


def test_after_a_merge_everything(clone: Clone) -> None:
    clone.commit()
    assert post_merge.fix_write_bits(clone.workspace()) == []
    assert read_only(clone) == ["a.psd", "dir/b.psd"]


def test_after_a_checkout_what_differs_or_everything(clone: Clone) -> None:
    before = clone.git.text("rev-parse", "HEAD")
    clone.write("a.psd", b"2")
    after = clone.commit()
    post_checkout.fix_write_bits(clone.workspace(), before, after, True)
    assert read_only(clone) == ["a.psd"]
    (clone.folder / "a.psd").chmod(0o644)
    post_checkout.fix_write_bits(clone.workspace(), after, after, False)
    assert read_only(clone) == ["a.psd", "dir/b.psd"]


@pytest.mark.parametrize("before", ["0" * 40, "1" * 40])
def test_after_a_clone_or_from_a_lost_commit_everything(clone: Clone, before: str) -> None:
    post_checkout.fix_write_bits(clone.workspace(), before, "HEAD", True)
    assert read_only(clone) == ["a.psd", "dir/b.psd"]


def test_switched_off(clone: Clone) -> None:
    off = clone.workspace(GIT_LFS_SET_LOCKABLE_READONLY="0")
    assert not keeps_read_only(off)
    clone.git.output("config", "lfs.setlockablereadonly", "false")
    workspace = clone.workspace()
    for failed in (
        post_checkout.fix_write_bits(workspace, "0" * 40, "HEAD", True),
        post_commit.fix_write_bits(workspace),
        post_merge.fix_write_bits(workspace),
    ):
        assert failed == []
    assert read_only(clone) == []


def test_ignored_files_only_when_asked_for(clone: Clone) -> None:
    clone.write(".gitignore", b"ignored.psd\n")
    clone.write("ignored.psd", b"1")
    LockableFiles(clone.workspace()).fix_all()
    assert "ignored.psd" not in read_only(clone)
    clone.git.output("config", "lfs.lockignoredfiles", "true")
    LockableFiles(clone.workspace()).fix_all()
    assert "ignored.psd" in read_only(clone)


def test_the_quick_question(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    assert not mentions_lockable(clone.workspace())
    clone.write(".gitattributes", b"*.bin filter=lfs\n")
    clone.write("deep/er/file", b"")
    clone.commit()
    assert not mentions_lockable(clone.workspace())
    clone.write("deep/er/.gitattributes", b"*.psd lockable\n")
    clone.commit()
    assert mentions_lockable(clone.workspace())
    (clone.folder / "deep/er/.gitattributes").write_bytes(b"")
    assert not mentions_lockable(clone.workspace())
    clone.write(".git/info/attributes", b"*.psd lockable\n")
    assert mentions_lockable(clone.workspace())


def test_a_macro_of_the_users_own_file(clone: Clone, tmp_path: Path) -> None:
    clone.write(".gitattributes", b"*.psd precious\n")
    (tmp_path / "attributes").write_text("[attr]precious lockable\n")
    clone.git.output("config", "core.attributesFile", str(tmp_path / "attributes"))
    assert mentions_lockable(clone.workspace())
    assert LockableFiles(clone.workspace()).matches("dir/b.psd")


def test_a_mention_that_is_none(clone: Clone) -> None:
    clone.write(".gitattributes", b"# lockable is nothing here\n*.psd -lockable\n")
    assert mentions_lockable(clone.workspace())
    assert not LockableFiles(clone.workspace()).any
    post_merge.fix_write_bits(clone.workspace())
    assert read_only(clone) == []


def test_write_bits(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    file.chmod(0o664)
    set_writable(str(file), False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    set_writable(str(file), True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    set_writable(str(tmp_path / "missing"), True)
    link = tmp_path / "link"
    link.symlink_to(file)
    set_writable(str(link), False)
    assert os.access(file, os.W_OK)
