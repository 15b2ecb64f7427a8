"""The backend in a folder: the contract, and what only files can get wrong."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path

import pytest

from hundredweight.backend import folder, stage
from hundredweight.backend.folder import FolderBackend
from hundredweight.backend.interface import Backend, BackendFailed, BackendFull, KeyMissing
from tests.backend.contract import BackendContract


@pytest.fixture
def files(tmp_path: Path) -> FolderBackend:
    return FolderBackend(str(tmp_path / "root"), str(tmp_path / "temp"))


class TestFolderBackend(BackendContract):
    @pytest.fixture
    def backend(self, files: FolderBackend) -> Backend:
        return files


def test_a_value_is_one_read_only_file_under_its_key(files: FolderBackend) -> None:
    files.put("ab/cd/value", b"bytes")
    path = Path(files.root) / "ab" / "cd" / "value"
    assert path.read_bytes() == b"bytes"
    assert path.stat().st_mode & 0o222 == 0
    assert path.stat().st_nlink == 1
    assert files.local_path("ab/cd/value") == str(path)


def test_clean_removes_what_the_dead_left(files: FolderBackend) -> None:
    with files.writer() as writer:
        writer.write([b"half"])
        assert FolderBackend(files.root, files.temp).clean() == 1
        assert os.listdir(files.temp) == []
    assert FolderBackend(files.root, files.temp).clean() == 0


def test_a_folder_that_cannot_be_made_says_which(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BackendFailed, match=r"cannot make .*file/root"):
        FolderBackend(str(tmp_path / "file" / "root"), str(tmp_path / "temp"))


def test_a_full_disk_is_told_apart_and_leaves_nothing(files: FolderBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(BackendFull) as caught, files.writer() as writer:
        writer.write([b"bytes"])
    assert caught.value.temporary
    assert os.listdir(files.temp) == []


@pytest.mark.parametrize(("number", "temporary"), [(errno.EIO, True), (errno.EACCES, False)])
def test_an_error_of_the_disk_is_mapped(
    files: FolderBackend, monkeypatch: pytest.MonkeyPatch, number: int, temporary: bool
) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with files.writer() as writer:
        writer.write([b"bytes"])
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(BackendFailed, match=os.strerror(number)) as caught:
            writer.commit("k")
    assert caught.value.temporary is temporary
    assert files.stat("k") is None
    assert os.listdir(files.temp) == []


def test_long_writes_wait_for_the_disk_on_the_way(files: FolderBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(folder, "SYNC_EVERY", 100)
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with files.writer() as writer:
        for _ in range(5):
            writer.write([b"x" * 50])
    assert len(synced) == 2


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_a_read_given_up_holds_no_descriptor(files: FolderBackend) -> None:
    files.put("k", b"value")
    before = len(os.listdir("/proc/self/fd"))
    pieces = files.read("k")
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del pieces
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(KeyMissing):
        files.read("other")


@pytest.mark.parametrize("at", ["open", "write"])
def test_a_file_system_without_direct_writes_takes_blocks_too(
    files: FolderBackend, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    made = files.stage("s", create=True)
    assert made is not None
    tried: list[str] = []

    def refuse(path: str) -> int:
        tried.append(path)
        if at == "open":
            raise OSError(errno.EINVAL, "no direct writes here")
        return os.open(path, os.O_RDONLY)

    monkeypatch.setattr(stage, "open_direct", refuse)
    if at == "write":
        write = os.pwrite

        def no_write(descriptor: int, data: memoryview, offset: int) -> int:
            if not done:
                done.append(1)
                raise OSError(errno.EINVAL, "no direct writes here")
            return write(descriptor, data, offset)

        done: list[int] = []
        monkeypatch.setattr(os, "pwrite", no_write)
    block = memoryview(mmap.mmap(-1, 8192))
    block[:5] = b"hello"
    made.write_block(0, block)
    made.write_block(8192, block)
    assert len(tried) == 1
    buffer = bytearray(8192)
    assert made.read_into(8192, memoryview(buffer)) == 8192
    assert buffer == block
