from __future__ import annotations

import pytest

from hundredweight.base.errors import UsageError
from hundredweight.client.clone import guess_folder, parse_arguments


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("http://h/o/n.git", "n"),
        ("http://h/o/n.git/", "n"),
        ("https://user:pw@h:8080/o/n", "n"),
        ("ssh://git@h:22/o/n.git", "n"),
        ("git@h:o/n.git", "n"),
        ("git@h:n", "n"),
        ("h:n.git", "n"),
        ("../some/where/.git", "where"),
        ("/srv/n.git/.git", "n"),
        ("http://h:8080/", "h"),
        ("file:///srv/a b.git", "a b"),
        ("x.bundle", "x"),
        (".git/x", "x"),
    ],
)
def test_the_folder_is_the_one_that_git_would_make(url: str, folder: str) -> None:
    assert guess_folder(url) == folder


def test_a_bare_clone_keeps_the_suffix() -> None:
    assert guess_folder("http://h/o/n", bare=True) == "n.git"


def test_an_url_without_any_name_is_refused() -> None:
    with pytest.raises(UsageError, match="no folder's name"):
        guess_folder("/")


def test_ours_is_taken_out_and_gits_is_left_in_order() -> None:
    args = [
        "-qb",
        "main",
        "-I",
        "a,b",
        "--depth=1",
        "--exclude=c",
        "-j4",
        "--recurse-submodules",
        "-c",
        "x.y=z",
        "URL",
        "DIR",
    ]
    request = parse_arguments(args)
    assert request.options == ["-qb", "main", "--depth=1", "-j4", "--recurse-submodules", "-c", "x.y=z"]
    assert (request.url, request.folder) == ("URL", "DIR")
    assert (request.include, request.exclude) == ("a,b", "c")
    assert request.submodules
    assert request.has_files


def test_values_are_never_taken_for_the_url() -> None:
    request = parse_arguments(["--origin", "up", "--branch", "b", "--upload-pack", "/x/y", "-o", "z", "URL"])
    assert request.url == "URL"
    assert request.options == ["--origin", "up", "--branch", "b", "--upload-pack", "/x/y", "-o", "z"]


def test_clusters_and_abbreviations_are_read_as_git_reads_them() -> None:
    request = parse_arguments(["-nqI*.bin", "--bran", "b", "--dep", "1", "URL"])
    assert request.options == ["-nq", "--bran", "b", "--dep", "1"]
    assert request.include == "*.bin"
    assert not request.checkout
    assert parse_arguments(["--bar", "URL"]).folder == "URL.git"


def test_after_two_dashes_all_is_names() -> None:
    request = parse_arguments(["--", "-odd-url", "-I"])
    assert (request.url, request.folder) == ("-odd-url", "-I")


@pytest.mark.parametrize("args", [[], ["-q"], ["a", "b", "c"]])
def test_one_repository_and_at_most_one_folder(args: list[str]) -> None:
    with pytest.raises(UsageError, match="name a repository"):
        parse_arguments(args)
