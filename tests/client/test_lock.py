"""Lock, unlock and list, against a server with locks."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hundredweight.client.lock import LockFailed, lock
from hundredweight.client.lock_cache import LockCache, NothingCached
from hundredweight.client.locking import BadLockPath, Locking, lock_path
from hundredweight.client.locks import LockFilter, own_locks, remote_locks, verifiable_locks
from hundredweight.client.unlock import FORCED, FileModified, UnlockFailed, unlock_id, unlock_path
from hundredweight.protocol.locks import Lock
from hundredweight.transfer.http import HttpError
from tests.clones import Clone
from tests.transfer.faulty import FaultyServer, Status


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def clone(tmp_path: Path, server: FaultyServer) -> Clone:
    made = Clone(tmp_path / "clone")
    made.write(".gitattributes", b"*.dat lockable\n")
    made.put("a.dat", b"a")
    made.put("sub/b.dat", b"b")
    made.put("c.bin", b"c")
    made.commit()
    made.git.output("config", "lfs.url", server.url)
    return made


@pytest.fixture
def locking(clone: Clone) -> Iterator[Locking]:
    with Locking(clone.workspace()) as opened:
        yield opened


def refuse_warnings(text: str) -> None:
    raise AssertionError(text)


def writable(clone: Clone, path: str) -> bool:
    return bool((clone.folder / path).stat().st_mode & stat.S_IWUSR)


def test_a_locked_file_is_writable_and_remembered(clone: Clone, locking: Locking, server: FaultyServer) -> None:
    (clone.folder / "a.dat").chmod(0o444)
    made = lock(locking, "a.dat")
    assert made == Lock("id-0", "a.dat", "me", "2026-01-02T03:04:05Z")
    assert writable(clone, "a.dat")
    assert own_locks(locking, LockFilter()) == [made]
    assert json.loads(server.seen("POST", "/locks")[0].body) == {"path": "a.dat", "ref": {"name": "refs/heads/main"}}


def test_a_file_that_is_not_there_can_be_locked(locking: Locking) -> None:
    assert lock(locking, "new.dat").path == "new.dat"


def test_a_lock_in_the_way(locking: Locking) -> None:
    lock(locking, "a.dat")
    with pytest.raises(LockFailed, match=r"^Locking a\.dat failed: lock already created$"):
        lock(locking, "a.dat")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (Status(403, "read only"), "read only"),
        (Status(500), "Server error: http"),
        (Status(200, raw=b'{"message":"no"}'), "server unable to create lock: no"),
        (Status(200, raw=b"{}"), "invalid server response"),
        (Status(200, html=True), "Expected JSON type"),
    ],
)
def test_refusals(locking: Locking, server: FaultyServer, status: Status, said: str) -> None:
    server.locks.append(status)
    with pytest.raises(LockFailed, match=r"Locking a\.dat failed: ") as caught:
        lock(locking, "a.dat")
    assert said in str(caught.value)
    assert locking.cache.own() == []


def test_unlocking_makes_read_only_what_is_lockable(clone: Clone, locking: Locking) -> None:
    lock(locking, "a.dat")
    lock(locking, "c.bin")
    unlock_path(locking, "a.dat", force=False, warn=refuse_warnings)
    unlock_id(locking, "id-1", force=False, warn=refuse_warnings)
    assert not writable(clone, "a.dat")
    assert writable(clone, "c.bin")
    assert locking.cache.own() == []


def test_unless_it_is_switched_off(clone: Clone) -> None:
    with Locking(clone.workspace(GIT_LFS_SET_LOCKABLE_READONLY="0")) as locking:
        lock(locking, "a.dat")
        unlock_path(locking, "a.dat", force=False, warn=refuse_warnings)
    assert writable(clone, "a.dat")


def test_a_changed_file_keeps_its_lock_unless_forced(clone: Clone, locking: Locking, server: FaultyServer) -> None:
    lock(locking, "a.dat")
    clone.write("a.dat", b"changed")
    with pytest.raises(FileModified):
        unlock_path(locking, "a.dat", force=False, warn=refuse_warnings)
    with pytest.raises(FileModified):
        unlock_id(locking, "id-0", force=False, warn=refuse_warnings)
    said: list[str] = []
    unlock_path(locking, "a.dat", force=True, warn=said.append)
    assert said == [FORCED]
    assert server.locks_held == []
    assert json.loads(server.seen("POST", "/unlock")[0].body)["force"] is True


def test_an_untracked_file_is_a_changed_one(clone: Clone, locking: Locking) -> None:
    clone.write("new.dat", b"x")
    lock(locking, "new.dat")
    with pytest.raises(FileModified):
        unlock_path(locking, "new.dat", force=False, warn=refuse_warnings)


def test_unlocking_what_is_not_locked(locking: Locking) -> None:
    with pytest.raises(UnlockFailed, match="unable to get lock ID: no matching locks found"):
        unlock_path(locking, "a.dat", force=False, warn=refuse_warnings)


def test_unlocking_when_the_server_fails(locking: Locking, server: FaultyServer) -> None:
    lock(locking, "a.dat")
    server.locks += [Status(403, "no"), Status(403, "not yours")]
    with pytest.raises(UnlockFailed, match=r"^unable to get lock ID: no$"):
        unlock_path(locking, "a.dat", force=False, warn=refuse_warnings)
    with pytest.raises(UnlockFailed, match=r"^Unable to unlock id-0: not yours$"):
        unlock_id(locking, "id-0", force=False, warn=refuse_warnings)
    assert [one.id for one in locking.cache.own()] == ["id-0"]


def test_a_server_cannot_make_us_touch_files_elsewhere(tmp_path: Path, locking: Locking, server: FaultyServer) -> None:
    outside = tmp_path / "outside.dat"
    outside.write_bytes(b"x")
    lock(locking, "a.dat")
    answer = {"lock": {"id": "id-0", "path": "../outside.dat", "locked_at": ""}}
    server.locks += [Status(200, raw=b'{"locks":[]}'), Status(200, raw=json.dumps(answer).encode())]
    unlock_id(locking, "id-9", force=False, warn=refuse_warnings)
    assert outside.stat().st_mode & stat.S_IWUSR


def test_listing_takes_all_pages(locking: Locking) -> None:
    made = [lock(locking, f"{number}.dat") for number in range(5)]
    assert remote_locks(locking, LockFilter()) == made
    assert remote_locks(locking, LockFilter(limit=3)) == made[:3]
    assert remote_locks(locking, LockFilter(path="3.dat")) == [made[3]]
    assert remote_locks(locking, LockFilter(id="id-1")) == [made[1]]
    assert own_locks(locking, LockFilter(limit=2)) == made[:2]
    assert own_locks(locking, LockFilter(path="4.dat")) == [made[4]]


def test_a_full_list_is_kept_and_a_narrow_one_is_not(clone: Clone, locking: Locking) -> None:
    made = lock(locking, "a.dat")
    remote_locks(locking, LockFilter(path="a.dat"))
    with pytest.raises(NothingCached):
        locking.cache.kept_list(locking.ref)
    remote_locks(locking, LockFilter())
    assert locking.cache.kept_list(locking.ref) == [made]
    kept = clone.folder / ".git" / "lfs" / "cache" / "locks" / "refs" / "heads" / "main" / "remote"
    assert json.loads(kept.read_bytes()) == [made.fields()]


def test_verifying_tells_ours_and_theirs_and_corrects_the_memory(locking: Locking, server: FaultyServer) -> None:
    lock(locking, "a.dat")
    server.locks_held.clear()
    for number in range(3):
        server.locks_held.append({"id": str(number), "path": f"{number}.dat", "owner": {"name": "me"}, "locked_at": ""})
    server.locks_held.append({"id": "9", "path": "9.dat", "owner": {"name": "you"}, "locked_at": ""})
    ours, theirs = verifiable_locks(locking)
    assert [one.id for one in ours] == ["0", "1", "2"]
    assert [one.id for one in theirs] == ["9"]
    assert locking.cache.own_paths() == {"0.dat", "1.dat", "2.dat"}
    assert locking.cache.kept_verifiable(locking.ref) == (ours, theirs)
    assert verifiable_locks(locking, limit=2) == (ours[:2], [])


def test_a_server_without_locks(locking: Locking, server: FaultyServer) -> None:
    server.locks.append(Status(501))
    with pytest.raises(HttpError) as caught:
        verifiable_locks(locking)
    assert caught.value.status == 501


def test_a_page_that_names_itself_ends_the_list(locking: Locking, server: FaultyServer) -> None:
    page = Status(200, raw=b'{"locks":[{"id":"1","path":"a"}],"next_cursor":"same"}')
    server.locks += [page, page]
    assert len(remote_locks(locking, LockFilter())) == 2


def test_damaged_memory_is_no_memory(tmp_path: Path) -> None:
    cache = LockCache(str(tmp_path))
    cache.add(Lock("1", "a"))
    cache.add(Lock("2", "a"))
    assert cache.own() == [Lock("2", "a")]
    Path(tmp_path, "cache", "locks", "own.json").write_bytes(b"\x00gob")
    assert cache.own() == []


def test_paths(clone: Clone, tmp_path: Path) -> None:
    workspace = clone.workspace()
    folder = str(clone.folder)
    assert lock_path(workspace, folder, "a.dat") == "a.dat"
    assert lock_path(workspace, f"{folder}/sub", "b.dat") == "sub/b.dat"
    assert lock_path(workspace, f"{folder}/sub", "../a.dat") == "a.dat"
    assert lock_path(workspace, "/", f"{folder}/sub/b.dat") == "sub/b.dat"
    (clone.folder / "link").symlink_to("sub")
    assert lock_path(workspace, folder, "link/b.dat") == "link/b.dat"
    (tmp_path / "other").symlink_to(clone.folder)
    assert lock_path(workspace, str(tmp_path / "other"), "a.dat") == "a.dat"
    for bad in ("sub", ".", "..", "../elsewhere", "/etc/passwd", os.fsdecode(b"\xff.dat")):
        with pytest.raises(BadLockPath):
            lock_path(workspace, folder, bad)
