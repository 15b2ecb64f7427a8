"""Rows are what reading all records gives, whether they were kept or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hundredweight.git.run import Git
from hundredweight.lineage import experiments
from hundredweight.lineage.listing import FILE, Row, in_short, listing
from hundredweight.lineage.record import DataVersion, Record, Weights


@pytest.fixture
def git(tmp_path: Path) -> Git:
    made = Git(str(tmp_path / "repo"))
    (tmp_path / "repo").mkdir()
    made.output("init", "-q", "-b", "main")
    made.output("commit", "-q", "--allow-empty", "-m", "start")
    for number in range(5):
        write(made, number)
    made.output("commit", "-q", "--allow-empty", "-m", "Train hand on data v0\n- Performance: acc=50%")
    made.output("cherry-pick", f"{experiments.REFS}{identity(1)}")
    return made


def identity(number: int) -> str:
    return f"20261123-14000{number}-abcdef"


def write(git: Git, number: int) -> str:
    made = Record(
        identity(number),
        name=f"n{number}",
        parameters={"lr": 0.1 * number},
        metrics={"acc": number / 10},
        data=(DataVersion("data", "v1"),),
        weights=(Weights("a.safetensors", "1" * 64, 5, f"w1-{number}"), Weights("b.bin", "2" * 64, 5)),
    )
    return experiments.write(git, git.text("rev-parse", "main"), made, {})


def expected(git: Git) -> list[Row]:
    return [in_short(made) for made in experiments.find(git).experiments]


def test_rows_are_the_same_kept_or_not(git: Git, tmp_path: Path) -> None:
    folder = str(tmp_path / "kept")
    assert len(expected(git)) == 6
    assert listing(git).rows == expected(git)
    assert listing(git, folder).rows == expected(git)
    assert listing(git, folder).rows == expected(git)
    row = listing(git, folder).rows[2]
    assert (row.name, row.data, row.weights) == ("n2", "v1", ["w1-2", "2" * 64])


def test_what_is_new_or_gone_is_seen(git: Git, tmp_path: Path) -> None:
    folder = str(tmp_path / "kept")
    listing(git, folder)
    write(git, 7)
    experiments.remove(git, [identity(0), identity(1)])
    git.output("commit", "-q", "--allow-empty", "-m", "Train again\n- Performance: acc=60%")
    rows = listing(git, folder).rows
    assert rows == expected(git)
    assert sorted(row.name for row in rows) == ["again", "hand", "n1", "n2", "n3", "n4", "n7"]
    git.output("checkout", "-q", "--detach")
    git.output("commit", "-q", "--allow-empty", "-m", "Train detached\n- Performance: acc=70%")
    assert listing(git, folder).rows == expected(git)
    assert "detached" in [row.name for row in expected(git)]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"rows": {"x": [1]}}', b'{"rows": 3, "messages": [], "tips": ""}'])
def test_a_damaged_file_of_rows_is_as_none(git: Git, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert listing(git, str(tmp_path)).rows == expected(git)
    assert json.loads((tmp_path / FILE).read_bytes())["rows"]


def test_a_damaged_record_is_told_each_time(git: Git, tmp_path: Path) -> None:
    bad = Record(identity(8))
    experiments.write(git, "", bad, {bad.path: b"{"})
    for _ in range(2):
        found = listing(git, str(tmp_path))
        assert [identity(8) in error.where for error in found.damaged] == [True]
        assert found.rows == expected(git)
        assert [row.name for row in found.rows if row.by_hand] == ["hand", "model"]


def test_rows_that_cannot_be_kept_are_no_loss(git: Git, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert listing(git, str(tmp_path / "file" / "below")).rows == expected(git)
