"""`git lfs lock`, `unlock` and `locks`: words, JSON and exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clones import Clone
from tests.people import Person
from tests.transfer.faulty import FaultyServer, Status


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def ann(tmp_path: Path) -> Person:
    return Person("ann", tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path, server: FaultyServer) -> Path:
    made = Clone(tmp_path / "clone")
    for name in ("a.dat", "long-name.dat"):
        made.put(name, name.encode())
    made.commit()
    made.git.output("config", "lfs.url", server.url)
    return made.folder


def lfs(ann: Person, folder: Path, *args: str) -> tuple[int, str, str]:
    done = ann.run("git-lfs", *args, cwd=folder, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_whole_round(ann: Person, folder: Path, server: FaultyServer) -> None:
    assert lfs(ann, folder, "lock", "a.dat", "long-name.dat") == (0, "Locked a.dat\nLocked long-name.dat\n", "")
    server.locks_held[1]["owner"]["name"] = "somebody"
    code, out, _ = lfs(ann, folder, "locks")
    assert (code, out) == (0, "a.dat        \tme      \tID:id-0\nlong-name.dat\tsomebody\tID:id-1\n")
    assert lfs(ann, folder, "locks", "--verify")[1].splitlines()[0] == "O a.dat        \tme      \tID:id-0"
    assert lfs(ann, folder, "locks", "--verify")[1].splitlines()[1].startswith("  long-name.dat")
    assert lfs(ann, folder, "locks", "--local")[1] == "a.dat\tme\tID:id-0\n"
    assert lfs(ann, folder, "locks", "--cached")[1] == out
    assert lfs(ann, folder, "unlock", "a.dat") == (0, "Unlocked a.dat\n", "")
    assert lfs(ann, folder, "unlock", "--id", "id-1") == (0, "Unlocked Lock id-1\n", "")
    assert lfs(ann, folder, "locks") == (0, "", "")


def test_json(ann: Person, folder: Path) -> None:
    lock = {"id": "id-0", "path": "a.dat", "owner": {"name": "me"}, "locked_at": "2026-01-02T03:04:05Z"}
    code, out, err = lfs(ann, folder, "lock", "--json", "a.dat", "a.dat")
    assert code == 2
    assert json.loads(out) == [lock]
    assert "Locking a.dat failed: lock already created" in err
    assert json.loads(lfs(ann, folder, "locks", "--json")[1]) == [lock]
    assert json.loads(lfs(ann, folder, "locks", "--json", "--verify")[1]) == {"ours": [lock], "theirs": []}
    code, out, _ = lfs(ann, folder, "unlock", "--json", "a.dat", "other.dat")
    reason = "unable to get lock ID: no matching locks found"
    assert json.loads(out) == [
        {"path": "a.dat", "unlocked": True},
        {"path": "other.dat", "unlocked": False, "reason": reason},
    ]
    assert code == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["lock", ".."], "unable to canonicalize path"),
        (["lock", "."], "cannot lock directory"),
        (["unlock"], "Exactly one of --id or a set of paths must be provided"),
        (["unlock", "--id", "1", "a.dat"], "Exactly one of --id or a set of paths must be provided"),
        (["unlock", ".."], "Unable to determine path: unable to canonicalize path"),
        (["locks", "--path", ".."], "Error building filters: unable to canonicalize path"),
        (["locks", "--cached", "--limit", "1"], "--cached option can't be combined with --limit"),
        (["locks", "--cached", "--path", "a.dat"], "--cached option can't be combined with filters"),
        (["locks", "--cached", "--local"], "--cached option can't be combined with --local"),
        (["locks", "--verify", "--id", "1"], "--verify option can't be combined with filters"),
        (["locks", "--verify", "--local"], "--verify option can't be combined with --local"),
        (["locks", "--cached"], "Error while retrieving locks: no cached locks present"),
    ],
)
def test_wrong_ways(ann: Person, folder: Path, args: list[str], said: str) -> None:
    code, out, err = lfs(ann, folder, *args)
    assert (code, out) == (2, "")
    assert said in err


def test_a_forced_unlock_takes_any_path(ann: Person, folder: Path, server: FaultyServer) -> None:
    server.locks_held.append({"id": "7", "path": "../odd", "owner": {"name": "you"}, "locked_at": ""})
    code, out, _ = lfs(ann, folder, "unlock", "--force", "--id", "7")
    assert (code, out) == (0, "Unlocked Lock 7\n")


def test_a_refusal_is_told_with_its_hint(ann: Person, folder: Path, server: FaultyServer) -> None:
    server.locks.append(Status(403, "you may only read"))
    code, _, err = lfs(ann, folder, "locks")
    assert code == 2
    assert re.match(r"^Error while retrieving locks: you may only read$", err.splitlines()[0])


def test_no_server(ann: Person, folder: Path, server: FaultyServer) -> None:
    ann.git("config", "--unset", "lfs.url", cwd=folder)
    code, _, err = lfs(ann, folder, "lock", "a.dat")
    assert code == 2
    assert 'Locking a.dat failed: missing protocol: ""' in err
    assert "hint: " in err
