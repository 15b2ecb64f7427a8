"""Pointer extensions: content passes through programs and back, every step checked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hundredweight.base.errors import CwtError
from hundredweight.client.ext import DuplicatePriority
from hundredweight.client.extension_pipe import ExtensionFailed, ExtensionMismatch, clean_through, smudge_through
from hundredweight.client.extensions import ExtensionUnavailable, are_configured
from hundredweight.protocol.pointer import Extension, Pointer
from tests.clones import Clone, oid_of
from tests.people import Person

LARGE = os.urandom(3_000_000)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def configure(clone: Clone, name: str, priority: int, clean: str, smudge: str) -> None:
    for key, value in (("clean", clean), ("smudge", smudge), ("priority", str(priority))):
        clone.git.output("config", f"lfs.extension.{name}.{key}", value)


def shift_and_back(clone: Clone) -> None:
    """`second` comes first in the configuration and last in the order."""
    configure(clone, "second", 5, "tr 0-9 1-90", "tr 1-90 0-9")
    configure(clone, "first", 2, "tr a-z b-za", "tr b-za a-z")


def clean(clone: Clone, content: bytes, path: str = "a.bin") -> Pointer:
    workspace = clone.workspace()
    spool = workspace.store.writer()
    spool.write(content)
    result, pointer = clean_through(workspace, spool, oid_of(content), path)
    with result:
        result.commit(workspace.store.path(pointer.oid))
    assert os.listdir(workspace.store.temp) == []
    return pointer


def smudge(clone: Clone, pointer: Pointer, path: str = "a.bin") -> bytes:
    with smudge_through(clone.workspace(), pointer, path) as content:
        return os.read(content.descriptor, 1 << 24)


def assert_fails(clone: Clone, pointer: Pointer, kind: type[CwtError], words: str) -> None:
    with pytest.raises(kind, match=words):
        smudge(clone, pointer)
    temp = clone.workspace().store.temp
    assert not os.path.isdir(temp) or os.listdir(temp) == []


def test_in_order_and_back(clone: Clone) -> None:
    assert not are_configured(clone.workspace().git_config)
    shift_and_back(clone)
    assert are_configured(clone.workspace().git_config)
    pointer = clean(clone, b"abc123")
    steps = (Extension("first", 0, oid_of(b"abc123")), Extension("second", 1, oid_of(b"bcd123")))
    assert pointer == Pointer(oid_of(b"bcd234"), 6, steps)
    assert smudge(clone, pointer) == b"abc123"


def test_what_changes_nothing_is_left_out(clone: Clone) -> None:
    shift_and_back(clone)
    assert clean(clone, b"123").extensions == (Extension("second", 0, oid_of(b"123")),)
    assert clean(clone, b"---") == Pointer(oid_of(b"---"), 3)


def test_large_content_that_changes_its_size(clone: Clone) -> None:
    configure(clone, "zip", 0, "gzip -cn", "gzip -dc")
    pointer = clean(clone, LARGE)
    assert pointer.size != len(LARGE)
    assert smudge(clone, pointer) == LARGE


def test_the_path_is_an_argument_and_nothing_else(clone: Clone, tmp_path: Path) -> None:
    program = tmp_path / "told"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$PWD" "$@" > {tmp_path}/args\ncat\n')
    program.chmod(0o755)
    configure(clone, "told", 0, f"{program} -- %f", "cat")
    clean(clone, b"x", "a b; touch evil $(id).bin")
    assert (tmp_path / "args").read_text() == f"{clone.folder}\n--\na b; touch evil $(id).bin\n"


def test_a_program_that_fails_or_is_missing(clone: Clone) -> None:
    configure(clone, "bad", 0, "cat", "sh -c echo>&2;exit${IFS}3")
    pointer = Pointer(clone.store(b"x"), 1, (Extension("bad", 0, oid_of(b"y")),))
    assert_fails(clone, pointer, ExtensionFailed, "extension 'bad' failed with")
    configure(clone, "bad", 0, "cat", "/no/such/program %f")
    assert_fails(clone, pointer, ExtensionFailed, "/no/such/program: No such file")
    configure(clone, "bad", 0, "cat", "")
    assert_fails(clone, pointer, ExtensionUnavailable, "extension 'bad' is not configured")


def test_a_program_that_does_not_undo_its_change(clone: Clone) -> None:
    configure(clone, "bad", 0, "cat", "cat")
    pointer = Pointer(clone.store(b"x"), 1, (Extension("bad", 0, oid_of(b"y")),))
    words = f"actual OID {oid_of(b'x')} for extension 'bad' does not match expected {oid_of(b'y')}"
    assert_fails(clone, pointer, ExtensionMismatch, words)


def test_a_damaged_object_is_not_given_to_a_program(clone: Clone, tmp_path: Path) -> None:
    configure(clone, "touch", 0, "cat", f"touch {tmp_path}/ran")
    pointer = Pointer(clone.store(b"x"), 1, (Extension("touch", 0, oid_of(b"x")),))
    Path(clone.workspace().store.path(oid_of(b"x"))).write_bytes(b"y")
    assert_fails(clone, pointer, ExtensionMismatch, "during smudge does not match")
    assert not (tmp_path / "ran").exists()


def test_a_missing_or_ambiguous_extension(clone: Clone) -> None:
    pointer = Pointer(clone.store(b"x"), 1, (Extension("secret", 0, oid_of(b"y")),))
    assert_fails(clone, pointer, ExtensionUnavailable, "extension 'secret' is not configured")
    configure(clone, "one", 1, "cat", "cat")
    configure(clone, "two", 1, "cat", "cat")
    with pytest.raises(DuplicatePriority):
        clean(clone, b"x")


def test_from_add_to_checkout(clone: Clone, tmp_path: Path) -> None:
    person = Person("test", tmp_path / "home")
    person.git("lfs", "install", "--skip-repo")
    shift_and_back(clone)
    clone.write(".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n")
    clone.write("dir/a.bin", b"abc123" + LARGE)
    person.commit(clone.folder)
    stored = person.git("cat-file", "-p", "HEAD:dir/a.bin", cwd=clone.folder)
    assert "ext-0-first sha256:" in stored
    assert "ext-1-second sha256:" in stored
    for command in (("checkout", "--", "."), ("lfs", "checkout")):
        (clone.folder / "dir/a.bin").unlink()
        person.git(*command, cwd=clone.folder)
        assert (clone.folder / "dir/a.bin").read_bytes() == b"abc123" + LARGE
        assert person.git("status", "--porcelain", cwd=clone.folder) == ""
    pointer = stored + "\n"
    smudged = person.run("git", "lfs", "smudge", "--", "dir/a.bin", cwd=clone.folder, stdin=pointer)
    assert smudged.stdout.startswith("abc123")
