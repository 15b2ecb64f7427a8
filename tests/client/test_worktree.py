"""Writing objects into the work tree: what is written, what stays, where no path may lead, and what git says afterwards."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from hundredweight.client import spares, worktree
from hundredweight.client.damage import ObjectDamaged
from hundredweight.client.worktree import ObjectAbsent, PathConflict, WorktreeWriter, Write
from hundredweight.protocol.pointer import Extension, Pointer
from tests.clones import Clone, oid_of, pointer_of
from tests.people import Person

CONTENT = b"weights " * 5000


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Two files as pointers, their objects in the store, git's filter as `git lfs install` sets it."""
    made = Clone(tmp_path / "clone")
    for name, value in (("clean", "git-lfs clean -- %f"), ("process", "git-lfs filter-process"), ("required", "true")):
        made.git.output("config", f"filter.lfs.{name}", value)
    made.write(".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n")
    made.put("a.bin", CONTENT)
    made.put("deep/er/b.bin", b"other")
    made.commit()
    return made


def write(clone: Clone, *paths: str, content: bytes = CONTENT) -> list[Write]:
    with WorktreeWriter(clone.workspace()) as writer:
        for path in paths:
            writer.write(path, pointer_of(content))
        return writer.finish()


def modified(clone: Clone) -> list[str]:
    return clone.git.fields("status", "--porcelain", "-z")


def test_pointers_become_content_and_git_sees_nothing_modified(clone: Clone) -> None:
    with WorktreeWriter(clone.workspace()) as writer:
        writer.write("a.bin", pointer_of(CONTENT))
        writer.write("deep/er/b.bin", pointer_of(b"other"))
        results = writer.finish()
    assert {(r.path, r.written, r.error) for r in results} == {("a.bin", True, None), ("deep/er/b.bin", True, None)}
    assert (clone.folder / "a.bin").read_bytes() == CONTENT
    assert (clone.folder / "deep/er/b.bin").read_bytes() == b"other"
    assert modified(clone) == []


def test_the_index_knows_without_a_look_at_the_content(clone: Clone) -> None:
    write(clone, "a.bin")
    os.utime(clone.folder / ".git" / "index", (2**31, 2**31))  # no entry is racy then
    clone.git.output("config", "filter.lfs.process", "")
    clone.git.output("config", "filter.lfs.clean", "false")
    assert clone.git.fields("diff-files", "--name-only", "-z") == []


def test_no_entry_is_racy_and_a_change_of_the_same_second_is_seen(clone: Clone) -> None:
    write(clone, "a.bin")
    info = (clone.folder / "a.bin").stat()
    assert int(info.st_mtime) < int((clone.folder / ".git" / "index").stat().st_mtime)
    (clone.folder / "a.bin").write_bytes(CONTENT[::-1])
    assert modified(clone) == [" M a.bin"]


def test_missing_files_and_folders_come_back_with_their_executable_bit(clone: Clone) -> None:
    (clone.folder / "deep/er/b.bin").chmod(0o755)
    clone.commit()
    os.unlink(clone.folder / "a.bin")
    os.unlink(clone.folder / "deep/er/b.bin")
    os.rmdir(clone.folder / "deep/er")
    write(clone, "a.bin")
    write(clone, "deep/er/b.bin", content=b"other")
    assert stat.S_IMODE((clone.folder / "deep/er/b.bin").stat().st_mode) & 0o111
    assert not stat.S_IMODE((clone.folder / "a.bin").stat().st_mode) & 0o111
    assert modified(clone) == []


def test_permissions_of_a_replaced_file_stay(clone: Clone) -> None:
    (clone.folder / "a.bin").chmod(0o440)
    write(clone, "a.bin")
    assert stat.S_IMODE((clone.folder / "a.bin").stat().st_mode) == 0o440


@pytest.mark.parametrize("kept", [b"changed by hand", pointer_of(b"another version").encode(), b"x" * 5000, b""])
def test_what_somebody_changed_stays(clone: Clone, kept: bytes) -> None:
    (clone.folder / "a.bin").write_bytes(kept)
    (result,) = write(clone, "a.bin")
    assert (result.written, result.error) == (False, None)
    assert (clone.folder / "a.bin").read_bytes() == kept


def test_a_file_deleted_in_the_index_stays_away(clone: Clone) -> None:
    clone.git.output("rm", "-q", "a.bin")
    (result,) = write(clone, "a.bin")
    assert (result.written, result.error) == (False, None)
    assert not (clone.folder / "a.bin").exists()


def test_an_absent_object_leaves_or_restores_the_pointer(clone: Clone) -> None:
    os.unlink(clone.workspace().store.path(oid_of(CONTENT)))
    os.unlink(clone.folder / "a.bin")
    (result,) = write(clone, "a.bin")
    assert isinstance(result.error, ObjectAbsent)
    assert (clone.folder / "a.bin").read_bytes() == pointer_of(CONTENT).encode()
    (result,) = write(clone, "a.bin")
    assert isinstance(result.error, ObjectAbsent)


def test_an_object_of_the_wrong_size_is_not_used(clone: Clone) -> None:
    Path(clone.workspace().store.path(oid_of(CONTENT))).write_bytes(CONTENT[:-1])
    (result,) = write(clone, "a.bin")
    assert isinstance(result.error, ObjectAbsent)
    assert (clone.folder / "a.bin").read_bytes() == pointer_of(CONTENT).encode()


@pytest.mark.parametrize("there", [True, False], ids=["pointer", "nothing"])
def test_a_damaged_object_is_not_used_and_moved_aside(clone: Clone, there: bool) -> None:
    damaged = clone.damage(CONTENT)
    if not there:
        (clone.folder / "a.bin").unlink()
    results = {
        result.path: result for result in write(clone, "a.bin") + write(clone, "deep/er/b.bin", content=b"other")
    }
    error = results["a.bin"].error
    assert isinstance(error, ObjectDamaged)
    assert Path(error.aside).read_bytes() == damaged
    assert results["deep/er/b.bin"].written
    assert (clone.folder / "a.bin").exists() == there
    assert not there or (clone.folder / "a.bin").read_bytes() == pointer_of(CONTENT).encode()
    assert os.listdir(clone.workspace().store.temp) == []


def test_hard_links_are_broken(clone: Clone, tmp_path: Path) -> None:
    os.link(clone.folder / "a.bin", tmp_path / "other name")
    write(clone, "a.bin")
    assert (tmp_path / "other name").read_bytes() == pointer_of(CONTENT).encode()


def test_links_and_folders_in_the_way_are_refused(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    os.unlink(clone.folder / "a.bin")
    (clone.folder / "a.bin").symlink_to(tmp_path / "outside" / "target")
    os.unlink(clone.folder / "deep/er/b.bin")
    os.rmdir(clone.folder / "deep/er")
    (clone.folder / "deep/er").symlink_to(tmp_path / "outside")
    for result in write(clone, "a.bin", "deep/er/b.bin"):
        assert isinstance(result.error, PathConflict)
        assert "not a" in str(result.error)
    assert list((tmp_path / "outside").iterdir()) == []
    os.unlink(clone.folder / "deep/er")
    (clone.folder / "deep/er").write_bytes(b"a file")
    (result,) = write(clone, "deep/er/b.bin")
    assert "not a directory" in str(result.error)


@pytest.mark.parametrize(
    "path", ["../out.bin", ".git/hooks/post-checkout", "deep/../../out.bin", "deep//x", ".GIT/config", "/etc/x"]
)
def test_no_path_leaves_the_work_tree_or_enters_the_git_folder(clone: Clone, tmp_path: Path, path: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    (result,) = write(clone, path)
    assert isinstance(result.error, PathConflict)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_extension_that_is_not_configured_is_told(clone: Clone) -> None:
    pointer = Pointer(oid_of(CONTENT), len(CONTENT), (Extension("secret", 0, oid_of(b"x")),))
    (clone.folder / "a.bin").write_bytes(pointer.encode())
    with WorktreeWriter(clone.workspace()) as writer:
        writer.write("a.bin", pointer)
        (result,) = writer.finish()
    assert str(result.error) == "extension 'secret' is not configured"
    assert (clone.folder / "a.bin").read_bytes() == pointer.encode()


def test_a_full_disk_is_told_and_leaves_no_file(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(worktree, "copy_content", no_space)
    monkeypatch.setattr(worktree, "clone_file", lambda *_: False)
    (result,) = write(clone, "a.bin")
    assert result.error is not None
    assert "no space left on device" in str(result.error)
    assert "free some disk space" in result.error.hint
    assert (clone.folder / "a.bin").read_bytes() == pointer_of(CONTENT).encode()
    assert os.listdir(clone.workspace().store.temp) == []


def test_files_that_git_converts_are_left_to_git(clone: Clone) -> None:
    """With `text`, git would convert line ends on top of the filter: only git knows whether the file counts as modified."""
    clone.write(".gitattributes", b"*.bin filter=lfs text eol=lf\n")
    before = (clone.folder / ".git" / "index").stat().st_ino
    (result,) = write(clone, "a.bin")
    assert result.written
    assert (clone.folder / ".git" / "index").stat().st_ino != before
    assert modified(clone) == [" M .gitattributes"]


def test_many_files_from_many_threads(clone: Clone) -> None:
    names = [f"many/{number % 7}/{number}.bin" for number in range(200)]
    for name in names:
        clone.put(name, name.encode() * 50)
    clone.commit()
    seen: list[str] = []
    with WorktreeWriter(clone.workspace(), on_done=lambda result: seen.append(result.path)) as writer:
        for name in names:
            writer.write(name, pointer_of(name.encode() * 50))
        results = writer.finish()
    assert sorted(seen) == sorted(names)
    assert all(result.written for result in results)
    assert all((clone.folder / name).read_bytes() == name.encode() * 50 for name in names)
    assert modified(clone) == []


EXCHANGES = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets two files change places")


@EXCHANGES
def test_a_pointers_inode_serves_the_next_file(clone: Clone) -> None:
    for name in ("1.bin", "2.bin", "3.bin"):
        clone.put(name, name.encode() * 1000)
    clone.commit()
    before = [inode(clone, f"{number}.bin") for number in (1, 2, 3)]
    with WorktreeWriter(clone.workspace()) as writer:
        for name in ("1.bin", "2.bin", "3.bin"):
            writer.write(name, pointer_of(name.encode() * 1000), hashed=True)
        results = writer.finish()
    assert all(result.written for result in results)
    assert [inode(clone, "2.bin"), inode(clone, "3.bin")] == before[:2]
    assert all((clone.folder / name).read_bytes() == name.encode() * 1000 for name in ("1.bin", "2.bin", "3.bin"))
    assert leftovers(clone) == []
    assert modified(clone) == []


@EXCHANGES
def test_a_pointer_with_a_second_name_is_not_written_to(clone: Clone, tmp_path: Path) -> None:
    clone.put("0.bin", b"first" * 1000)
    clone.commit()
    os.link(clone.folder / "0.bin", tmp_path / "kept")
    pointer = (tmp_path / "kept").read_bytes()
    with WorktreeWriter(clone.workspace()) as writer:
        writer.write("0.bin", pointer_of(b"first" * 1000), hashed=True)
        writer.write("a.bin", pointer_of(CONTENT), hashed=True)
        writer.finish()
    assert (tmp_path / "kept").read_bytes() == pointer
    assert (clone.folder / "a.bin").read_bytes() == CONTENT


def test_a_spare_pointer_never_shows_in_what_is_shorter(clone: Clone) -> None:
    clone.put("empty.bin", b"x")
    clone.commit()
    with WorktreeWriter(clone.workspace()) as writer:
        writer.write("a.bin", pointer_of(CONTENT), hashed=True)
        writer.write("empty.bin", pointer_of(b"x"), hashed=True)
        writer.write("deep/er/b.bin", pointer_of(b"other"), hashed=True)
        writer.finish()
    assert (clone.folder / "empty.bin").read_bytes() == b"x"
    assert (clone.folder / "deep/er/b.bin").read_bytes() == b"other"
    assert leftovers(clone) == []


def test_where_files_cannot_change_places_they_are_renamed(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "find_exchange", lambda: lambda _one, _other: False)
    before = inode(clone, "a.bin")
    with WorktreeWriter(clone.workspace()) as writer:
        writer.write("a.bin", pointer_of(CONTENT), hashed=True)
        writer.write("deep/er/b.bin", pointer_of(b"other"), hashed=True)
        writer.finish()
    assert (clone.folder / "a.bin").read_bytes() == CONTENT
    assert inode(clone, "a.bin") != before
    assert leftovers(clone) == []
    assert modified(clone) == []


def inode(clone: Clone, name: str) -> int:
    return (clone.folder / name).stat().st_ino


def leftovers(clone: Clone) -> list[Path]:
    return list((clone.folder / ".git" / "lfs" / "tmp").iterdir())


def test_nothing_to_do_touches_nothing(clone: Clone) -> None:
    before = (clone.folder / ".git" / "index").stat()
    with WorktreeWriter(clone.workspace()) as writer:
        assert writer.finish() == []
    assert (clone.folder / ".git" / "index").stat() == before


def test_a_crash_in_a_thread_is_raised_by_finish(clone: Clone) -> None:
    def crash(_result: Write) -> None:
        raise RuntimeError("in the meter")

    with WorktreeWriter(clone.workspace(), on_done=crash) as writer:
        writer.write("a.bin", pointer_of(CONTENT))
        with pytest.raises(RuntimeError, match="in the meter"):
            writer.finish()


def test_a_shared_repository_shares_its_store_and_not_the_work_tree(clone: Clone, tmp_path: Path) -> None:
    clone.git.output("config", "core.sharedRepository", "group")
    os.unlink(clone.folder / "deep/er/b.bin")
    os.rmdir(clone.folder / "deep/er")
    person = Person("test", tmp_path / "home")
    person.run("sh", "-c", "umask 022 && git lfs checkout && printf new | git lfs clean", cwd=clone.folder)
    assert stat.S_IMODE((clone.folder / "deep/er/b.bin").stat().st_mode) == 0o644
    assert stat.S_IMODE((clone.folder / "deep/er").stat().st_mode) == 0o755
    stored = Path(clone.workspace().store.path(oid_of(b"new")))
    assert stat.S_IMODE(stored.stat().st_mode) == 0o660
    assert stat.S_IMODE(stored.parent.stat().st_mode) & 0o777 == 0o770
