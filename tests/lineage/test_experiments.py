"""Experiments survive what happens to branches; any number is recorded at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hundredweight.git.run import Git
from hundredweight.lineage import experiments
from hundredweight.lineage.record import FOLDER, DataVersion, Record


@pytest.fixture
def git(tmp_path: Path) -> Git:
    made = Git(str(tmp_path / "repo"))
    (tmp_path / "repo").mkdir()
    made.output("init", "-q", "-b", "main")
    (tmp_path / "repo" / "train.py").write_text("print(1)\n")
    made.output("add", ".")
    made.output("commit", "-q", "-m", "start")
    return made


def record(number: int) -> Record:
    return Record(
        f"20261123-1400{number // 100:02d}-a{number:05d}",
        name="digits",
        parameters={"lr": 10.0**-number},
        metrics={"loss": 1.0 / (number + 1)},
        data=(DataVersion("data", "v1", "", "f" * 64),),
    )


def write(git: Git, number: int, *, ref: str = "") -> str:
    head = (
        git.text("rev-parse", ref)
        if ref and git.ok("rev-parse", "-q", "--verify", ref)
        else git.text("rev-parse", "HEAD")
    )
    made = record(number)
    return experiments.write(
        git, head, made, {"out/model.bin": b"%d" % number, f"{made.folder}/log.txt": b"done\n"}, ref=ref
    )


def ids(git: Git) -> list[str]:
    found = experiments.find(git)
    assert found.damaged == ()
    return [experiment.record.id for experiment in found.experiments]


def test_an_experiment_is_a_commit_on_what_it_started_from(git: Git) -> None:
    head = git.text("rev-parse", "HEAD")
    commit = write(git, 1)
    assert git.text("rev-parse", f"{commit}^") == head
    assert git.text("rev-parse", "HEAD") == head
    assert git.text("status", "--porcelain") == ""
    assert git.text("ls-tree", "-r", "--name-only", commit).splitlines() == [
        f"{FOLDER}/{record(1).id}.json",
        f"{FOLDER}/{record(1).id}/log.txt",
        "out/model.bin",
        "train.py",
    ]
    assert git.text("log", "-1", "--format=%B", commit).splitlines()[0] == "Train digits on data v1"
    assert git.text("fsck", "--strict") == ""
    (found,) = experiments.find(git).experiments
    assert (found.record, found.commit, found.ref) == (record(1), commit, experiments.REFS + record(1).id)
    assert experiments.read(git, record(1).id) == found
    assert experiments.read(git, commit) == found
    assert experiments.read(git, "HEAD") is None


def test_a_branch_moves_only_from_where_it_was(git: Git) -> None:
    first = write(git, 1, ref="refs/heads/exp")
    assert git.text("rev-parse", "exp") == first
    second = write(git, 2, ref="refs/heads/exp")
    assert git.text("rev-parse", "exp", "exp^").splitlines() == [second, first]
    experiments.write(git, first, record(3), {}, ref="refs/heads/exp")
    assert git.text("rev-parse", "exp") == second
    assert ids(git) == [record(number).id for number in (1, 2, 3)]


def test_many_at_once_lose_nothing(git: Git) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: write(git, number), range(40)))
    assert ids(git) == [record(number).id for number in range(40)]


def test_a_squash_merge_keeps_the_record(git: Git, tmp_path: Path) -> None:
    write(git, 1, ref="refs/heads/exp")
    git.output("merge", "-q", "--squash", "exp")
    git.output("commit", "-q", "-m", "Better digits")
    git.output("branch", "-q", "-D", "exp")
    experiments.remove(git, [record(1).id])
    assert ids(git) == [record(1).id]
    git.output("clone", "-q", "--no-local", "--depth", "1", f"file://{git.folder}", str(tmp_path / "shallow"))
    assert ids(git.at(str(tmp_path / "shallow"))) == [record(1).id]


def test_rebase_and_gc_keep_the_ref(git: Git, tmp_path: Path) -> None:
    write(git, 1, ref="refs/heads/exp")
    (tmp_path / "repo" / "other").write_text("x")
    git.output("add", ".")
    git.output("commit", "-q", "-m", "other")
    git.output("rebase", "-q", "main", "exp")
    git.output("checkout", "-q", "main")
    git.output("branch", "-q", "-D", "exp")
    git.output("reflog", "expire", "--expire=now", "--all")
    git.output("gc", "-q", "--prune=now")
    assert ids(git) == [record(1).id]


def test_a_cherry_pick_is_the_same_experiment(git: Git) -> None:
    commit = write(git, 1)
    git.output("cherry-pick", commit)
    assert ids(git) == [record(1).id]


def test_a_message_by_hand_is_found(git: Git) -> None:
    git.output(
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "Train digits on data v1.1\n\n- Hyperparameters: lr=3e-5\n- Performance: acc=89.1%",
    )
    (found,) = experiments.find(git).experiments
    assert found.by_hand
    assert found.record.parameters == {"lr": 3e-05}
    assert found.record.metrics == {"acc": 0.891}
    assert found.record.data[0].version == "v1.1"


def test_a_damaged_record_is_named_and_the_others_are_found(git: Git) -> None:
    write(git, 1)
    bad = record(2)
    experiments.write(git, "", bad, {bad.path: b"{"})
    found = experiments.find(git)
    assert [made.record.id for made in found.experiments if not made.by_hand] == [record(1).id]
    assert [bad.id in error.where for error in found.damaged] == [True]


def test_a_repository_without_commits_has_none(tmp_path: Path) -> None:
    git = Git(str(tmp_path))
    git.output("init", "-q")
    assert ids(git) == []
    experiments.write(git, "", record(1), {})
    assert ids(git) == [record(1).id]


def test_a_fetch_that_prunes_keeps_what_was_never_pushed(git: Git, tmp_path: Path) -> None:
    write(git, 1)
    clone = git.at(str(tmp_path / "clone"))
    git.output("clone", "-q", f"file://{git.folder}", clone.folder)
    clone.output("config", "--add", "remote.origin.fetch", experiments.refspec("origin"))
    write(clone, 2)
    clone.output("fetch", "-q", "--prune")
    assert ids(clone) == [record(1).id, record(2).id]
    found = experiments.read(clone, record(1).id)
    assert found is not None
    assert found.ref == f"{experiments.FETCHED}origin/{record(1).id}"
    experiments.remove(clone, [record(1).id])
    assert ids(clone) == [record(2).id]
