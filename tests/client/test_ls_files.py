"""Listing LFS files: index and HEAD, commits, ranges, history."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.client.ls_files import BadChoice, is_checked_out, is_stored, list_files
from hundredweight.git.patterns import PathFilter
from hundredweight.git.scan import ScanError
from tests.clones import Clone, oid_of


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def listed(
    clone: Clone, *refs: str, every: bool = False, deleted: bool = False, **paths: list[str]
) -> list[tuple[str, str]]:
    files = list_files(clone.workspace(), refs, every=every, deleted=deleted, paths=PathFilter(**paths))  # type: ignore[arg-type]
    return [(f.path, f.pointer.oid) for f in files]


def test_the_index_comes_before_head(clone: Clone) -> None:
    clone.put("a", b"1")
    clone.put("b", b"2")
    clone.commit_file("c", b"3")
    clone.put("b", b"changed")
    clone.put("new", b"4")
    clone.git.output("add", "-A")
    clone.git.output("rm", "-q", "--cached", "c")
    expected = [("b", b"changed"), ("new", b"4"), ("a", b"1"), ("c", b"3")]
    assert listed(clone) == [(path, oid_of(content)) for path, content in expected]
    assert [path for path, _ in listed(clone, "HEAD")] == ["a", "b", "c"]


def test_before_the_first_commit_there_is_the_index(clone: Clone) -> None:
    assert listed(clone) == []
    clone.put("a", b"1")
    clone.git.output("add", "-A")
    assert listed(clone) == [("a", oid_of(b"1"))]


def test_ranges_and_histories_repeat_paths(clone: Clone) -> None:
    first = clone.commit_file("a", b"1")
    clone.commit_file("a", b"2")
    clone.commit_file("a", b"3")
    (clone.folder / "a").unlink()
    clone.commit()
    assert listed(clone) == []
    assert sorted(listed(clone, first, "HEAD")) == sorted(("a", oid_of(c)) for c in (b"2", b"3"))
    assert len(listed(clone, every=True)) == 3
    assert len(listed(clone, deleted=True)) == 1, "a path is listed once"


def test_paths_are_chosen_and_empty_files_left_out(clone: Clone) -> None:
    clone.put("keep/a.bin", b"1")
    clone.put("keep/b.bin", b"2")
    clone.write("keep/empty", b"")
    clone.commit_file("other", b"3")
    assert [p for p, _ in listed(clone, include=["keep"], exclude=["b.bin"])] == ["keep/a.bin"]
    assert len(listed(clone)) == 3


def test_what_is_here(clone: Clone) -> None:
    clone.put("a", b"content")
    clone.commit()
    (only,) = list_files(clone.workspace(), paths=PathFilter())
    assert is_stored(clone.workspace(), only)
    assert not is_checked_out(clone.workspace(), only)
    clone.write("a", b"content")
    assert is_checked_out(clone.workspace(), only)
    (clone.folder / "a").unlink()
    assert not is_checked_out(clone.workspace(), only)
    Path(clone.workspace().store.path(oid_of(b"content"))).unlink()
    assert not is_stored(clone.workspace(), only)


def test_choices_that_exclude_each_other(clone: Clone) -> None:
    with pytest.raises(BadChoice, match="Cannot use --all with explicit reference"):
        listed(clone, "HEAD", every=True)
    with pytest.raises(BadChoice, match="Cannot use --deleted with reference range"):
        listed(clone, "a", "b", deleted=True)
    with pytest.raises(BadChoice, match="Did you mean"):
        listed(clone, "--all")
    with pytest.raises(ScanError):
        listed(clone, "nothing")
