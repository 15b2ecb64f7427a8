"""Refs, remotes, stashes and work trees, each compared with what git says or does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hundredweight.git import refs
from hundredweight.git.config import Config
from hundredweight.git.refs import InvalidRemote, Ref, UnknownRef
from tests.clones import Clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def test_the_current_ref_before_and_after_the_first_commit_and_detached(clone: Clone) -> None:
    assert refs.current(clone.git) is None
    assert refs.current_branch(clone.git) == "main"
    commit = clone.commit()
    assert refs.current(clone.git) == Ref("main", "refs/heads/main", commit)
    clone.git.output("checkout", "-q", "--detach")
    assert refs.current(clone.git) == Ref("HEAD", "HEAD", commit)
    assert refs.current_branch(clone.git) == ""


def test_resolve_tells_kinds_apart(clone: Clone) -> None:
    commit = clone.commit()
    clone.git.output("tag", "v1")
    clone.pushed()
    assert refs.resolve(clone.git, "v1").is_tag
    assert refs.resolve(clone.git, "main").is_branch
    assert refs.resolve(clone.git, "origin/main").is_remote_branch
    assert refs.resolve(clone.git, "origin/main").name == "origin/main"
    assert refs.resolve(clone.git, commit) == Ref(commit, commit, commit)
    with pytest.raises(UnknownRef) as caught:
        refs.resolve(clone.git, "nothing")
    assert caught.value.name == "nothing"
    assert repr(refs.resolve(clone.git, "main")) == f"Ref(refs/heads/main {commit[:12]})"
    assert len({refs.resolve(clone.git, "main"), refs.resolve(clone.git, "HEAD")}) == 1


def test_lists_leave_out_symbolic_refs(clone: Clone) -> None:
    clone.commit()
    clone.git.output("tag", "v1")
    clone.pushed()
    clone.git.output("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    assert [ref.full_name for ref in refs.local_refs(clone.git)] == ["refs/heads/main", "refs/tags/v1"]
    assert [ref.name for ref in refs.tracked_refs(clone.git, "origin")] == ["origin/main"]
    assert len(refs.all_refs(clone.git)) == 3
    clone.git.output("update-ref", "--no-deref", "refs/remotes/origin/HEAD", "main")
    assert [ref.name for ref in refs.tracked_refs(clone.git, "origin")] == ["origin/main"]


def test_refs_at_the_remote_are_asked_from_it(clone: Clone, tmp_path: Path) -> None:
    clone.commit()
    clone.git.output("tag", "v1")
    clone.git.output("clone", "-q", "--bare", str(clone.folder), str(tmp_path / "bare.git"))
    assert [ref.full_name for ref in refs.refs_at_remote(clone.git, str(tmp_path / "bare.git"))] == ["refs/heads/main"]
    both = refs.refs_at_remote(clone.git, str(tmp_path / "bare.git"), tags=True)
    assert [ref.name for ref in both] == ["main", "v1"]


@pytest.mark.parametrize(
    ("entries", "fetch", "push"),
    [
        ({}, "origin", "origin"),
        ({"remote.up.url": "u"}, "up", "up"),
        ({"remote.up.url": "u", "remote.origin.url": "o"}, "origin", "origin"),
        ({"remote.up.url": "u", "remote.lfsdefault": "x", "remote.lfspushdefault": "y"}, "x", "y"),
        ({"branch.main.remote": "b", "remote.lfsdefault": "x", "remote.pushdefault": "p"}, "b", "p"),
        ({"branch.main.remote": "b", "branch.main.pushremote": "bp", "remote.pushdefault": "p"}, "b", "bp"),
    ],
)
def test_which_remote_is_meant(entries: dict[str, str], fetch: str, push: str) -> None:
    config = Config(entries.items())
    assert refs.default_remote(config, "main") == fetch
    assert refs.default_push_remote(config, "main") == push


def test_a_remote_is_a_name_or_a_url() -> None:
    config = Config([("remote.up.url", "u")])
    for good in ("up", "https://host/a", "git@host:a/b", "file:///a"):
        refs.check_remote(config, good)
    for bad in ("nope", "gopher://host"):
        with pytest.raises(InvalidRemote):
            refs.check_remote(config, bad)


def test_where_a_push_goes() -> None:
    ref = Ref.of("refs/heads/topic", "1" * 40)
    tracked = [("branch.topic.remote", "origin"), ("branch.topic.merge", "refs/heads/theirs")]
    assert refs.push_target(Config(), "origin", ref) == "refs/heads/topic"
    assert refs.push_target(Config(tracked), "origin", ref) == "refs/heads/theirs"
    assert refs.push_target(Config(tracked), "other", ref) == "refs/heads/topic"
    assert refs.push_target(Config([*tracked, ("push.default", "upstream")]), "other", ref) == "refs/heads/theirs"
    assert refs.push_target(Config([*tracked, ("push.default", "current")]), "origin", ref) == "refs/heads/topic"
    assert refs.push_target(Config(tracked), "origin", Ref.of("refs/tags/topic", "1" * 40)) == "refs/tags/topic"
    assert refs.upstream_ref(Config(tracked), "topic") == "refs/remotes/origin/theirs"
    assert refs.upstream_ref(Config(), "topic") == ""


def test_recent_refs_are_those_with_recent_commits(clone: Clone) -> None:
    clone.commit(days_ago=30)
    clone.git.output("branch", "old")
    clone.git.output("tag", "-a", "-m", "x", "annotated")
    clone.commit(days_ago=2)
    clone.pushed()
    clone.pushed("other")
    since = time.time() - 7 * 86_400
    names = [ref.full_name for ref in refs.recent_refs(clone.git, since)]
    assert sorted(names) == ["refs/heads/main", "refs/remotes/origin/main", "refs/remotes/other/main"]
    assert [r.name for r in refs.recent_refs(clone.git, since, remote_branches=False)] == ["main"]
    one = refs.recent_refs(clone.git, since, remote="other")
    assert sorted(ref.name for ref in one) == ["main", "other/main"]


def test_commit_time_is_the_committers(clone: Clone) -> None:
    clone.commit(days_ago=10)
    clone.git.output("tag", "-a", "-m", "now", "v1")
    assert abs(time.time() - 10 * 86_400 - refs.commit_time(clone.git, "v1")) < 5


def test_the_remote_that_has_a_commit(clone: Clone) -> None:
    first = clone.commit()
    clone.pushed("up")
    clone.commit()
    assert refs.remote_holding(clone.git, first, ["origin", "up"]) == "up"
    assert refs.remote_holding(clone.git, "", ["origin", "up"]) == ""
    assert refs.remote_holding(clone.git, first, ["up", "with/slash"]) == ""
    assert refs.remote_holding(clone.git, "nonsense", ["up"]) == ""


def test_stashes_and_autostashes(clone: Clone) -> None:
    assert refs.stashes(clone.git) == []
    clone.write("a", b"1")
    clone.commit()
    for content in (b"2", b"3"):
        clone.write("a", content)
        clone.git.output("stash")
    found = refs.stashes(clone.git)
    assert found == [clone.git.text("rev-parse", f"stash@{{{n}}}") for n in (0, 1)]
    assert refs.autostashes(clone.git) == []
    clone.write(".git/rebase-merge/autostash", found[0].encode() + b"\n")
    assert refs.autostashes(clone.git) == [found[0]]


def test_work_trees(clone: Clone, tmp_path: Path) -> None:
    assert refs.worktrees(clone.git)[0].commit == ""
    commit = clone.commit()
    odd = tmp_path / "odd\nname"
    clone.git.output("worktree", "add", "-q", "--detach", str(odd))
    clone.git.output("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    found = {Path(tree.folder).name: tree for tree in refs.worktrees(clone.git)}
    assert set(found) == {"clone", "odd\nname", "side"}
    assert {tree.commit for tree in found.values()} == {commit}
    assert found["side"].full_name == "refs/heads/side"
    assert found["odd\nname"].full_name == "HEAD"
    (tmp_path / "side" / ".git").unlink()
    assert [Path(tree.folder).name for tree in refs.worktrees(clone.git) if tree.prunable] == ["side"]


def test_a_bare_repository_has_no_work_tree(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.git.output("config", "core.bare", "true")
    assert refs.worktrees(clone.git) == []
