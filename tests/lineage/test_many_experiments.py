"""Ten thousand experiments are listed in less than two seconds of the processor, also the first time."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from bench.experiments import make, record
from tests.people import PROGRAMS

SECONDS = 2.0


def cwt(folder: Path, *args: str) -> tuple[str, float]:
    """What it says, and the processor's time that it and its gits took: other tests run at the same time."""
    before = os.times()
    done = subprocess.run([PROGRAMS / "cwt", "exp", *args], cwd=folder, check=True, capture_output=True, text=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout, used


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.full)])
def test_lists_and_comparisons_are_quick(tmp_path: Path, count: int) -> None:
    folder = tmp_path / "repository"
    make(folder, count)
    ids = [record(number, "").id for number in range(count)]
    times = []
    for _ in range(2):
        text, used = cwt(folder, "list", "--json")
        assert [row["id"] for row in json.loads(text)] == ids[::-1]
        times.append(used)
    text, used = cwt(folder, "compare", "sweep-1", f"sweep-{count - 1}", "--json")
    assert [each["id"] for each in json.loads(text)["experiments"]] == [ids[1], ids[-1]]
    assert max(*times, used) < SECONDS
