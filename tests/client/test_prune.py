"""Prune: whatever happened before, what a clone still needs is there afterwards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hundredweight.base.ids import Oid
from hundredweight.client.prune import PruneOptions, PrunePlan, execute, plan_prune
from hundredweight.git import refs
from hundredweight.protocol.batch import Action, BatchObject, BatchResponse, ObjectError, Wanted
from hundredweight.protocol.pointer import try_parse
from hundredweight.transfer.server import LfsServer
from tests.clones import Clone, oid_of, pointer_of


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def no_server() -> LfsServer:
    raise AssertionError("nobody asked to verify")


def ignore(*_: object) -> None:
    """Progress that nobody watches."""


def prune(clone: Clone, below: str = "", **options: bool) -> PrunePlan:
    space = clone.workspace(below)
    plan = plan_prune(space, PruneOptions(**options), no_server, ignore)
    assert execute(space, plan, ignore) == []
    return plan


def test_what_is_pushed_and_old_goes_and_the_rest_stays(clone: Clone) -> None:
    clone.commit_file("a", b"old", days_ago=40)
    clone.commit_file("a", b"now", days_ago=30)
    clone.pushed()
    clone.store(b"of nobody")
    plan = prune(clone)
    assert (plan.local, plan.retained, plan.size) == (3, 1, len(b"old") + len(b"of nobody"))
    assert clone.has(b"now")
    assert not clone.has(b"old")
    assert not clone.has(b"of nobody")
    assert prune(clone).prunable == []


def test_nothing_pushed_nothing_pruned(clone: Clone) -> None:
    clone.commit_file("a", b"1", days_ago=40)
    clone.commit_file("a", b"2", days_ago=30)
    assert prune(clone, recent=True, force=True).prunable == []
    clone.pushed("elsewhere")
    assert prune(clone, force=True).prunable == [], "the prune remote is origin"
    clone.git.output("config", "lfs.pruneremotetocheck", "elsewhere")
    assert len(prune(clone).prunable) == 1


def test_recent_refs_and_recent_commits_stay(clone: Clone) -> None:
    clone.commit_file("a", b"first", days_ago=12)
    clone.git.output("branch", "side")
    clone.commit_file("a", b"second", days_ago=4)
    clone.commit_file("a", b"third", days_ago=2)
    clone.pushed()
    clone.pushed("other", "side")
    clone.git.output("config", "lfs.fetchrecentrefsdays", "10")
    assert prune(clone).prunable == [(oid_of(b"second"), 6)], "side is within 10 + 3 days"
    clone.store(b"second")
    clone.git.output("config", "lfs.fetchrecentcommitsdays", "1")
    assert prune(clone).prunable == [], "third replaced second within 1 + 3 days"
    assert len(prune(clone, recent=True).prunable) == 2


def test_excluded_paths_go_unless_unpushed_staged_or_stashed(clone: Clone) -> None:
    clone.put("skip/pushed", b"pushed")
    clone.put("skip/stash", b"base")
    clone.commit_file("kept", b"kept")
    clone.pushed()
    clone.put("skip/stash", b"stashed")
    clone.git.output("stash")
    clone.commit_file("skip/unpushed", b"unpushed")
    clone.put("skip/staged", b"staged")
    clone.git.output("add", "-A")
    clone.git.output("config", "lfs.fetchexclude", "/skip")
    pruned = {oid for oid, _ in prune(clone).prunable}
    assert pruned == {oid_of(b"pushed"), oid_of(b"base")}


def test_force_keeps_what_is_not_elsewhere(clone: Clone) -> None:
    clone.commit_file("a", b"pushed")
    clone.pushed()
    clone.put("b", b"staged")
    clone.git.output("add", "b")
    assert [oid for oid, _ in prune(clone, force=True).prunable] == [oid_of(b"pushed")]


def test_other_work_trees_count_until_they_are_gone(clone: Clone, tmp_path: Path) -> None:
    clone.commit_file("a", b"main", days_ago=30)
    clone.git.output("checkout", "-q", "-b", "side")
    clone.commit_file("a", b"side", days_ago=30)
    clone.pushed(ref="side")
    clone.git.output("checkout", "-q", "main")
    clone.git.output("worktree", "add", "-q", str(tmp_path / "other"), "side")
    other = Clone(tmp_path / "other")
    clone.store(b"staged there")
    other.write("b", pointer_of(b"staged there").encode())
    other.git.output("add", "b")
    assert prune(clone).prunable == []
    space = other.workspace()
    assert plan_prune(space, PruneOptions(), no_server, ignore).prunable == [], "from there it is the same"
    clone.git.output("worktree", "remove", "--force", str(tmp_path / "other"))
    assert {oid for oid, _ in prune(clone).prunable} == {oid_of(b"side"), oid_of(b"staged there")}


def test_a_rebase_under_way_keeps_its_autostash(clone: Clone) -> None:
    clone.commit_file("a", b"pushed", days_ago=30)
    clone.pushed()
    clone.put("a", b"only in the autostash")
    stash = clone.git.text("stash", "create")
    clone.git.output("reset", "-q", "--hard")
    clone.write(".git/rebase-merge/autostash", stash.encode() + b"\n")
    assert prune(clone, force=True).retained == 1
    assert clone.has(b"only in the autostash")


def test_before_the_first_commit_the_index_counts(clone: Clone) -> None:
    clone.put("a", b"staged")
    clone.git.output("add", "a")
    clone.store(b"of nobody")
    assert [oid for oid, _ in prune(clone).prunable] == [oid_of(b"of nobody")]


def test_an_object_that_cannot_be_deleted_is_reported(clone: Clone) -> None:
    clone.commit()
    oid = clone.store(b"x")
    space = clone.workspace()
    plan = plan_prune(space, PruneOptions(), no_server, ignore)
    os.unlink(space.store.path(oid))
    os.mkdir(space.store.path(oid))
    done: list[int] = []
    ((failed, error),) = execute(space, plan, done.append)
    assert failed == oid
    assert isinstance(error, OSError)
    assert done == [0]


class Remote(LfsServer):
    """A server that has some objects; only what prune asks of one."""

    def __init__(self, has: set[Oid]) -> None:
        self._has = has
        self.asked = 0

    def batch(
        self, operation: str, objects: Sequence[Wanted], ref: str = "", transfers: Sequence[str] = ()
    ) -> BatchResponse:
        assert operation == "download"
        answers = []
        for item in objects:
            self.asked += 1
            there = item.oid in self._has
            actions = {"download": Action("https://host/x")} if there else {}
            answers.append(BatchObject(item.oid, item.size, actions, None if there else ObjectError(404, "not found")))
        return BatchResponse(tuple(answers))

    def close(self) -> None:
        """There is no connection."""


@pytest.mark.parametrize(("unreachable", "missing"), [(False, {b"old"}), (True, {b"old", b"of nobody"})])
def test_only_what_the_remote_has_goes(clone: Clone, unreachable: bool, missing: set[bytes]) -> None:
    clone.commit_file("a", b"older", days_ago=50)
    clone.commit_file("a", b"old", days_ago=40)
    clone.commit_file("a", b"now", days_ago=30)
    clone.pushed()
    clone.store(b"of nobody")
    remote = Remote({oid_of(b"older")})
    seen: list[tuple[int, int]] = []
    options = PruneOptions(verify=True, verify_unreachable=unreachable)
    plan = plan_prune(clone.workspace(), options, lambda: remote, lambda p: seen.append((p.verified, len(p.missing))))
    assert set(plan.missing) == {oid_of(content) for content in missing}
    assert {oid for oid, _ in plan.prunable} == {oid_of(b"older"), oid_of(b"of nobody")} - set(plan.missing)
    assert remote.asked == 3
    assert seen[-1] == (1, len(missing))


STEPS = (
    "commit",
    "stage",
    "stash",
    "branch",
    "detach",
    "push",
    "switch",
    "tag",
    "unreferenced",
    "drop branch",
    "amend",
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=3, max_size=9), force=st.booleans())
def test_nothing_needed_is_ever_deleted(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], force: bool
) -> None:
    clone = Clone(tmp_path_factory.mktemp("law"))
    clone.commit_file("a", b"0", days_ago=60)
    for number, step in enumerate(steps):
        _step(clone, step, number)
    needed = _needed(clone)
    before = {oid for oid, _ in clone.workspace().store.ids()}
    prune(clone, force=force, recent=force)
    after = {oid for oid, _ in clone.workspace().store.ids()}
    assert needed & before <= after


def _step(clone: Clone, step: str, number: int) -> None:
    git, content = clone.git, f"content {number}".encode()
    if step == "commit":
        clone.commit_file("a", content, days_ago=50 - number)
    elif step == "stage":
        clone.put("b", content)
        git.output("add", "b")
    elif step == "stash":
        clone.put("a", content)
        git.run("stash")
    elif step == "branch":
        git.run("checkout", "-q", "-b", f"b{number}")
    elif step == "detach":
        git.run("checkout", "-q", "--detach")
    elif step == "push":
        clone.pushed()
    elif step == "switch":
        git.run("checkout", "-q", "main")
    elif step == "tag":
        git.run("tag", f"t{number}")
    elif step == "unreferenced":
        clone.store(content)
    elif step == "drop branch":
        git.run("branch", "-D", *[r.name for r in refs.local_refs(git) if r.is_branch and r.name != "main"][:1])
    else:
        clone.put("a", content)
        git.run("commit", "-q", "--amend", "-a", "--no-edit")


def _needed(clone: Clone) -> set[Oid]:
    """By brute force and git's porcelain alone: unpushed commits of branches, tags and HEAD, the index, the stashes' changes."""
    git = clone.git
    unpushed = git.text("rev-list", "HEAD", "--branches", "--tags", "--not", "--remotes=origin").split()
    blobs = set()
    for commit in unpushed:
        parents = git.text("rev-list", "-1", "--parents", commit).split()[1:]
        if parents:
            changes = git.text("diff", "--raw", "--no-abbrev", parents[0], commit).splitlines()
            blobs |= {change.split()[3] for change in changes}
        else:
            blobs |= set(git.text("ls-tree", "-r", commit).split())
    for line in git.text("diff", "--cached", "--raw", "--no-abbrev", "HEAD").splitlines():
        blobs.add(line.split()[3])
    for stash in git.text("stash", "list", "--format=%H").split():
        blobs.add(git.text("rev-parse", f"{stash}:a"))
    pointers = (try_parse(git.run("cat-file", "blob", name).out) for name in blobs if len(name) == 40)
    return {pointer.oid for pointer in pointers if pointer is not None and pointer.size}
