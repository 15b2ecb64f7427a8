"""What the system refuses is told as an error with a hint, not as a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.base.errors import EXIT_FAILURE
from tests.people import Person


@pytest.fixture
def ann(tmp_path: Path) -> Person:
    return Person("ann", tmp_path / "ann")


@pytest.fixture
def clone(ann: Person) -> Path:
    """A clone with one pointer and its object."""
    folder = ann.repository("clone")
    ann.git("lfs", "install", "--local", cwd=folder)
    ann.git("lfs", "track", "*.bin", cwd=folder)
    ann.commit(folder, {"w.bin": b"weights"})
    return folder


def test_something_in_the_place_of_the_store(ann: Person, clone: Path) -> None:
    ann.run("rm", "-r", str(clone / ".git" / "lfs"))
    (clone / ".git" / "lfs").write_text("a file")
    done = ann.run("git", "lfs", "pull", cwd=clone, check=False)
    assert done.returncode == EXIT_FAILURE
    assert done.stderr.startswith("error: cannot use '")
    assert "Not a directory\nhint: something else stands in the way" in done.stderr
    assert "Traceback" not in done.stderr
