"""Status: both sides of every change, told apart by where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.client.status import Entry, status, to_push
from tests.clones import Clone, oid_of, pointer_of


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def sides(entries: list[Entry]) -> list[tuple[str, str, str, str]]:
    return [
        (
            e.change.status,
            e.change.path,
            f"{e.before.source}:{e.before.digest}",
            f"{e.after.source}:{e.after.digest}" if e.after else "",
        )
        for e in entries
    ]


def short(content: bytes) -> str:
    return oid_of(content)[:7]


def test_pointers_blobs_and_files(clone: Clone) -> None:
    clone.put("lfs", b"1")
    clone.write("plain", b"plain text")
    clone.write("large", b"x" * 5000)
    clone.put("gone", b"2")
    clone.commit()
    clone.put("lfs", b"new")
    clone.write("plain", pointer_of(b"converted").encode())
    clone.put("added", b"added")
    clone.git.output("add", "-A")
    clone.write("lfs", b"edited content")
    clone.write("large", b"y" * 5000)
    (clone.folder / "gone").unlink()
    state = status(clone.workspace())
    assert sides(state.staged) == [
        ("A", "added", f"LFS:{short(b'added')}", ""),
        ("M", "lfs", f"LFS:{short(b'1')}", f"LFS:{short(b'new')}"),
        ("M", "plain", f"Git:{short(b'plain text')}", f"LFS:{short(b'converted')}"),
    ]
    assert sides(state.unstaged) == [
        ("D", "gone", f"LFS:{short(b'2')}", "File:deleted"),
        ("M", "large", f"Git:{short(b'x' * 5000)}", f"File:{short(b'y' * 5000)}"),
        ("M", "lfs", f"LFS:{short(b'1')}", f"File:{short(b'edited content')}"),
    ]


def test_a_rename_and_a_missing_blob(clone: Clone) -> None:
    clone.put("old", b"1")
    clone.put("other", b"2")
    clone.commit()
    clone.git.output("mv", "old", "new")
    clone.put("other", b"3")
    clone.git.output("add", "other")
    blob = clone.git.text("rev-parse", "HEAD:other")
    (clone.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    state = status(clone.workspace())
    assert sides(state.staged) == [
        ("R", "new", f"LFS:{short(b'1')}", f"LFS:{short(b'1')}"),
        ("M", "other", "?:<missing>", f"LFS:{short(b'3')}"),
    ]
    assert state.staged[0].change.source == "old"


def test_before_the_first_commit(clone: Clone) -> None:
    clone.put("a", b"1")
    clone.git.output("add", "-A")
    state = status(clone.workspace())
    assert (state.head, state.upstream) == (None, None)
    assert sides(state.staged) == [("A", "a", f"LFS:{short(b'1')}", "")]
    assert list(to_push(clone.workspace(), state)) == []


def test_what_a_push_would_move(clone: Clone) -> None:
    clone.commit_file("a", b"1")
    clone.pushed()
    clone.git.output("config", "branch.main.remote", "origin")
    assert status(clone.workspace()).upstream is not None
    clone.git.output("config", "branch.main.merge", "refs/heads/elsewhere")
    assert status(clone.workspace()).upstream is None
    clone.git.output("config", "branch.main.merge", "refs/heads/main")
    clone.commit_file("b", b"2")
    state = status(clone.workspace())
    assert [f.path for f in to_push(clone.workspace(), state)] == ["b"]
    clone.git.output("checkout", "-q", "--detach")
    assert status(clone.workspace()).upstream is None


def test_a_file_that_became_a_folder(clone: Clone) -> None:
    clone.put("a", b"1")
    clone.commit()
    (clone.folder / "a").unlink()
    clone.put("a/b", b"2")
    assert sides(status(clone.workspace()).unstaged) == [("D", "a", f"LFS:{short(b'1')}", "File:deleted")]
