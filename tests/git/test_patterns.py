"""Laws of path patterns, with git itself as the judge."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hundredweight.git.patterns import PathFilter, Pattern, split_list, translate

if TYPE_CHECKING:
    from pathlib import Path

names = st.text(alphabet="ab.*-]é A\\", min_size=1, max_size=4).filter(lambda n: n not in (".", "..") and "\\" not in n)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
usual = [
    "a",
    "b",
    ".",
    "*",
    "**",
    "?",
    "/",
    "/**/",
    "**/",
    "/**",
    "[ab]",
    "[!a]",
    "[^b-]",
    "[]a]",
    "[a-b]",
    "[[:alpha:]]",
]
odd = [
    "[[:upper:][:punct:]]",
    "[[:bad:]]",
    "[a",
    "\\a",
    "\\*",
    "\\",
    "é",
    "A",
    "[\\]]",
    "[a/b]",
    "[[:]a]",
    "[--.]",
    "]",
]
atoms = st.sampled_from([*usual, *odd])
patterns = st.lists(atoms, min_size=1, max_size=6).map("".join).filter(lambda p: p[0] not in "!#" and "\\/" not in p)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patterns")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def git(repository: Path, *args: str, stdin: str) -> list[str]:
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(repository)}
    done = subprocess.run(
        ["git", "-C", str(repository), "-c", f"core.excludesFile={repository}/rules", *args],
        input=os.fsencode(stdin),
        stdout=subprocess.PIPE,
        env=env,
        check=False,
    )
    assert done.returncode in (0, 1)
    return os.fsdecode(done.stdout).split("\0")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pattern=patterns, candidates=st.lists(paths, min_size=8, max_size=16, unique=True))
def test_ignore_dialect_is_gits(repository: Path, pattern: str, candidates: list[str]) -> None:
    (repository / "rules").write_text(pattern + "\n", encoding="utf-8")
    ignored = set(git(repository, "check-ignore", "--no-index", "-z", "--stdin", stdin="\0".join(candidates)))
    ours = Pattern(pattern, ignore_case=False)
    assert {path for path in candidates if ours.matches(path)} == ignored - {""}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pattern=patterns.filter(lambda p: not p.startswith("[attr]")),
    candidates=st.lists(paths, min_size=8, max_size=16, unique=True),
)
def test_attributes_dialect_is_gits(repository: Path, pattern: str, candidates: list[str]) -> None:
    info = repository / ".git" / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text(f"{pattern} hit\n", encoding="utf-8")
    said = git(repository, "check-attr", "-z", "--stdin", "hit", stdin="\0".join(candidates))
    (info / "attributes").unlink()
    hits = {path for path, value in zip(said[0::3], said[2::3], strict=False) if value == "set"}
    ours = Pattern(pattern, attributes=True, ignore_case=False)
    assert {path for path in candidates if ours.matches(path)} == hits


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("*.dat", ["a.dat", "x/y/a.dat", "a.dat/b"], ["a.dat2", "a.da"]),
        ("/a", ["a", "a/b"], ["b/a"]),
        ("dir", ["dir", "dir/a", "x/dir/a"], ["dir2", "xdir/a"]),
        ("dir/", ["dir/a", "x/dir/a"], ["dir"]),
        ("media/sub", ["media/sub/x", "media/sub"], ["x/media/sub"]),
        ("pre*", ["prefix", "a/pre/b"], ["apre"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b/c"], ["a/xb"]),
        ("**", ["a", "a/b"], []),
        ("", [], ["a"]),
    ],
)
def test_ignore_examples(pattern: str, inside: list[str], outside: list[str]) -> None:
    ours = Pattern(pattern, ignore_case=False)
    assert [p for p in inside if not ours.matches(p)] == []
    assert [p for p in outside if ours.matches(p)] == []


def test_case_is_folded_where_the_system_folds_it() -> None:
    folding = Pattern("Dir/[!X]*.DAT", ignore_case=True)
    assert folding.matches("dir/a.dat")
    assert not folding.matches("dir/x.dat")
    assert Pattern("A", ignore_case=True).matches("a/b")
    assert not Pattern("A", ignore_case=False).matches("a/b")


def test_hostile_pattern_takes_linear_time() -> None:
    assert not Pattern("*a" * 40 + "*c").matches("a" * 5000 + "b")


def test_malformed_pattern_translates_to_nothing() -> None:
    assert translate("[a") is None
    assert translate("a\\") is None
    assert translate("[[:nope:]]") is None
    assert translate("[[:alpha:") is None
    assert translate("[a-\\") is None


def test_filter_includes_then_excludes() -> None:
    chosen = PathFilter(["*.bin", "models"], ["models/old"])
    assert [p for p in ("a.bin", "models/x", "models/old/x", "c") if chosen.allows(p)] == ["a.bin", "models/x"]
    assert chosen.allows("a.bin"), "the second answer comes from memory"
    assert PathFilter(exclude=["a*"]).allows("b")
    assert not PathFilter(exclude=["a*"]).allows("ab")


def test_filter_defaults() -> None:
    assert PathFilter().allows_everything
    assert PathFilter().allows("anything")
    assert not PathFilter(default=False).allows("anything")
    assert not PathFilter(exclude=["b"], default=False).allows("a")
    assert not PathFilter(["a"]).allows_everything


def test_filter_in_attributes_dialect() -> None:
    chosen = PathFilter(["*.bin", "/top", "sub/"], attributes=True)
    assert [p for p in ("x/a.bin", "top", "x/top", "top/x", "sub/x", "sub") if chosen.allows(p)] == ["x/a.bin", "top"]


def test_split_list_trims_and_drops_one_slash() -> None:
    assert split_list(" a* ,dir/,, /x\\ ") == ["a*", "dir", "/x"]
    assert split_list("") == []
    assert repr(Pattern("a")) == "Pattern('a')"


def test_common_patterns_need_no_regular_expressions() -> None:
    program = (
        "import sys; from hundredweight.git.patterns import PathFilter;"
        "PathFilter(['*.bin','dir','/a/b','x*'],['name']).allows('q/r.txt');"
        "sys.exit('re' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-S", "-c", program], env=env, check=False).returncode == 0
