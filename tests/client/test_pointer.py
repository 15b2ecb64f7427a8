"""`git lfs pointer`: building, comparing, checking; outputs as git-lfs's."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from hundredweight.client.pointer import Unreadable, blob_id, build, read, read_file
from hundredweight.git.run import Git
from hundredweight.protocol.pointer import CUTOFF
from tests.clones import pointer_of
from tests.people import Person

TEXT = pointer_of(b"simple\n").encode()
BLOB = "e18acd45d7e3ce0451d1d637f9697aa508e07dee"


@pytest.fixture
def person(tmp_path: Path) -> Person:
    made = Person("test", tmp_path / "home")
    (made.home / "simple").write_bytes(b"simple\n")
    (made.home / "pointer").write_bytes(TEXT)
    (made.home / "other").write_bytes(pointer_of(b"other").encode())
    (made.home / "crlf").write_bytes(TEXT.replace(b"\n", b"\r\n"))
    (made.home / "text").write_bytes(b"not a pointer\n")
    (made.home / "empty").write_bytes(b"")
    return made


def test_build(person: Person) -> None:
    assert build(str(person.home / "simple")) == pointer_of(b"simple\n")
    assert build(str(person.home / "empty")).encode() == b""
    with pytest.raises(Unreadable, match=r"open .*missing: no such file"):
        build(str(person.home / "missing"))


def test_read() -> None:
    assert read(io.BytesIO(TEXT)).pointer == pointer_of(b"simple\n")
    assert read(io.BytesIO(b"")).pointer is not None
    assert read(io.BytesIO(b"text")).problem == "Pointer file error: invalid header"
    long = read(io.BytesIO(TEXT + b" " * 2000))
    assert (long.pointer, len(long.data)) == (None, CUTOFF)
    assert "size" in read(io.BytesIO(TEXT.replace(b"size 7", b"size -7"))).problem
    with pytest.raises(Unreadable):
        read_file("/missing/file")


def test_blob_id(person: Person) -> None:
    assert blob_id(Git(str(person.home), person.env), TEXT) == BLOB


def test_build_and_compare(person: Person) -> None:
    alone = person.run("git", "lfs", "pointer", "--file=simple")
    assert (alone.stdout, alone.stderr) == (TEXT.decode(), "Git LFS pointer for simple\n\n")
    same = person.run("git", "lfs", "pointer", "--file=simple", "--pointer=pointer")
    assert same.stderr == (
        f"Git LFS pointer for simple\n\n\nGit blob OID: {BLOB}\n\nPointer from pointer\n\n{TEXT.decode()}\nGit blob OID: {BLOB}\n"
    )
    piped = person.run("git", "lfs", "pointer", "--file=simple", "--stdin", stdin=TEXT.decode())
    assert piped.stderr == same.stderr.replace("from pointer", "from STDIN")
    differs = person.run("git", "lfs", "pointer", "--file=simple", "--pointer=other", check=False)
    assert differs.returncode == 1
    assert differs.stderr.endswith("\nPointers do not match\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "Nothing to do!\n"),
        (["--pointer=missing"], "open missing: no such file or directory\n"),
        (["--pointer=text"], "Pointer from text\n\nPointer file error: invalid header\n"),
        (["--pointer=pointer", "--stdin"], "error: cannot read from STDIN and --pointer\n"),
    ],
)
def test_what_cannot_be_shown(person: Person, args: list[str], said: str) -> None:
    done = person.run("git", "lfs", "pointer", *args, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--file=pointer"], 0),
        (["--file=pointer", "--strict"], 0),
        (["--file=empty", "--strict"], 0),
        (["--file=crlf"], 0),
        (["--file=crlf", "--no-strict"], 0),
        (["--file=crlf", "--strict"], 2),
        (["--file=text"], 1),
        (["--file=missing"], 1),
        (["--file=pointer", "--stdin"], 2),
        (["--pointer=pointer"], 2),
        (["--file=pointer", "--strict", "--no-strict"], 2),
        ([], 2),
    ],
)
def test_check(person: Person, args: list[str], code: int) -> None:
    assert person.run("git", "lfs", "pointer", "--check", *args, check=False).returncode == code


def test_check_of_stdin(person: Person) -> None:
    assert person.run("git", "lfs", "pointer", "--check", "--stdin", stdin=TEXT.decode()).returncode == 0
    assert person.run("git", "lfs", "pointer", "--check", "--stdin", stdin="text", check=False).returncode == 1
