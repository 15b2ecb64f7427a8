"""Stamping index entries: git believes it, for every kind of index; and what may not be stamped is left alone."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from hundredweight.git import index
from hundredweight.git.index import Stamp, blob_name, stamp
from hundredweight.git.run import Git
from tests.clones import pointer_of

CONTENT = b"weights " * 1000
ATTRIBUTES = b"*.bin filter=lfs -text\n"
# git looks at the content of files as young as the index.
OLD = time.time() - 100
# Were git to look at a file's content, this filter would fail, and with it the command.
NO_FILTER = ("-c", "filter.lfs.clean=false", "-c", "filter.lfs.required=true")


class Repo:
    """A repository whose *.bin files are pointers, committed without a filter."""

    def __init__(self, folder: Path, object_format: str = "sha1", files: int = 3) -> None:
        self.folder = folder
        self.format = object_format
        Git().output("init", "-q", f"--object-format={object_format}", str(folder))
        self.git = Git(str(folder))
        self.index = folder / ".git" / "index"
        (folder / "deep" / "er").mkdir(parents=True)
        self.paths = ["a.bin", "deep/er/b.bin", "deep/er/ b\tç.bin", *(f"f{n:03}.bin" for n in range(files))]
        for path in self.paths:
            (folder / path).write_bytes(pointer_of(CONTENT).encode())
            os.utime(folder / path, (OLD, OLD))
        self.git.output("add", ".")
        (folder / ".gitattributes").write_bytes(ATTRIBUTES)
        self.git.output("-c", "filter.lfs.clean=cat", "add", ".gitattributes")

    def overwrite(self, *paths: str) -> dict[str, Stamp]:
        """As a checkout does; with a time that git does not take for racy."""
        blob = blob_name(pointer_of(CONTENT).encode(), self.format)
        stamps = {}
        for path in paths:
            target = self.folder / path
            target.write_bytes(CONTENT)
            os.utime(target, (OLD, OLD))
            stamps[path] = Stamp(blob, os.lstat(target))
        return stamps

    def stamp(self, stamps: dict[str, Stamp]) -> set[str]:
        return stamp(str(self.index), self.format, stamps)

    def modified(self) -> list[str]:
        """What git takes for modified by looking at the index alone."""
        return self.git.with_options(*NO_FILTER).fields("diff-files", "--name-only", "-z")


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_git_believes_the_stamps(tmp_path: Path, object_format: str, version: int) -> None:
    repo = Repo(tmp_path / "r", object_format)
    if version == 3:
        # an extended flag on one entry makes git write version 3
        (repo.folder / "new").write_text("x")
        repo.git.output("add", "--intent-to-add", "new")
    else:
        repo.git.output("update-index", f"--index-version={version}")
    assert repo.index.read_bytes()[7] == version
    stamps = repo.overwrite(*repo.paths)
    assert set(repo.paths) <= set(repo.modified())
    assert repo.stamp(stamps) == set(repo.paths)
    assert not set(repo.paths) & set(repo.modified())
    repo.git.output("fsck", "--strict")


@pytest.mark.parametrize(
    "settings",
    [
        ("index.threads", "2"),
        ("core.untrackedCache", "true"),
        ("index.skipHash", "true"),
        ("core.checkStat", "minimal"),
    ],
    ids=lambda pair: pair[0],
)
def test_indexes_with_extensions(tmp_path: Path, settings: tuple[str, str]) -> None:
    repo = Repo(tmp_path / "r", files=40)
    repo.git.output("config", *settings)
    repo.git.output("status")
    repo.git.output("commit", "-q", "-m", "one")
    repo.git.output("update-index", "--force-remove", "f000.bin")
    repo.paths.remove("f000.bin")
    assert repo.stamp(repo.overwrite(*repo.paths)) == set(repo.paths)
    assert repo.modified() == []


def test_only_the_given_paths_change(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r")
    stamps = repo.overwrite("a.bin")
    repo.overwrite("f001.bin")
    assert repo.stamp({**stamps, "not/there.bin": stamps["a.bin"]}) == {"a.bin"}
    assert repo.modified() == ["f001.bin"]


def test_a_lost_executable_bit_stays_visible(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r")
    repo.git.output("update-index", "--chmod=+x", "a.bin")
    assert repo.stamp(repo.overwrite("a.bin")) == {"a.bin"}
    assert repo.modified() == ["a.bin"]


def test_another_blob_or_an_unusual_entry_is_left_alone(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r")
    repo.git.output("update-index", "--assume-unchanged", "f000.bin")
    repo.git.output("update-index", "--skip-worktree", "f001.bin")
    stamps = repo.overwrite("a.bin", "f000.bin", "f001.bin")
    stamps["a.bin"].blob = "0" * 40
    before = repo.index.read_bytes()
    assert repo.stamp(stamps) == set()
    assert repo.index.read_bytes() == before


def test_a_conflict_is_left_alone(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r")
    blob = blob_name(pointer_of(CONTENT).encode(), "sha1")
    lines = f"0 {'0' * 40}\ta.bin\n" + "".join(f"100644 {blob} {stage}\ta.bin\n" for stage in (1, 2, 3))
    repo.git.output("update-index", "--index-info", stdin=lines.encode())
    assert repo.stamp(repo.overwrite("a.bin")) == set()


def test_a_size_that_git_versions_store_differently_is_left_alone(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r")
    with (repo.folder / "a.bin").open("r+b") as file:
        file.truncate(1 << 32)
    blob = blob_name(pointer_of(CONTENT).encode(), "sha1")
    assert repo.stamp({"a.bin": Stamp(blob, os.lstat(repo.folder / "a.bin"))}) == set()


def test_a_split_index_a_link_and_a_busy_lock_are_left_to_git(tmp_path: Path) -> None:
    split = Repo(tmp_path / "split")
    split.git.output("update-index", "--split-index")
    assert split.stamp(split.overwrite(*split.paths)) == set()

    linked = Repo(tmp_path / "linked")
    linked.index.rename(tmp_path / "elsewhere")
    linked.index.symlink_to(tmp_path / "elsewhere")
    assert linked.stamp(linked.overwrite("a.bin")) == set()
    assert linked.index.is_symlink()

    busy = Repo(tmp_path / "busy")
    lock = busy.folder / ".git" / "index.lock"
    lock.write_bytes(b"")
    assert busy.stamp(busy.overwrite("a.bin")) == set()
    assert lock.exists()


def test_a_damaged_index_is_not_made_to_look_sound(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r")
    stamps = repo.overwrite("a.bin")
    data = bytearray(repo.index.read_bytes())
    for damaged in (bytes(data[:200]), bytes(data[:70]) + b"\x01" + bytes(data[71:]), b"DIRC", b""):
        repo.index.write_bytes(damaged)
        assert repo.stamp(stamps) == set()
        assert repo.index.read_bytes() == damaged
        assert not (repo.folder / ".git" / "index.lock").exists()


def test_permissions_of_the_index_stay(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r")
    repo.index.chmod(0o640)
    assert repo.stamp(repo.overwrite("a.bin")) == {"a.bin"}
    assert repo.index.stat().st_mode & 0o777 == 0o640


def test_blob_names_are_gits(tmp_path: Path) -> None:
    for object_format in ("sha1", "sha256"):
        git = Git(str(tmp_path))
        git.output("init", "-q", f"--object-format={object_format}", object_format)
        inside = git.at(str(tmp_path / object_format))
        assert blob_name(b"some text", object_format) == inside.text("hash-object", "--stdin", stdin=b"some text")


def test_refresh_looks_at_the_files(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r")
    os.utime(repo.folder / "a.bin", (1, 1))
    (repo.folder / "f000.bin").write_bytes(b"changed, and as long as no pointer is" * 9)
    os.utime(repo.folder / "f000.bin", (OLD, OLD))
    cleaned = repo.git.with_options("-c", "filter.lfs.clean=cat")
    index.refresh(cleaned, ["a.bin", "f000.bin"])
    assert repo.modified() == []
    assert index.entries(repo.git)["f000.bin"].blob == blob_name((repo.folder / "f000.bin").read_bytes(), "sha1")
    with pytest.raises(Exception, match="update-index"):
        index.refresh(cleaned, ["unknown.bin"])


def test_entries_and_sparse_listing(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r")
    repo.git.output("update-index", "--chmod=+x", "a.bin")
    found = index.entries(repo.git)
    assert found["a.bin"].executable
    assert not found["deep/er/ b\tç.bin"].executable
    assert index.lists_sparsely(repo.git) in (True, False)
    repo.git.output("update-index", "--skip-worktree", "f001.bin")
    present = index.present_files(repo.git, ":(top,attr:filter=lfs)")
    assert set(present) == set(repo.paths) - {"f001.bin"}


def test_stamping_survives_gits_own_rewrite(tmp_path: Path) -> None:
    """git reads what was written, changes something else, and writes it again."""
    repo = Repo(tmp_path / "r", files=20)
    assert repo.stamp(repo.overwrite(*repo.paths)) == set(repo.paths)
    (repo.folder / "new.txt").write_text("x")
    subprocess.run(["git", *NO_FILTER, "add", "new.txt"], cwd=repo.folder, check=True)
    assert repo.modified() == []
