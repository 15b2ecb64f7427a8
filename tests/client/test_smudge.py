"""The one-shot smudge filter: content, pointers left as they are, objects from a hub, and what a failure says."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from hundredweight.client.damage import ObjectDamaged
from hundredweight.client.extensions import ExtensionUnavailable
from hundredweight.client.smudge import Smudger, smudge_stream
from hundredweight.protocol.pointer import Extension, Pointer
from tests.clones import Clone, oid_of, pointer_of
from tests.people import Person
from tests.running_hub import RunningHub

LARGE = random.Random(8).randbytes(3_000_000)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person("test", tmp_path / "home")


def smudge(
    clone: Clone, data: bytes, path: str = "a.bin", *, skip: bool = False, **variables: str
) -> tuple[bytes, bool]:
    """The output, and whether the input was no pointer."""
    source, sink = clone.folder / "in", clone.folder / "out"
    source.write_bytes(data)
    workspace = clone.workspace(**variables)
    with source.open("rb") as read, sink.open("wb") as write:
        malformed = smudge_stream(
            workspace, Smudger(workspace, skip=skip), path, read.fileno(), write.fileno(), lambda _line: None
        )
    return sink.read_bytes(), malformed


@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=len)
def test_a_local_object(clone: Clone, content: bytes) -> None:
    clone.store(content)
    assert smudge(clone, pointer_of(content).encode()) == (content, False)


@pytest.mark.parametrize("data", [b"wat", b"version ", b"y" * 1024, LARGE], ids=len)
def test_what_is_no_pointer_passes_through(clone: Clone, data: bytes) -> None:
    assert smudge(clone, data) == (data, True)


def test_skipping_gives_the_canonical_pointer(clone: Clone) -> None:
    clone.store(b"x")
    pointer = pointer_of(b"x").encode()
    assert smudge(clone, pointer.replace(b"\n", b"\r\n"), skip=True) == (pointer, False)
    assert smudge(clone, pointer, GIT_LFS_SKIP_SMUDGE="1") == (pointer, False)
    assert smudge(clone, pointer, GIT_LFS_SKIP_SMUDGE="0") == (b"x", False)


def test_fetch_filters(clone: Clone) -> None:
    clone.store(b"x")
    pointer = pointer_of(b"x").encode()
    clone.git.output("config", "lfs.fetchinclude", "/foo")
    clone.write(".lfsconfig", b"[lfs]\nfetchexclude = /foo/bar\n")
    assert smudge(clone, pointer, "foo/a.bin")[0] == b"x"
    assert smudge(clone, pointer, "foo/bar/a.bin")[0] == pointer
    assert smudge(clone, pointer, "a.bin")[0] == pointer


def test_an_object_of_another_clone_is_linked(clone: Clone, tmp_path: Path) -> None:
    other = Clone(tmp_path / "other")
    other.store(b"shared")
    (clone.folder / ".git/objects/info/alternates").write_text(str(other.folder / ".git/objects") + "\n")
    assert smudge(clone, pointer_of(b"shared").encode())[0] == b"shared"
    assert os.stat(clone.workspace().store.path(oid_of(b"shared"))).st_nlink == 2


def test_an_extension_that_is_not_configured_is_told(clone: Clone) -> None:
    pointer = Pointer(oid_of(b"x"), 1, (Extension("secret", 0, oid_of(b"y")),))
    clone.store(b"x")
    with pytest.raises(ExtensionUnavailable, match="extension 'secret' is not configured"):
        smudge(clone, pointer.encode())
    assert smudge(clone, pointer.encode(), skip=True)[0] == pointer.encode()


def test_an_object_that_shrinks_while_it_is_read_is_told(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.store(b"whole")
    workspace = clone.workspace()
    smudger = Smudger(workspace)
    resolved = smudger.resolve(pointer_of(b"whole").encode(), "a.bin")
    monkeypatch.setattr(smudger, "resolve", lambda *_: resolved)
    Path(workspace.store.path(oid_of(b"whole"))).write_bytes(b"who")
    with (
        open(os.devnull, "rb") as read,
        open(os.devnull, "wb") as write,
        pytest.raises(ObjectDamaged, match=r"'a\.bin' is damaged in the local store; it was moved to"),
    ):
        smudge_stream(workspace, smudger, "a.bin", read.fileno(), write.fileno(), lambda _line: None)


@pytest.mark.parametrize("content", [b"weights\n", LARGE], ids=len)
def test_a_damaged_object_is_told_and_moved_aside(clone: Clone, person: Person, content: bytes) -> None:
    clone.store(content)
    damaged = clone.damage(content)
    pointer = pointer_of(content).encode().decode()
    failed = person.run("git", "lfs", "smudge", "a.bin", cwd=clone.folder, stdin=pointer, check=False)
    assert failed.returncode == ObjectDamaged.exit_code
    aside = clone.folder / ".git/lfs/bad" / oid_of(content)
    assert (
        f"error: object '{oid_of(content)}' of 'a.bin' is damaged in the local store; it was moved to" in failed.stderr
    )
    assert "hint: run the command again" in failed.stderr
    assert not clone.has(content)
    assert aside.read_bytes() == damaged


def test_in_a_store_that_cannot_be_written_the_damaged_object_stays(clone: Clone) -> None:
    clone.store(b"weights\n")
    clone.damage(b"weights\n")
    (clone.folder / ".git/lfs/bad").write_text("in the way")
    with pytest.raises(ObjectDamaged, match=r"in the local store$") as caught:
        smudge(clone, pointer_of(b"weights\n").encode())
    assert "git lfs fetch --refetch" in caught.value.hint
    assert clone.has(b"weights\n")


def test_the_command(clone: Clone, person: Person) -> None:
    clone.store(b"weights\n")
    pointer = pointer_of(b"weights\n").encode().decode()
    assert person.run("git", "lfs", "smudge", "--", "a.bin", cwd=clone.folder, stdin=pointer).stdout == "weights\n"
    assert (
        person.run("git", "lfs", "smudge", "--skip", "--", "a.bin", cwd=clone.folder, stdin=pointer).stdout == pointer
    )
    late = person.run("git", "lfs", "smudge", "a.bin", "-s", cwd=clone.folder, stdin=pointer)
    assert late.stdout == pointer
    bad = person.run("git", "lfs", "smudge", cwd=clone.folder, stdin="wat")
    assert bad.stdout == "wat"
    told, hint = bad.stderr.splitlines()
    assert told == 'Unable to parse pointer at: "<unknown file>"'
    assert hint.startswith("hint: ")
    assert "'git add --renormalize PATH'" in hint


def test_without_a_server_the_pointer_stays(clone: Clone, person: Person) -> None:
    pointer = pointer_of(b"missing").encode().decode()
    failed = person.run("git", "lfs", "smudge", "a.bin", cwd=clone.folder, stdin=pointer, check=False)
    assert (failed.returncode, failed.stdout) == (2, pointer)
    assert f"Error downloading object: a.bin ({oid_of(b'missing')[:7]}): Smudge error" in failed.stderr
    assert "hint: run 'git lfs env' to see the endpoints" in failed.stderr
    assert "; then repeat the command (after 'git clone'" in failed.stderr
    skipped = person.run(
        "git", "lfs", "smudge", "a.bin", cwd=clone.folder, stdin=pointer, GIT_LFS_SKIP_DOWNLOAD_ERRORS="1"
    )
    assert skipped.stdout == pointer
    clone.git.output("config", "lfs.skipdownloaderrors", "true")
    assert person.run("git", "lfs", "smudge", "a.bin", cwd=clone.folder, stdin=pointer).stdout == pointer


def test_a_missing_object_is_downloaded(clone: Clone, hub: RunningHub, tmp_path: Path) -> None:
    person = hub.person(tmp_path / "user", "user")
    name = hub.new_name()
    hub.api("POST", "/repositories", {"name": name})
    pointer = hub.upload(name, b"from the hub\n")
    clone.git.output("remote", "add", "origin", hub.remote(name))
    log = tmp_path / "progress"
    done = person.run("git", "lfs", "smudge", "a.bin", cwd=clone.folder, stdin=pointer, GIT_LFS_PROGRESS=str(log))
    assert done.stdout == "from the hub\n"
    assert done.stderr == "Downloading a.bin (13 B)\n"
    assert log.read_text() == "download 1/1 13/13 a.bin\n"
    assert clone.has(b"from the hub\n")


def test_other_remotes_are_searched_when_asked(clone: Clone, hub: RunningHub, tmp_path: Path) -> None:
    person = hub.person(tmp_path / "user", "searcher")
    empty, full = hub.new_name(), hub.new_name()
    for name in (empty, full):
        hub.api("POST", "/repositories", {"name": name})
    pointer = hub.upload(full, b"elsewhere\n")
    clone.git.output("remote", "add", "origin", hub.remote(empty))
    clone.git.output("remote", "add", "other", hub.remote(full))
    assert person.run("git", "lfs", "smudge", cwd=clone.folder, stdin=pointer, check=False).returncode == 2
    clone.git.output("config", "lfs.remote.searchall", "true")
    assert person.run("git", "lfs", "smudge", cwd=clone.folder, stdin=pointer).stdout == "elsewhere\n"
