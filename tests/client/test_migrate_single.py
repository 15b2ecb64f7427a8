from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.client.migrate.selection import MigrateError
from hundredweight.client.migrate.single import convert_once
from tests.client.histories import History, Quiet

ATTRIBUTES = b"*.bin filter=lfs diff=lfs merge=lfs -text\n"


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "repo")


def test_one_new_commit_holds_pointers_for_the_named_files_only(history: History) -> None:
    before = history.commit({".gitattributes": ATTRIBUTES, "a.bin": b"one", "d/e/b.bin": b"two", "c.bin": b"three"})
    commit = convert_once(history.workspace(), ["a.bin", "d/e/b.bin"], Quiet())
    assert history.git.text("rev-parse", "main", "main~1").split() == [commit, before]
    assert history.git.text("log", "-1", "--format=%B").strip() == "a.bin,d/e/b.bin: convert to Git LFS"
    assert history.pointer("HEAD:a.bin")
    assert history.pointer("HEAD:d/e/b.bin")
    assert history.content("HEAD:c.bin") == b"three"
    assert history.content("HEAD:.gitattributes") == ATTRIBUTES


@pytest.mark.parametrize("message", ["", "my words\n\nand more"])
def test_the_message_is_the_users(history: History, message: str) -> None:
    history.commit({".gitattributes": ATTRIBUTES, "a.bin": b"one"})
    convert_once(history.workspace(), ["a.bin"], Quiet(), message=message)
    assert history.git.text("log", "-1", "--format=%B").strip() == message


def test_attributes_of_the_folder_count(history: History) -> None:
    history.commit({"d/.gitattributes": ATTRIBUTES, "d/a.bin": b"one", "b.bin": b"two"})
    convert_once(history.workspace(), ["d/a.bin"], Quiet())
    assert history.pointer("HEAD:d/a.bin")
    with pytest.raises(MigrateError, match="did not match any Git LFS filters"):
        convert_once(history.workspace(), ["b.bin"], Quiet())


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        ([], "Expected one or more files with --no-rewrite"),
        (["gone.bin"], 'Could not rewrite "gone.bin": unable to find entry gone.bin in tree'),
        (["no/w.bin"], 'Could not rewrite "no/w.bin": unable to find entry no in tree'),
        (["a.bin/x.bin"], 'Could not rewrite "a.bin/x.bin": unable to find entry a.bin in tree'),
    ],
)
def test_what_cannot_be_converted_is_named_and_nothing_happens(history: History, paths: list[str], text: str) -> None:
    before = history.commit({".gitattributes": ATTRIBUTES, "a.bin": b"one"})
    with pytest.raises(MigrateError) as caught:
        convert_once(history.workspace(), paths, Quiet())
    assert str(caught.value) == text
    assert history.git.text("rev-parse", "HEAD") == before


def test_without_any_filter_it_says_so(history: History) -> None:
    history.commit({".gitattributes": b"*.txt text\n", "a.bin": b"one"})
    with pytest.raises(MigrateError, match="No Git LFS filters found"):
        convert_once(history.workspace(), ["a.bin"], Quiet())


def test_without_any_commit_it_says_so(history: History) -> None:
    with pytest.raises(MigrateError, match="Unable to find current reference"):
        convert_once(history.workspace(), ["a.bin"], Quiet())
