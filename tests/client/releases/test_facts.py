"""What is behind a revision, whoever wrote it down."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.client.releases.facts import facts_of, facts_of_release
from hundredweight.lineage import releases
from hundredweight.lineage.record import Record, Weights
from hundredweight.lineage.weights import weights_in, weights_in_git
from tests.client.releases.models import SETTINGS, Repository, safetensors

BY_HAND = """Train digits on data v1.1

- Hyperparameters: lr=3e-5, batch_size=32
- Performance: val_loss=0.42, test_acc=89.1%
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path, SETTINGS.replace('weights = ["model.safetensors"]\n', ""))


def test_files_tell_where_there_is_no_record(repo: Repository) -> None:
    facts = facts_of(repo.workspace, "HEAD")
    assert facts.metrics == {"test_acc": 0.9, "val_loss": pytest.approx(0.1)}
    assert facts.parameters == {"lr": 1e-3}
    assert (facts.environment.file, facts.environment.packages) == ("requirements.txt", {"numpy": "2.0.0"})
    assert [(data.path, data.version) for data in facts.data] == [("data", "v1.0")]
    assert (facts.experiment, facts.weights[0].weights_id) == ("", "")
    assert facts_of(repo.workspace, "HEAD", hash_weights=True).weights[0].weights_id.startswith("w1-")
    # Hashed once, it is known from then on.
    assert facts_of(repo.workspace, "HEAD").weights[0].weights_id.startswith("w1-")


def test_a_tag_of_another_model_says_nothing_of_this_one(repo: Repository) -> None:
    for name in ("digits@v1.0.0", "letters@v3.0.0"):
        repo.person.git("tag", "-a", name, "-m", name, cwd=repo.folder)
    found = {each.name: each for each in releases.find_releases(repo.workspace.git)}
    told = {name: facts_of_release(repo.workspace, release).metrics for name, release in found.items()}
    assert told["digits@v1.0.0"] == {"test_acc": 0.9, "val_loss": pytest.approx(0.1)}
    assert told["letters@v3.0.0"] == {}


def test_files_that_cannot_be_read_hide_nothing(repo: Repository) -> None:
    repo.person.commit(repo.folder, {"metrics.json": b"{", "requirements.txt": b"\xff"})
    facts = facts_of(repo.workspace, "HEAD")
    assert (facts.metrics, facts.parameters, facts.environment.packages) == ({}, {"lr": 1e-3}, {})


def test_a_message_by_hand_tells(repo: Repository) -> None:
    repo.person.git("rm", "-q", "metrics.json", cwd=repo.folder)
    repo.person.git("commit", "-q", "-m", BY_HAND, cwd=repo.folder)
    facts = facts_of(repo.workspace, "HEAD")
    assert facts.metrics == {"val_loss": 0.42, "test_acc": 0.891}
    assert facts.parameters == {"lr": 1e-3, "batch_size": 32}


def test_the_newest_record_with_these_weights_counts(repo: Repository) -> None:
    (weights,) = facts_of(repo.workspace, "HEAD").weights
    other = Weights(weights.path, "0" * 64, 1)
    optimizer = Weights("optimizer.pt", "1" * 64, 1)
    records = [
        Record("20260101-000000-aaaaaa", metrics={"n": 1}, weights=(weights,)),
        Record("20260102-000000-aaaaaa", metrics={"n": 2}, weights=(weights, optimizer)),
        Record("20260103-000000-aaaaaa", metrics={"n": 3}, weights=(other,)),
        Record("20260104-000000-aaaaaa", metrics={"n": 4}),
    ]
    files = {record.path: record.encode() for record in records}
    repo.person.commit(repo.folder, {**files, ".cwt/experiments/20260105-000000-aaaaaa.json": b"{"})
    facts = facts_of(repo.workspace, "HEAD")
    assert (facts.metrics, facts.experiment) == ({"n": 2}, "20260102-000000-aaaaaa")
    assert facts_of(repo.workspace, "HEAD", experiment=records[0]).metrics == {"n": 1}
    repo.train(0.91)
    assert facts_of(repo.workspace, "HEAD").experiment == ""


def test_which_files_are_weights(repo: Repository) -> None:
    repo.person.commit(
        repo.folder,
        {"sub/other.safetensors": safetensors(w=[1.0]), "small.npz": b"PK", "notes.txt": b"x", "empty.pt": b""},
    )
    assert [each.path for each in weights_in(repo.git, "HEAD")] == ["model.safetensors", "sub/other.safetensors"]
    assert [each.path for each in weights_in(repo.git, "HEAD", ["/model.*"])] == ["model.safetensors"]
    assert weights_in_git(repo.git, "HEAD") == ("small.npz",)
    assert weights_in_git(repo.git, "HEAD", ["*.txt", "*.safetensors"]) == ("notes.txt", "requirements.txt")
