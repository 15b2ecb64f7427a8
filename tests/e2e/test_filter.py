"""The filter between a real git and a real hub: add, clone with delayed files, switching, and objects that cannot be had."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from hundredweight.client.damage import ObjectDamaged
from tests.clones import Clone, oid_of, pointer_of
from tests.people import Person
from tests.running_hub import RunningHub

RANDOM = random.Random(11)
FILES = {f"layer {number:02}/w.bin": RANDOM.randbytes(20_000 + number) for number in range(30)}
FILES["large.bin"] = RANDOM.randbytes(4_000_000)
FILES["copy.bin"] = FILES["large.bin"]
FILES["empty.bin"] = b""


@pytest.fixture
def person(hub: RunningHub, tmp_path: Path) -> Person:
    made = hub.person(tmp_path / "user", "user")
    made.git("lfs", "install", "--skip-repo")
    return made


@pytest.fixture
def published(hub: RunningHub, person: Person) -> tuple[str, Path]:
    """A pushed repository: its URL and where it was made."""
    url = hub.remote(hub.new_name())
    folder = person.repository("work")
    (folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    person.commit(folder, FILES)
    person.git("tag", "v1", cwd=folder)
    person.commit(folder, {"large.bin": b"second version"})
    person.git("remote", "add", "origin", url, cwd=folder)
    person.git("push", "-q", "--set-upstream", "origin", "main", "v1", cwd=folder)
    return url, folder


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_a_clone_fetches_in_parallel_while_git_goes_on(person: Person, published: tuple[str, Path]) -> None:
    url, _ = published
    done = person.run("git", "clone", url, "copy", GIT_TRACE="1", GIT_TRACE_PACKET="1")
    copy = person.home / "copy"
    assert contents(copy) == FILES | {"large.bin": b"second version"}
    assert "status=delayed" in done.stderr
    assert "command=list_available_blobs" in done.stderr
    # all objects in one batch, although there are 32 files
    assert done.stderr.count("tq: sending batch of size") == 1
    assert person.git("status", "--porcelain", cwd=copy) == ""
    assert os.listdir(copy / ".git/lfs/tmp") == []


def test_switching_between_local_versions_asks_nobody(person: Person, published: tuple[str, Path]) -> None:
    _, folder = published
    person.git("remote", "set-url", "origin", "http://127.0.0.1:9/nobody", cwd=folder)
    person.git("checkout", "-q", "v1", cwd=folder)
    assert contents(folder) == FILES
    person.git("checkout", "-q", "main", cwd=folder)
    assert (folder / "large.bin").read_bytes() == b"second version"


@pytest.mark.parametrize("name", ["copy.bin", "layer 07/w.bin"])
def test_a_damaged_object_fails_the_checkout_and_the_next_one_mends_it(
    person: Person, published: tuple[str, Path], name: str
) -> None:
    _, folder = published
    person.git("checkout", "-q", "--orphan", "empty", cwd=folder)
    person.git("rm", "-rfq", ".", cwd=folder)
    person.git("commit", "-q", "--allow-empty", "-m", "empty", cwd=folder)
    Clone(folder).damage(FILES[name])
    failed = person.run("git", "checkout", "-q", "v1", cwd=folder, check=False)
    assert failed.returncode != 0
    assert f"error: object '{oid_of(FILES[name])}' of '{name}' is damaged in the local store" in failed.stderr
    assert not (folder / name).exists()
    person.git("checkout", "-q", "--force", "v1", cwd=folder)
    assert contents(folder) == FILES
    assert person.git("status", "--porcelain", cwd=folder) == ""


def test_pull_downloads_a_damaged_object_anew(person: Person, published: tuple[str, Path]) -> None:
    url, _ = published
    person.git("clone", "-q", url, "copy")
    copy = person.home / "copy"
    (copy / "large.bin").write_bytes(pointer_of(b"second version").encode())
    Clone(copy).damage(b"second version")
    missing = person.run("git", "lfs", "checkout", cwd=copy, check=False)
    assert missing.returncode == ObjectDamaged.exit_code
    assert "of 'large.bin' is damaged in the local store" in missing.stderr
    Clone(copy).store(b"second version")
    Clone(copy).damage(b"second version")
    done = person.run("git", "lfs", "pull", cwd=copy)
    assert "of 'large.bin' is damaged in the local store" in done.stderr
    assert "downloading it anew" in done.stderr
    assert contents(copy) == FILES | {"large.bin": b"second version"}
    assert person.git("status", "--porcelain", cwd=copy) == ""


def test_one_lost_object_fails_the_checkout_and_says_which(
    person: Person, published: tuple[str, Path], hub: RunningHub
) -> None:
    url, _ = published
    person.git("clone", "-q", "--no-checkout", url, "copy", GIT_LFS_SKIP_SMUDGE="1")
    copy = person.home / "copy"
    # a pointer to an object that the hub never saw
    lost = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 7\n"
    person.git("reset", "-q", cwd=copy)
    person.git("checkout", "-q", "--", ".gitattributes", cwd=copy)
    (copy / "lost.bin").write_text(lost)
    person.git("add", "lost.bin", cwd=copy)
    person.git("commit", "-q", "-m", "lost", cwd=copy)
    (copy / "lost.bin").unlink()
    failed = person.run("git", "checkout", "-f", "HEAD", "--", ".", cwd=copy, check=False)
    assert failed.returncode != 0
    assert "Error downloading object: lost.bin (abababa)" in failed.stderr
    assert "the server does not have it: whoever has must run 'git lfs push --all REMOTE'" in failed.stderr
    assert "can be reached" not in failed.stderr
    skipped = person.run("git", "checkout", "-f", "HEAD", "--", ".", cwd=copy, GIT_LFS_SKIP_DOWNLOAD_ERRORS="1")
    assert "Error downloading object: lost.bin" in skipped.stderr
    assert (copy / "lost.bin").read_text() == lost
    assert contents(copy) == FILES | {"large.bin": b"second version"}


def test_an_unreachable_hub_leaves_a_repository_that_can_be_completed(
    person: Person, published: tuple[str, Path]
) -> None:
    url, _ = published
    failed = person.run(
        "git",
        "clone",
        "-c",
        "lfs.url=http://127.0.0.1:9/nobody",
        "-c",
        "lfs.transfer.maxretries=1",
        url,
        "copy",
        check=False,
    )
    assert failed.returncode != 0
    assert "Error downloading object" in failed.stderr
    assert "after 'git clone': 'git reset --hard' in the clone" in failed.stderr
    copy = person.home / "copy"
    person.git("config", "--unset", "lfs.url", cwd=copy)
    person.git("reset", "--hard", cwd=copy)
    assert contents(copy) == FILES | {"large.bin": b"second version"}
    assert person.git("status", "--porcelain", cwd=copy) == ""


def test_a_file_that_missed_the_filter_is_told(person: Person, published: tuple[str, Path]) -> None:
    _, folder = published
    (folder / "raw.bin").write_bytes(b"not a pointer")
    without = ("-c", "filter.lfs.process=", "-c", "filter.lfs.clean=cat", "-c", "filter.lfs.required=false")
    person.git(*without, "add", "raw.bin", cwd=folder)
    person.git("commit", "-q", "-m", "raw", cwd=folder)
    done = person.run("git", "clone", "-q", str(folder), "copy")
    assert "Encountered 1 file that should have been a pointer, but wasn't:\n\traw.bin\n" in done.stderr
    assert (person.home / "copy" / "raw.bin").read_bytes() == b"not a pointer"


def test_what_was_added_is_in_the_store(person: Person, published: tuple[str, Path]) -> None:
    _, folder = published
    person.run("git", "lfs", "fsck", cwd=folder)
    oid = oid_of(FILES["large.bin"])
    stored = folder / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid
    assert stored.read_bytes() == FILES["large.bin"]
