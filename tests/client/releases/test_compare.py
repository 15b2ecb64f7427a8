"""Two releases side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hundredweight.client.releases.assign import NoSuchRelease
from hundredweight.client.releases.compare import compare_releases
from tests.client.releases.models import Repository


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.cwt("release", "create")
    made.write({"data/train.csv": b"1,2\n3,4\n", "params.toml": b"lr = 1e-4\n", "requirements.txt": b"numpy==2.1.0\n"})
    made.train(0.95)
    made.cwt("release", "create")
    return made


def test_everything_that_differs_is_told(repo: Repository) -> None:
    found = compare_releases(repo.workspace, "v1.0.0", "v1.1.0")
    rows = {name: {row.key: row.values for row in part if row.differs} for name, part in found.facts.parts()}
    assert rows["metrics"]["test_acc"] == (0.9, 0.95)
    assert rows["parameters"] == {"lr": (1e-3, 1e-4)}
    assert rows["environment"] == {"numpy": ("2.0.0", "2.1.0")}
    assert list(rows["data"]) == ["data"]
    assert list(rows["weights"]) == ["model.safetensors"]
    (model,) = found.models
    (change,) = model.tensors.changes
    assert (change.name, change.kind) == ("w", "changed")
    assert change.statistics is not None
    assert model.tensors.unchanged == 1


def test_a_revision_stands_for_a_release(repo: Repository) -> None:
    found = compare_releases(repo.workspace, "v1.0.0", "HEAD", statistics=False)
    assert found.new.facts.metrics["test_acc"] == 0.95
    assert found.models[0].tensors.changes[0].statistics is None
    assert not compare_releases(repo.workspace, "v1.1.0", "HEAD").facts.differs
    with pytest.raises(NoSuchRelease):
        compare_releases(repo.workspace, "v1.0.0", "nothing")


def test_weights_that_are_not_here_are_told(repo: Repository) -> None:
    repo.person.run("git", "clone", "-q", str(repo.folder), "pointers", cwd=repo.person.home, GIT_LFS_SKIP_SMUDGE="1")
    repo.folder = repo.person.home / "pointers"
    repo.person.git("remote", "remove", "origin", cwd=repo.folder)
    done = repo.cwt("release", "diff", "v1.0.0", "v1.1.0", check=False)
    assert "test_acc" in done
    assert "hint: run 'cwt diff --fetch" in done


def test_text_markdown_and_json(repo: Repository) -> None:
    text = repo.cwt("release", "diff", "v1.0.0", "v1.1.0")
    assert "test_acc  0.9  0.95  +0.05" in text
    assert "1 changed, 1 unchanged" in text
    assert "numpy" in text
    assert "| metrics | test\\_acc | 0.9 | 0.95 | +0.05 |" in repo.cwt("release", "diff", "v1.0.0", "v1.1.0", "--md")
    told = json.loads(repo.cwt("release", "diff", "v1.0.0", "--json"))
    assert (told["differs"], told["new"]["name"], told["failed"]) == (True, "HEAD", [])
    assert "no differences" in repo.cwt("release", "diff", "v1.1.0", "digits@latest")
