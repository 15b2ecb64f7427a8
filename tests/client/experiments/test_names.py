"""What users call experiments."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.client.experiments.names import AmbiguousName, Names, NoSuchExperiment, find_experiments
from hundredweight.lineage import experiments
from hundredweight.lineage.listing import listing
from hundredweight.lineage.record import Record, utc
from tests.clones import Clone

IDS = ("20261120-100000-aaaaaa", "20261121-100000-bbbbbb", "20261121-110000-cccccc")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone")
    made.write("train.py", b"pass\n")
    start = made.commit("start")
    for place, identity in enumerate(IDS):
        known = Record(identity, name="digits" if place else "first", started=utc(1_760_000_000 + place))
        experiments.write(made.git, start, known, {}, ref=f"refs/heads/exp-{place}")
    return made


def names(clone: Clone) -> Names:
    return Names(clone.git, listing(clone.git).rows)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (IDS[0], 0),
        ("20261120", 0),
        ("aaaaaa", 0),
        ("first", 0),
        ("exp-1", 1),
        ("exp-2^0", 2),
        ("cccccc", 2),
        ("0-cccccc", 2),
    ],
)
def test_by_any_name(clone: Clone, name: str, place: int) -> None:
    finder = names(clone)
    assert finder.row(name).id == IDS[place]
    assert finder.notes == []
    assert finder.row(clone.git.text("rev-parse", f"exp-{place}")).id == IDS[place]


def test_the_newest_of_a_name_with_a_note(clone: Clone) -> None:
    finder = names(clone)
    assert finder.row("digits").id == IDS[2]
    assert finder.notes == [f"2 experiments are called 'digits'; taking the newest, {IDS[2]}"]


def test_a_part_of_several_ids_is_refused(clone: Clone) -> None:
    with pytest.raises(AmbiguousName) as caught:
        names(clone).row("20261121")
    assert caught.value.ids == IDS[1:]
    assert IDS[2] in caught.value.hint


@pytest.mark.parametrize("name", ["nothing", "main", "--help", "", "HEAD:train.py"])
def test_what_is_none(clone: Clone, name: str) -> None:
    with pytest.raises(NoSuchExperiment):
        names(clone).row(name)


def test_a_squash_merge_and_a_tag_name_what_they_brought(clone: Clone) -> None:
    clone.git.output("merge", "-q", "--squash", "exp-1")
    clone.commit("Merge work")
    assert names(clone).row("HEAD").id == IDS[1]
    clone.git.output("tag", "-a", "-m", "out", "digits@v1.0.0")
    assert names(clone).row("digits@v1.0.0").id == IDS[1]
    assert names(clone).row("digits@latest").id == IDS[1]
    experiments.remove(clone.git, IDS)
    clone.git.output("branch", "-q", "-D", "exp-0", "exp-1", "exp-2")
    (found,), _ = find_experiments(clone.workspace(), ["HEAD"])
    assert found.record.id == IDS[1]


def test_a_commit_by_hand(clone: Clone) -> None:
    clone.git.output("commit", "-q", "--allow-empty", "-m", "Train hand on data v3\n- Performance: acc=90%")
    (found,), _ = find_experiments(clone.workspace(), ["hand"])
    assert found.record.metrics == {"acc": 0.9}
    assert found.record.data[0].version == "v3"
    head = clone.git.text("rev-parse", "HEAD")
    assert found.commit == head
    assert names(clone).row("HEAD").id == names(clone).row(head[:7]).id == head
