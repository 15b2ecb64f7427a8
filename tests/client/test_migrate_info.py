from __future__ import annotations

import os
from pathlib import Path

import pytest

from hundredweight.client.migrate.info import FOLLOW, IGNORE, NO_FOLLOW, Summary, survey
from hundredweight.client.migrate.plan import Choice
from hundredweight.client.migrate.selection import MigrateError, Selection
from tests.client.histories import History, Quiet

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 5000\n" % (b"ab" * 32)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "repo")


def look(history: History, choice: Choice | None = None, pointers: str = FOLLOW) -> Summary:
    return survey(history.workspace(), Selection(), choice or Choice(), Quiet(), pointers=pointers)


def rows(summary: Summary) -> list[tuple[str, int, int, int]]:
    return [(row.name, row.above, row.total, row.size) for row in summary.rows]


def test_kinds_are_counted_over_history_the_largest_first(history: History) -> None:
    history.commit({"a.bin": b"x" * 10, "d/a.bin": b"x" * 10, "README": b"r"})
    history.commit({"a.bin": b"y" * 20, "no.": b"dot"})
    assert rows(look(history)) == [("*.bin", 3, 3, 40), ("*.", 1, 1, 3), ("README", 1, 1, 1)]


def test_equal_sizes_are_ordered_by_name(history: History) -> None:
    history.commit({"b.bin": b"1", "a.txt": b"2", "c.zip": b"3"})
    assert [row[0] for row in rows(look(history))] == ["*.bin", "*.txt", "*.zip"]


def test_only_larger_files_count_and_kinds_without_any_are_left_out(history: History) -> None:
    history.commit({"a.bin": b"x" * 10, "b.bin": b"x" * 11, "c.txt": b"x"})
    assert rows(look(history, Choice(above=10))) == [("*.bin", 1, 2, 11)]


def test_pointers_count_as_objects_as_text_or_not_at_all(history: History) -> None:
    history.commit({"w.bin": POINTER, "x.bin": b"raw"})
    followed = look(history)
    assert rows(followed) == [("*.bin", 1, 1, 3)]
    assert followed.objects is not None
    assert (followed.objects.total, followed.objects.size) == (1, 5000)
    assert rows(look(history, pointers=NO_FOLLOW)) == [("*.bin", 2, 2, 3 + len(POINTER))]
    ignored = look(history, pointers=IGNORE)
    assert (rows(ignored), ignored.objects) == ([("*.bin", 1, 1, 3)], None)


def test_patterns_narrow_as_in_gitattributes(history: History) -> None:
    history.commit({"a.bin": b"1", "d/a.bin": b"22", "d/e/a.bin": b"333", "b.txt": b"4"})
    assert rows(look(history, Choice(include=["d/**"]))) == [("*.bin", 2, 2, 5)]
    assert rows(look(history, Choice(exclude=["*.bin"]))) == [("*.txt", 1, 1, 1)]


def test_fixup_counts_what_should_be_pointers(history: History) -> None:
    history.commit({"a.bin": b"before any attributes"})
    history.commit({".gitattributes": b"*.bin filter=lfs\n", "w.bin": b"raw", "p.bin": POINTER, "t.txt": b"t"})
    assert rows(look(history, Choice(fixup=True), IGNORE)) == [("*.bin", 2, 2, 24)]


def test_links_submodules_and_linked_attributes(history: History) -> None:
    os.symlink("elsewhere", history.folder / "l.bin")
    commit = history.commit({"a.txt": b"t"})
    history.git.output("update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    history.git.output("commit", "-q", "-m", "submodule")
    assert rows(look(history)) == [("*.txt", 1, 1, 1)]
    os.symlink("a.txt", history.folder / ".gitattributes")
    history.commit({})
    with pytest.raises(MigrateError, match="got a symbolic link"):
        look(history)


def test_more_files_than_one_group(history: History) -> None:
    history.commit({f"f{number}.bin": str(number).encode() for number in range(1100)})
    assert look(history).rows[0].total == 1100


def test_an_empty_range_has_nothing(history: History) -> None:
    history.commit({"a.bin": b"1"})
    history.git.output("update-ref", "refs/remotes/origin/main", "HEAD")
    listener = Quiet()
    summary = survey(history.workspace(), Selection(skip_fetch=True), Choice(), listener)
    assert (list(summary.rows), summary.objects, listener.total) == ([], None, 0)
