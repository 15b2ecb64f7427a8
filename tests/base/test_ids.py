"""Ids parse what they print and refuse everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base.errors import EXIT_USAGE
from hundredweight.base.ids import CommitId, InvalidId, Oid, RepoName

HEX = "0123456789abcdef"


@given(st.text(HEX, min_size=64, max_size=64))
def test_an_oid_is_its_text(text: str) -> None:
    oid = Oid.parse(text)
    assert oid == text
    assert oid.short == text[:10]


@given(st.text(max_size=80).filter(lambda text: len(text) != 64 or not set(text) <= set(HEX)))
def test_other_text_is_no_oid(text: str) -> None:
    with pytest.raises(InvalidId) as caught:
        Oid.parse(text)
    assert caught.value.kind == "object id"
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize("length", [40, 64])
def test_commit_ids_of_both_formats(length: int) -> None:
    assert CommitId.parse("0" * length).is_null
    assert not CommitId.parse("1" * length).is_null


@pytest.mark.parametrize("text", ["", "abc", "G" * 40, "a" * 41])
def test_other_text_is_no_commit_id(text: str) -> None:
    with pytest.raises(InvalidId):
        CommitId.parse(text)


@pytest.mark.parametrize("text", ["team/digits", "team/digits.git", "A-1/b_2.c"])
def test_repo_names(text: str) -> None:
    name = RepoName.parse(text)
    assert f"{name.owner}/{name.name}" == text.removesuffix(".git")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "team",
        "a/b/c",
        "../b",
        "a/..",
        "a/.git",
        "a/-x",
        ".a/b",
        "a/b.lock",
        "a//b",
        "a b/c",
        "a/b\n",
        "a/" + "x" * 101,
        "ä/b",
    ],
)
def test_names_that_could_leave_their_folder(text: str) -> None:
    with pytest.raises(InvalidId):
        RepoName.parse(text)
