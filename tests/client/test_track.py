"""Track and untrack: the file says what was asked, git agrees, and what was there stays as it was."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hundredweight.client.track import TrackOptions, TrackPlan, execute, known_patterns, plan_track, untrack
from hundredweight.git.attributes import tracked_paths
from hundredweight.git.patterns import Pattern
from tests.clones import Clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def fail(name: str, error: OSError) -> None:
    raise AssertionError(f"{name}: {error}")


def track(clone: Clone, *patterns: str, below: str = "", **options: object) -> TrackPlan:
    chosen = TrackOptions(**options)  # type: ignore[arg-type]
    plan = plan_track(clone.workspace(below), patterns, chosen)
    execute(plan, chosen, fail)
    return plan


def content(clone: Clone, path: str = ".gitattributes") -> str:
    return (clone.folder / path).read_bytes().decode()


def test_new_lines_follow_what_is_there(clone: Clone) -> None:
    clone.write(".gitattributes", b"# mine\n\n* text=auto\n*.txt diff=x")
    track(clone, "*.bin", "a b/*", "#1")
    line = " filter=lfs diff=lfs merge=lfs -text\n"
    assert content(clone) == (f"# mine\n\n* text=auto\n*.txt diff=x\n*.bin{line}a[[:space:]]b/*{line}\\#1{line}")
    assert tracked_paths(clone.git, ["x.bin", "a b/c", "#1", "y.txt"]) == ["x.bin", "a b/c", "#1"]


def test_what_is_tracked_already_is_left_alone(clone: Clone) -> None:
    track(clone, "*.bin", "sub/x")
    before = content(clone)
    assert [p.supported for p in track(clone, "*.bin", "./sub/x").patterns] == [True, True]
    (clone.folder / "sub").mkdir()
    assert track(clone, "x", below="sub").patterns[0].supported
    assert content(clone) == before
    assert not (clone.folder / "sub" / ".gitattributes").exists()


def test_lockable_is_switched_in_place(clone: Clone) -> None:
    clone.write("a.bin", b"x")
    clone.git.output("add", "a.bin")
    track(clone, "*.bin", "*.dat")
    track(clone, "*.bin", lockable=True)
    assert content(clone).splitlines()[0].endswith(" -text lockable")
    assert not os.stat(clone.folder / "a.bin").st_mode & 0o222
    assert track(clone, "*.bin").patterns[0].supported, "lockable stays when nobody asks"
    track(clone, "*.bin", lockable=False)
    assert "lockable" not in content(clone)
    assert os.stat(clone.folder / "a.bin").st_mode & 0o200
    assert len(content(clone).splitlines()) == 2


def test_files_that_one_has_locked_stay_writable(clone: Clone) -> None:
    from hundredweight.client.lock_cache import LockCache
    from hundredweight.protocol.locks import Lock

    for name in ("mine.bin", "other.bin"):
        clone.write(name, b"x")
    clone.git.output("add", "-A")
    LockCache(clone.workspace().lfs_folder).add(Lock("1", "mine.bin", "2026-01-01T00:00:00Z", "me"))
    track(clone, "*.bin", lockable=True)
    assert os.stat(clone.folder / "mine.bin").st_mode & 0o200
    assert not os.stat(clone.folder / "other.bin").st_mode & 0o200


def test_line_ends_are_kept(clone: Clone) -> None:
    clone.write(".gitattributes", b"*.a text\r\n*.b text\r\n")
    track(clone, "*.c")
    assert content(clone).count("\r\n") == 3
    clone.write(".gitattributes", b"*.a text")
    clone.git.output("config", "core.autocrlf", "true")
    track(clone, "*.c")
    assert content(clone).endswith("-text\r\n")
    (clone.folder / "sub").mkdir()
    track(clone, "*.d", below="sub")
    assert content(clone, "sub/.gitattributes").endswith("-text\r\n")


def test_matching_files_are_touched_so_that_git_looks_again(clone: Clone) -> None:
    for name in ("a.bin", "sub/b.bin", "c.txt"):
        clone.write(name, b"x")
        os.utime(clone.folder / name, (1, 1))
    clone.commit()
    plan = track(clone, "*.bin")
    assert plan.patterns[0].files == ["a.bin", "sub/b.bin"]
    assert [os.stat(clone.folder / name).st_mtime for name in ("c.txt",)] == [1]
    assert time.time() - os.stat(clone.folder / "sub" / "b.bin").st_mtime < 60


def test_dry_run_and_no_modify_change_less(clone: Clone) -> None:
    clone.write("a.bin", b"x")
    clone.commit()
    os.utime(clone.folder / "a.bin", (1, 1))
    assert track(clone, "*.bin", modify=False, touch=False).patterns[0].files == ["a.bin"]
    assert os.stat(clone.folder / "a.bin").st_mtime == 1
    track(clone, "*.bin", modify=False)
    assert os.stat(clone.folder / "a.bin").st_mtime > 1
    assert not (clone.folder / ".gitattributes").exists()


def test_gits_own_files_are_refused(clone: Clone) -> None:
    clone.write(".gitattributes", b"")
    clone.commit()
    plan = track(clone, "*", ".gitattributes")
    assert plan.refused
    assert [p.forbidden for p in plan.patterns] == [[".gitattributes"], [".gitattributes"]]
    assert content(clone) == ""
    assert not track(clone, "*", "*.bin").refused


def test_a_file_that_cannot_be_touched_is_reported(clone: Clone) -> None:
    clone.write("gone.bin", b"x")
    clone.commit()
    (clone.folder / "gone.bin").unlink()
    options = TrackOptions()
    reported: list[str] = []
    execute(plan_track(clone.workspace(), ["*.bin"], options), options, lambda name, _: reported.append(name))
    assert reported == ["gone.bin"]


def test_a_linked_file_stays_a_link(clone: Clone) -> None:
    clone.write("real", b"")
    (clone.folder / ".gitattributes").symlink_to("real")
    track(clone, "*.bin")
    assert (clone.folder / ".gitattributes").is_symlink()
    assert "*.bin" in content(clone, "real")


def test_untrack_removes_lines_and_nothing_else(clone: Clone) -> None:
    track(clone, "*.bin", "a b", "*.dat")
    clone.write(".gitattributes", content(clone).encode() + b"*.bin diff=x\n# end")
    assert untrack(clone.workspace(), ["*.bin", "./a b", "*.none"]) == ["*.bin", "a b"]
    assert content(clone) == "*.dat filter=lfs diff=lfs merge=lfs -text\n*.bin diff=x\n# end"
    assert untrack(clone.workspace(), ["*.bin"]) == []
    (clone.folder / ".gitattributes").unlink()
    assert untrack(clone.workspace(), ["*.dat"]) == []


def test_known_patterns_are_those_about_lfs(clone: Clone) -> None:
    clone.write(".gitattributes", b"*.a filter=lfs\n*.b lockable\n*.c !filter\n*.d text\n*.e -lockable\n")
    found = [(p.path, p.is_tracked, bool(p.lockable)) for p in known_patterns(clone.workspace())]
    assert found == [("*.a", True, False), ("*.b", False, True), ("*.c", False, False)]


names = st.text(alphabet="ab #*?[]\\é.-\"'", min_size=1, max_size=8).filter(
    lambda n: n.strip() == n and n not in (".", "..") and n[0] not in '!-"' and not n.startswith((".git", ".lfs"))
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=names, before=st.sampled_from([b"", b"* text\n", b"* text", b"* text\r\n"]))
def test_a_tracked_file_name_is_tracked_and_untracked(
    tmp_path_factory: pytest.TempPathFactory, name: str, before: bytes
) -> None:
    clone = Clone(tmp_path_factory.getbasetemp() / "names")
    clone.write(".gitattributes", before)
    plan = track(clone, name, file_names=True)
    assert tracked_paths(clone.git, [name, name + "x"]) == [name]
    assert track(clone, name, file_names=True).patterns[0].supported
    assert Pattern(plan.patterns[0].encoded, attributes=True).matches(name)
