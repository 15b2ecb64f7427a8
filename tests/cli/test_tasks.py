from __future__ import annotations

import io

import pytest

from hundredweight.cli.tasks import Tasks


def test_each_step_ends_with_its_line() -> None:
    out = io.StringIO()
    tasks = Tasks(out, live=False)
    tasks.step("Sorting commits")
    tasks.counted("Rewriting commits", 3)
    for number in (1, 2, 3):
        tasks.count(number)
    tasks.step("Updating refs")
    tasks.entry("  main")
    tasks.finish()
    tasks.finish()
    assert out.getvalue() == (
        "Sorting commits: ..., done.\nRewriting commits: 100% (3/3), done.\n  main\nUpdating refs: ..., done.\n"
    )


def test_who_watches_sees_it_grow_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = io.StringIO()
    tasks = Tasks(out, live=True)
    tasks.counted("Examining commits", 2)
    tasks.count(1)
    tasks.count(2)
    tasks.finish()
    assert out.getvalue() == f"{'Examining commits:   0% (0/2)':<40}\rExamining commits: 100% (2/2), done.\n"


def test_an_unfinished_step_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    for live, expected in ((True, f"{'Working: ...':<20}\r{'':<20}\r"), (False, "")):
        out = io.StringIO()
        tasks = Tasks(out, live=live)
        tasks.step("Working")
        tasks.abandon()
        tasks.finish()
        assert out.getvalue() == expected


def test_nothing_to_count_is_all_done() -> None:
    out = io.StringIO()
    tasks = Tasks(out, live=False)
    tasks.counted("Examining commits", 0)
    tasks.finish()
    assert out.getvalue() == "Examining commits: 100% (0/0), done.\n"
