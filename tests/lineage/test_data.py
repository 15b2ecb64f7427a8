"""The version of a data set is known from a tree alone, and the same wherever the data lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

from hundredweight.git.run import Git
from hundredweight.lineage.data import data_files, data_versions
from hundredweight.lineage.record import DataVersion
from tests.clones import Clone, oid_of

TRAIN = b"text,label\n" + b"hello,greeting\n" * 500
SMALL = b"text,label\nhello,greeting\n"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "repo")
    made.put("data/train.csv", TRAIN)
    made.write("data/test.csv", SMALL)
    made.write("data/images/cat/1.png", b"\x89PNG" * 400)
    made.write("train.py", b"print()\n")
    made.commit()
    return made


def versions(git: Git, *paths: str) -> tuple[DataVersion, ...]:
    return data_versions(git, "HEAD", paths)


def test_files_are_told_by_their_content_not_by_their_pointers(clone: Clone) -> None:
    found = {file.path: file for file in data_files(clone.git, "HEAD", ["data"])}
    assert list(found) == ["data/images/cat/1.png", "data/test.csv", "data/train.csv"]
    assert found["data/train.csv"].size == len(TRAIN)
    assert found["data/train.csv"].content == f"sha256:{oid_of(TRAIN)}"
    assert found["data/test.csv"].pointer is None
    assert found["data/images/cat/1.png"].size == 1600


def test_a_version_has_the_tree_the_totals_and_a_digest_of_paths_and_contents(clone: Clone) -> None:
    (one,) = data_versions(clone.git, "HEAD", ["data/"], "v1.1")
    files = list(data_files(clone.git, "HEAD", ["data"]))
    text = "".join(f"{file.path.removeprefix('data/')}\0{file.content}\0" for file in files)
    assert one == DataVersion(
        "data/",
        "v1.1",
        clone.git.text("rev-parse", "HEAD:data"),
        blake3(text.encode()).hexdigest(),
        3,
        len(TRAIN) + len(SMALL) + 1600,
    )


def test_files_folders_patterns_and_everything_can_be_named(clone: Clone) -> None:
    one, many, whole, none = versions(clone.git, "data/test.csv", "data/*.csv", ".", "nowhere")
    assert (one.files, one.bytes, one.tree) == (1, len(SMALL), clone.git.text("rev-parse", "HEAD:data/test.csv"))
    assert (many.files, many.bytes, many.tree) == (2, len(SMALL) + len(TRAIN), "")
    assert whole.files == 4
    assert none == DataVersion("nowhere")
    both = [file.path for file in data_files(clone.git, "HEAD", ["data/images", "data/*.csv"])]
    assert both == ["data/images/cat/1.png", "data/test.csv", "data/train.csv"]


def test_the_digest_follows_content_and_names_and_nothing_else(clone: Clone) -> None:
    (before,) = versions(clone.git, "data")
    clone.write("train.py", b"print(2)\n")
    clone.git.output("mv", "data", "inputs")
    clone.commit()
    (moved,) = versions(clone.git, "inputs")
    assert moved.digest == before.digest
    clone.git.output("mv", "inputs/test.csv", "inputs/tests.csv")
    clone.commit()
    (renamed,) = versions(clone.git, "inputs")
    assert renamed.digest != before.digest
    assert renamed.bytes == before.bytes


def test_a_repository_without_data_paths_has_no_versions(clone: Clone) -> None:
    assert versions(clone.git) == ()
    assert list(data_files(clone.git, "HEAD", [])) == []


def test_many_small_files_keep_their_order(clone: Clone) -> None:
    for number in range(6000):
        clone.write(f"data/items/{number:05d}.txt", b"%d\n" % number if number % 3 else b"x" * 2000)
    clone.commit()
    paths = [file.path for file in data_files(clone.git, "HEAD", ["data/items"])]
    assert paths == [f"data/items/{number:05d}.txt" for number in range(6000)]
