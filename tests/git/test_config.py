"""Git configuration: what we look up is what `git config` answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.git import config
from hundredweight.git.config import BadConfigValue, Config
from hundredweight.git.run import Git

WORDS = ["true", "yes", "on", "1", "false", "no", "off", "0", "", "2", "-1", "1k", "maybe", "TRUE", "3m"]


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Git:
    folder = tmp_path_factory.mktemp("config")
    git = Git(str(folder))
    git.output("init", "-q")
    return git


@pytest.mark.parametrize("word", WORDS)
def test_booleans_are_gits(git: Git, word: str) -> None:
    answer = git.run("-c", f"a.b={word}", "config", "--type=bool", "a.b")
    value = Config([("a.b", word)]).bool("a.b", default=True)
    assert value == (answer.out.strip() == b"true") if answer.code == 0 else value is True


@pytest.mark.parametrize("word", ["0", "5", "-3", "1k", "2M", "3g"])
def test_integers_are_gits(git: Git, word: str) -> None:
    assert Config([("a.b", word)]).int("a.b") == int(git.text("-c", f"a.b={word}", "config", "--type=int", "a.b"))


def test_what_is_no_integer() -> None:
    with pytest.raises(BadConfigValue) as caught:
        Config([("a.b", "many")]).int("a.b")
    assert (caught.value.key, caught.value.value) == ("a.b", "many")
    assert Config().int("a.b", 7) == 7


def test_sections_fold_and_subsections_do_not(git: Git) -> None:
    git.output("config", "Remote.My Name.LfsUrl", "https://x/Y")
    git.output("config", "--add", "remote.My Name.lfsurl", "second\nline")
    loaded = config.load(git)
    assert loaded.get("REMOTE.My Name.lfsUrl") == "second\nline"
    assert loaded.all("remote.My Name.lfsurl") == ["https://x/Y", "second\nline"]
    assert not loaded.has("remote.my name.lfsurl")
    assert loaded.subsections("remote", "lfsurl") == ["My Name"]
    assert loaded.has("core.bare")


@given(st.lists(st.tuples(st.sampled_from(["a.b", "a.C.b", "x.y"]), st.text(max_size=5)), max_size=8))
def test_the_last_value_wins(entries: list[tuple[str, str]]) -> None:
    found = Config(entries)
    for key in {key for key, _ in entries}:
        values = [value for other, value in entries if other == key]
        assert found.all(key) == values
        assert found.get(key) == values[-1]
        assert Config([(key, "low")]).below(found).get(key) == values[-1]


def test_a_key_without_value_is_true() -> None:
    assert config.parse_list(b"a.b\0c.d\n\0") == [("a.b", "true"), ("c.d", "")]


def test_lists_of_settings(tmp_path: Path) -> None:
    assert Config().subsections("remote") == []
    assert list(Config([("a.b", "1")]).items()) == [("a.b", "1")]
