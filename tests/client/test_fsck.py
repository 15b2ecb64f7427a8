"""`git lfs fsck`: damaged and missing objects, files that should be pointers, in trees, ranges and the index."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hundredweight.client.fsck import Finding, Scope, check_objects, check_pointers, parse_scope, quarantine
from hundredweight.git.refs import UnknownRef
from tests.clones import Clone, oid_of, pointer_of
from tests.people import Person

ATTRIBUTES = b"*.bin filter=lfs diff=lfs merge=lfs -text\n"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone")
    made.write(".gitattributes", ATTRIBUTES)
    made.put("a.bin", b"content of a")
    made.put("b.bin", b"content of b")
    made.put("same as a.bin", b"content of a")
    made.put("empty.bin", b"")
    made.commit()
    return made


def damage(clone: Clone, content: bytes) -> None:
    Path(clone.workspace().store.path(oid_of(content))).write_bytes(content[::-1])


def objects(clone: Clone, revision: str = "") -> list[tuple[str, str]]:
    workspace = clone.workspace()
    return [(found.kind, found.oid) for found in check_objects(workspace, parse_scope(workspace, revision))]


def pointers(clone: Clone, revision: str = "") -> list[tuple[str, str]]:
    workspace = clone.workspace()
    found = check_pointers(workspace, parse_scope(workspace, revision))
    return [(finding.kind, finding.message.split()[0]) for finding in found]


def test_a_sound_clone(clone: Clone) -> None:
    assert objects(clone) == []
    assert pointers(clone) == []


def test_damaged_and_missing_objects_each_once(clone: Clone) -> None:
    damage(clone, b"content of a")
    os.unlink(clone.workspace().store.path(oid_of(b"content of b")))
    assert objects(clone) == [("corruptObject", oid_of(b"content of a")), ("openError", oid_of(b"content of b"))]


def test_excluded_paths_are_not_missed(clone: Clone) -> None:
    os.unlink(clone.workspace().store.path(oid_of(b"content of b")))
    clone.git.output("config", "lfs.fetchexclude", "b.bin")
    assert objects(clone) == []


def test_the_index_is_looked_at_without_a_revision(clone: Clone) -> None:
    clone.put("new.bin", b"staged")
    clone.git.output("add", "new.bin")
    damage(clone, b"staged")
    assert objects(clone) == [("corruptObject", oid_of(b"staged"))]
    assert objects(clone, "HEAD") == []


def test_a_range_looks_at_every_commit(clone: Clone) -> None:
    clone.commit_file("c.bin", b"content of c")
    (clone.folder / "c.bin").unlink()
    clone.commit()
    damage(clone, b"content of c")
    damage(clone, b"content of a")
    assert objects(clone, "HEAD~2..HEAD") == [("corruptObject", oid_of(b"content of c"))]
    assert objects(clone, "HEAD") == [("corruptObject", oid_of(b"content of a"))]


def test_files_that_should_be_pointers(clone: Clone) -> None:
    clone.write("large.bin", b"x" * 2000)
    clone.write("text.bin", b"short")
    clone.write("crlf.bin", pointer_of(b"c").encode().replace(b"\n", b"\r\n"))
    clone.write("plain.txt", b"nobody's")
    (clone.folder / "link.bin").symlink_to("a.bin")
    clone.commit()
    assert sorted(pointers(clone)) == [
        ("nonCanonicalPointer", "Pointer"),
        ("unexpectedGitObject", '"large.bin"'),
        ("unexpectedGitObject", '"text.bin"'),
    ]


def test_each_commit_is_judged_by_its_own_attributes(clone: Clone) -> None:
    clone.write("raw/x.bin", b"not a pointer")
    bad = clone.commit()
    clone.write("raw/.gitattributes", b"*.bin !filter\n")
    clone.commit()
    assert pointers(clone) == []
    assert pointers(clone, bad) == [("unexpectedGitObject", '"raw/x.bin"')]
    assert pointers(clone, "HEAD~2..HEAD") == [("unexpectedGitObject", '"raw/x.bin"')]


def test_macros_count(clone: Clone) -> None:
    clone.write(".gitattributes", b"[attr]weights filter=lfs -text\n*.bin weights\nraw.bin !weights\n")
    clone.write("x.bin", b"not a pointer")
    clone.write("raw.bin", b"not a pointer")
    clone.commit()
    assert pointers(clone) == [("unexpectedGitObject", '"x.bin"')]


def test_scopes(clone: Clone, tmp_path: Path) -> None:
    head = clone.git.text("rev-parse", "HEAD")
    assert parse_scope(clone.workspace(), "") == Scope(head, index=True)
    assert parse_scope(clone.workspace(), "main") == Scope(head)
    assert parse_scope(clone.workspace(), "main..HEAD") == Scope(head, head)
    with pytest.raises(UnknownRef, match="Git can't resolve ref"):
        parse_scope(clone.workspace(), "nonsense")
    empty = Clone(tmp_path / "empty")
    assert objects(empty) == []
    assert pointers(empty) == []


def test_quarantine_moves_and_keeps(clone: Clone) -> None:
    store = clone.workspace().store
    damage(clone, b"content of a")
    missing = oid_of(b"never seen")
    quarantine(store, [Finding("corruptObject", "", oid) for oid in (oid_of(b"content of a"), missing)])
    assert Path(store.bad, oid_of(b"content of a")).read_bytes() == b"content of a"[::-1]
    assert not os.path.exists(store.path(oid_of(b"content of a")))
    assert os.listdir(store.bad) == [oid_of(b"content of a")]


def test_the_command(clone: Clone, tmp_path: Path) -> None:
    person = Person("test", tmp_path / "home")
    assert person.run("git", "lfs", "fsck", cwd=clone.folder).stdout == "Git LFS fsck OK\n"
    damage(clone, b"content of a")
    oid = oid_of(b"content of a")
    told = f"objects: corruptObject: a.bin ({oid}) is corrupt\n"
    dry = person.run("git", "lfs", "fsck", "--dry-run", cwd=clone.folder, check=False)
    assert (dry.returncode, dry.stdout) == (1, told)
    assert person.run("git", "lfs", "fsck", "--pointers", cwd=clone.folder).returncode == 0
    done = person.run("git", "lfs", "fsck", cwd=clone.folder, check=False)
    bad = clone.folder / ".git" / "lfs" / "bad"
    assert (done.returncode, done.stdout) == (1, told + f"objects: repair: moving corrupt objects to {bad}\n")
    assert (bad / oid).exists()
    unknown = person.run("git", "lfs", "fsck", "nonsense", cwd=clone.folder, check=False)
    assert unknown.returncode == 2
    assert "Git can't resolve ref" in unknown.stderr


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    name = os.fsdecode(b"w\xff\n.bin")
    clone.write(".gitattributes", ATTRIBUTES)
    clone.put(name, b"content")
    clone.commit()
    damage(clone, b"content")
    done = Person("test", tmp_path / "home").run("git", "lfs", "fsck", cwd=clone.folder, check=False)
    assert done.returncode == 1
    assert "is corrupt" in done.stdout
