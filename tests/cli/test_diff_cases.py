"""docs/diff.md shows what git really prints about each kind of change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.diff_cases import END, PAGE, START, Case, cases, describe

WRITTEN = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.title)
def test_the_page_is_up_to_date(case: Case, tmp_path: Path) -> None:
    row, section = describe(case, tmp_path)
    renew = "run 'python -m tests.cli.diff_cases' to renew docs/diff.md"
    assert row in WRITTEN.splitlines(), renew
    assert f"\n{section}\n" in WRITTEN, renew


def test_the_page_has_nothing_else() -> None:
    titles = [line.removeprefix("### ") for line in WRITTEN.splitlines() if line.startswith("### ")]
    assert titles == [case.title for case in cases()]
