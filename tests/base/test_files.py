"""A file appears whole under its final name, or not at all."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base import files


def test_commit_publishes_what_was_written(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "file"
    with files.AtomicFile(str(target), temp_folder=str(tmp_path), durable=True) as out:
        out.write(b"one")
        out.write(memoryview(b"two"))
        assert not target.exists()
        out.commit()
    assert target.read_bytes() == b"onetwo"
    assert out.size == 6
    assert list(tmp_path.iterdir()) == [tmp_path / "deep"]


def test_what_is_known_late_is_written_in_its_place(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with files.AtomicFile(str(target)) as out:
        out.write(b"sum:????, data")
        out.write_at(4, b"1234")
        out.write(b".")
        assert out.size == 15
        out.write_at(14, memoryview(b"!!!"))
        assert out.size == 17
        out.commit()
    assert target.read_bytes() == b"sum:1234, data!!!"


def test_leaving_without_commit_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with files.AtomicFile(str(target)) as out:
        out.write(b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    out.abort()


def test_a_name_chosen_late(tmp_path: Path) -> None:
    with files.AtomicFile("", temp_folder=str(tmp_path / "tmp")) as out:
        out.write(b"x")
        out.commit(str(tmp_path / "aa" / "name"))
    assert (tmp_path / "aa" / "name").read_bytes() == b"x"


def test_a_folder_in_the_way_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    with files.AtomicFile(str(tmp_path / "name")) as out, pytest.raises(files.WriteError) as caught:
        out.commit()
    assert caught.value.path == str(tmp_path / "name")
    assert [entry.name for entry in tmp_path.iterdir()] == ["name"]


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel refuse the write, as a full disk does."""
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        with files.AtomicFile(str(tmp_path / "big")) as out, pytest.raises(files.WriteError) as caught:
            out.write(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_disk_full_has_a_hint() -> None:
    error = files.WriteError("x", OSError(errno.ENOSPC, "No space left on device"))
    assert "free some disk space" in error.hint
    assert "'x'" in error.message


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(files.WriteError):
        files.AtomicFile(str(tmp_path / "file" / "below"))


@given(data=st.binary(max_size=5000), cut=st.integers(0, 6000))
def test_copy_content_copies_what_is_there(data: bytes, cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("copy")
    (folder / "from").write_bytes(data)
    moved: list[int] = []
    source = os.open(folder / "from", os.O_RDONLY)
    target = files.open_exclusive(str(folder / "to"))
    try:
        assert files.copy_content(source, target, cut, moved.append) == min(cut, len(data)) == sum(moved)
    finally:
        os.close(source)
        os.close(target)
    assert (folder / "to").read_bytes() == data[:cut]


def test_copy_content_falls_back_to_a_buffer(tmp_path: Path) -> None:
    """A pipe is nothing the kernel's file copy takes."""
    reader, writer = os.pipe()
    os.write(writer, b"content")
    os.close(writer)
    target = files.open_exclusive(str(tmp_path / "to"))
    try:
        assert files.copy_content(reader, target, 100) == 7
    finally:
        os.close(reader)
        os.close(target)
    assert (tmp_path / "to").read_bytes() == b"content"


def test_open_append_keeps_what_is_there(tmp_path: Path) -> None:
    path = str(tmp_path / "new" / "part")
    for _ in range(2):
        descriptor = files.open_append(path)
        os.lseek(descriptor, 0, os.SEEK_END)
        os.write(descriptor, b"ab")
        os.close(descriptor)
    assert Path(path).read_bytes() == b"abab"


def test_temp_paths_differ(tmp_path: Path) -> None:
    assert len({files.temp_path(str(tmp_path)) for _ in range(100)}) == 100


def test_clone_file_says_whether_it_worked(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"data" * 1024)
    with (tmp_path / "from").open("rb") as source, (tmp_path / "to").open("wb") as target:
        worked = files.clone_file(source.fileno(), target.fileno())
    assert (tmp_path / "to").read_bytes() == (b"data" * 1024 if worked else b"")


def test_read_chunks_gives_everything_in_order(tmp_path: Path) -> None:
    files.write_file(str(tmp_path / "f"), b"abcdefg")
    descriptor = os.open(tmp_path / "f", os.O_RDONLY)
    assert list(files.read_chunks(descriptor, 3)) == [b"abc", b"def", b"g"]
    os.close(descriptor)


def test_a_folder_that_another_thread_makes_meanwhile_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temp").write_bytes(b"bytes")
    target = tmp_path / "deep" / "file"
    replace = os.replace

    def late(source: str, final: str) -> None:
        monkeypatch.setattr(os, "replace", replace)
        target.parent.mkdir()
        raise FileNotFoundError(errno.ENOENT, "no such folder when it was looked for")

    monkeypatch.setattr(os, "replace", late)
    files.publish(str(tmp_path / "temp"), str(target))
    assert target.read_bytes() == b"bytes"


def test_of_several_new_files_one_wins(tmp_path: Path) -> None:
    target = str(tmp_path / "deep" / "er" / "file")
    for content, wins in ((b"first", True), (b"second", False)):
        with files.AtomicFile("", temp_folder=str(tmp_path), durable=True) as out:
            out.write(content)
            assert out.commit_new(target) is wins
    assert Path(target).read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_making_folders_is_repeatable_and_minds_files(tmp_path: Path) -> None:
    for _ in range(2):
        files.make_folders(str(tmp_path / "a" / "b"), durable=True)
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"file"):
        files.make_folders(str(tmp_path / "file" / "c"))
    with pytest.raises(FileExistsError):
        files.make_folders(str(tmp_path / "file"))
