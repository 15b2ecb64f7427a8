"""The same repository, looked at by stock git-lfs and by this program: the same words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clones import Clone
from tests.people import Person

pytestmark = pytest.mark.peer

QUESTIONS = (
    ("ls-files",),
    ("ls-files", "--long", "--size"),
    ("ls-files", "--debug"),
    ("ls-files", "--name-only", "--include", "dir,*.dat", "--exclude", "b*"),
    ("ls-files", "HEAD~1"),
    ("ls-files", "HEAD~1", "HEAD"),
    ("status",),
    ("status", "--porcelain"),
    ("status", "--json"),
    ("track",),
    ("ext",),
)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "repo")
    made.write(
        ".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n*.dat filter=lfs lockable\n*.no -filter\n"
    )
    made.write("dir/.gitattributes", b"*.big filter=lfs -text\n")
    for name in ("a.bin", "b.dat", "dir/c.bin", "dir/d e.bin"):
        made.put(name, name.encode() * 100)
    made.write("plain", b"text\n")
    made.git.output("config", "lfs.extension.x.clean", "x %f")
    made.commit()
    made.put("a.bin", b"second")
    made.put("same.bin", b"second")
    made.commit()
    made.pushed()
    made.git.output("config", "branch.main.remote", "origin")
    made.put("unpushed.bin", b"unpushed")
    made.commit()
    made.write("plain", b"changed\n")
    made.put("new.bin", b"new")
    made.git.output("add", "-A")
    made.git.output("mv", "b.dat", "moved.dat")
    made.write("plain", b"changed again\n")
    (made.folder / "dir" / "c.bin").unlink()
    made.write("a.bin", b"second")
    return made


@pytest.mark.parametrize(
    ("question", "below"),
    # Below the top, versions of stock before 3.5 look for files in the wrong place.
    [(question, "") for question in QUESTIONS]
    + [(question, "dir") for question in QUESTIONS if question[0] == "status"],
)
def test_the_answer_is_stocks(
    clone: Clone, tmp_path: Path, stock_git_lfs: Path, question: tuple[str, ...], below: str
) -> None:
    ours = Person("ann", tmp_path / "ann")
    stock = Person("bob", tmp_path / "bob", programs=stock_git_lfs)
    answers = [
        person.run("git", "lfs", *question, cwd=clone.folder / below).stdout.splitlines() for person in (stock, ours)
    ]
    if question[0] == "ls-files":
        # Stock lists what the index changed in no particular order.
        answers = [sorted(answer) for answer in answers]
    assert answers[1] == answers[0]
