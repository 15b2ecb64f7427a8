"""Scans give every pointer that is there, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hundredweight.git import refs, scan
from hundredweight.git.patterns import PathFilter
from hundredweight.git.scan import ScanError
from tests.clones import Clone, pointer_of

ODD = ["a.bin", "dir/ leading space", "tab\there", 'quote"d', "back\\slash", "ümlaut", "-dash", "  two", "dir/x y z"]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def found(files: object) -> dict[str, str]:
    return {f.path: f.pointer.oid for f in files}  # type: ignore[attr-defined]


def test_a_tree_of_odd_names(clone: Clone) -> None:
    oids = {path: clone.put(path, path.encode()) for path in [*ODD, "line\nend"]}
    clone.write("plain.txt", b"no pointer")
    clone.write("large", b"version https://git-lfs.github.com/spec/v1\n" + b"x" * 2000)
    clone.commit()
    assert found(scan.scan_tree(clone.git, "HEAD")) == oids
    assert found(scan.scan_index(clone.git)) == oids
    history = found(scan.scan_range(clone.git, ["HEAD"]))
    assert history == {**{path: oid for path, oid in oids.items() if "\n" not in path}, "line": oids["line\nend"]}
    assert found(scan.scan_tree(clone.git, "HEAD", PathFilter(["dir"]))) == {
        p: o for p, o in oids.items() if p[:4] == "dir/"
    }


def test_the_same_content_at_two_paths_is_two_files_of_a_tree(clone: Clone) -> None:
    clone.put("one", b"same")
    clone.put("two", b"same")
    clone.commit()
    assert [f.path for f in scan.scan_tree(clone.git, "HEAD")] == ["one", "two"]
    assert len(list(scan.scan_range(clone.git, ["HEAD"]))) == 1
    assert len(list(scan.scan_trees(clone.git, ["HEAD"]))) == 1
    assert found(scan.scan_trees(clone.git, ["HEAD"], PathFilter(exclude=["one"]))).keys() == {"two"}


def test_an_empty_file_is_the_empty_pointer(clone: Clone) -> None:
    clone.write("empty", b"")
    clone.commit()
    (only,) = scan.scan_tree(clone.git, "HEAD")
    assert (only.path, only.pointer.size) == ("empty", 0)
    assert repr(only) == "PointerFile('empty', e3b0c44298)"


def test_a_range_has_what_came_in_it(clone: Clone) -> None:
    first = clone.commit_file("a", b"1")
    clone.commit_file("a", b"2")
    clone.put("b", b"3")
    last = clone.commit_file("a", b"4")
    assert sorted(f.pointer.oid for f in scan.scan_range(clone.git, [last], [first])) == sorted(
        pointer_of(c).oid for c in (b"2", b"3", b"4")
    )
    assert len(list(scan.scan_range(clone.git, ["main"]))) == 4
    assert list(scan.scan_range(clone.git, ["0" * 40, ""], [first])) == []
    assert dict(scan.range_blobs(clone.git, [last], walk=False)).keys() == {
        clone.git.text("rev-parse", "HEAD:a"),
        clone.git.text("rev-parse", "HEAD:b"),
    }


def test_all_history_is_all_refs(clone: Clone) -> None:
    clone.commit_file("a", b"1")
    clone.git.output("checkout", "-q", "-b", "side")
    clone.commit_file("a", b"2")
    clone.git.output("update-ref", "refs/experiments/7", "HEAD")
    clone.git.output("checkout", "-q", "main")
    clone.git.output("branch", "-D", "side")
    assert {f.pointer.oid for f in scan.scan_all(clone.git)} == {pointer_of(b"1").oid, pointer_of(b"2").oid}


def test_unpushed_is_what_no_remote_branch_has(clone: Clone) -> None:
    clone.commit_file("a", b"pushed")
    clone.pushed()
    clone.commit_file("a", b"on a branch")
    clone.git.output("checkout", "-q", "--detach")
    clone.commit_file("a", b"on no branch")
    clone.git.output("update-ref", "refs/experiments/1", "HEAD~1")
    unpushed = {f.pointer.oid for f in scan.scan_unpushed(clone.git, "origin")}
    assert unpushed == {pointer_of(c).oid for c in (b"on a branch", b"on no branch")}
    assert len(list(scan.scan_unpushed(clone.git, "nowhere"))) == 3
    assert {f.pointer.oid for f in scan.scan_unpushed(clone.git)} == unpushed


def test_stashes_give_work_tree_index_and_untracked_files(clone: Clone) -> None:
    for name in ("same", "work", "staged"):
        clone.put(name, name.encode())
    clone.commit()
    clone.put("staged", b"index only")
    clone.git.output("add", "staged")
    clone.put("staged", b"beyond the index")
    clone.put("work", b"changed")
    clone.put("new", b"untracked")
    clone.git.output("stash", "--include-untracked")
    clone.put("work", b"second stash")
    clone.git.output("stash")
    contents = (b"index only", b"beyond the index", b"changed", b"untracked", b"second stash")
    stashed = {f.pointer.oid for f in scan.scan_stashed(clone.git, refs.stashes(clone.git))}
    assert stashed == {pointer_of(c).oid for c in contents}
    assert list(scan.scan_stashed(clone.git, [])) == []


def test_previous_versions_are_those_replaced_since_then(clone: Clone) -> None:
    clone.commit_file("a", b"1", days_ago=20)
    clone.commit_file("a", b"2", days_ago=10)
    clone.commit_file("a", b"3", days_ago=1)
    (clone.folder / "a").unlink()
    clone.commit(days_ago=0.5)
    day = 86_400
    since = {n: {f.pointer.oid for f in scan.scan_previous(clone.git, "main", time.time() - n * day)} for n in (5, 15)}
    assert since[5] == {pointer_of(b"2").oid, pointer_of(b"3").oid}
    assert since[15] == since[5] | {pointer_of(b"1").oid}


def test_differences_with_the_index(clone: Clone) -> None:
    clone.put("kept", b"1")
    clone.put("moved", b"2" * 50)
    clone.commit()
    clone.git.output("mv", "moved", "new name")
    clone.put("kept", b"3")
    renamed = list(scan.diff_index(clone.git, "HEAD", cached=True, renames=True))
    assert [(c.status, c.source, c.path) for c in renamed] == [("R", "moved", "new name")]
    plain = [(c.status, c.path) for c in scan.diff_index(clone.git, "HEAD", cached=False)]
    assert plain == [("M", "kept"), ("D", "moved"), ("A", "new name")]
    assert next(scan.diff_index(clone.git, scan.EMPTY_TREES["sha1"], cached=True)).status == "A"


def test_tracked_files_of_the_index_alone(clone: Clone) -> None:
    clone.put("a.bin", b"1")
    clone.put("b.txt", b"2")
    clone.write(".gitattributes", b"*.bin filter=lfs\n")
    clone.git.output("-c", "filter.lfs.clean=cat", "add", "-A")
    assert found(scan.scan_index(clone.git, tracked_only=True)).keys() == {"a.bin"}
    assert found(scan.scan_index(clone.git)).keys() == {"a.bin", "b.txt"}


def test_submodules_are_passed_over(clone: Clone, tmp_path: Path) -> None:
    commit = clone.commit_file("a", b"1")
    clone.git.output("update-index", "--add", "--cacheinfo", f"160000,{commit},module")
    clone.git.output("commit", "-q", "-m", "module")
    assert found(scan.scan_tree(clone.git, "HEAD")).keys() == {"a"}
    assert found(scan.scan_index(clone.git)).keys() == {"a"}


def test_what_git_refuses_is_an_error(clone: Clone) -> None:
    clone.commit()
    with pytest.raises(ScanError) as caught:
        list(scan.scan_range(clone.git, ["nothing"]))
    assert "bad revision 'nothing'" in caught.value.stderr
    with pytest.raises(ScanError):
        list(scan.scan_tree(clone.git, "nothing"))


def test_an_ambiguous_name_is_an_error(clone: Clone) -> None:
    clone.commit()
    clone.git.output("tag", "main")
    with pytest.raises(ScanError) as caught:
        list(scan.scan_range(clone.git, ["main"]))
    assert caught.value.stderr == 'ref "main" is ambiguous'


def test_an_abandoned_scan_ends_its_processes(clone: Clone) -> None:
    for number in range(200):
        clone.put(f"{number}", str(number).encode())
    clone.commit()
    files = scan.scan_range(clone.git, ["HEAD"])
    assert next(files).pointer.size > 0
    files.close()  # type: ignore[attr-defined]


def test_more_names_than_a_pipe_holds(clone: Clone) -> None:
    commit = clone.commit_file("a", b"1")
    assert len(list(scan.scan_range(clone.git, [commit] * 5000))) == 1


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 5), min_size=1), min_size=1, max_size=4))
def test_history_is_the_sum_of_its_trees(tmp_path_factory: pytest.TempPathFactory, steps: list[dict[str, int]]) -> None:
    clone = Clone(tmp_path_factory.mktemp("history"))
    commits = []
    for step in steps:
        for name, number in step.items():
            clone.write(name, pointer_of(f"content {number}".encode()).encode())
        commits.append(clone.commit())
    trees = {f.pointer.oid for commit in commits for f in scan.scan_tree(clone.git, commit)}
    assert {f.pointer.oid for f in scan.scan_range(clone.git, ["main"])} == trees
    assert {f.pointer.oid for f in scan.scan_trees(clone.git, commits)} == trees
    assert {f.pointer.oid for f in scan.scan_trees(clone.git, commits, PathFilter(exclude=["z"]))} == trees


def test_settings_of_git_log_do_not_change_what_is_found(clone: Clone) -> None:
    for key, value in {
        "log.showSignature": "true",
        "log.diffMerges": "off",
        "color.ui": "always",
        "diff.renames": "copies",
    }.items():
        clone.git.output("config", key, value)
    clone.put("one", b"1")
    clone.commit_file("two", b"1")
    clone.put("one", b"2")
    clone.commit_file("two", b"2")
    clone.put("two", b"stashed")
    clone.git.output("stash")
    assert {f.pointer.oid for f in scan.scan_previous(clone.git, "main", 0)} == {pointer_of(b"1").oid}
    allowed = scan.scan_previous(clone.git, "main", 0, PathFilter(exclude=["one"]))
    assert [f.path for f in allowed] == ["two"], "the same content at an excluded path hides nothing"
    assert [f.path for f in scan.scan_stashed(clone.git, refs.stashes(clone.git))] == ["two"]
    assert refs.commit_time(clone.git, "main") > 0
