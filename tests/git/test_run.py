"""Running git: results, errors, environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hundredweight.git.run import Git, GitError, GitMissing


def test_output_fields_and_text(tmp_path: Path) -> None:
    git = Git(str(tmp_path))
    git.output("init", "-q", "-b", "main")
    assert git.text("symbolic-ref", "HEAD") == "refs/heads/main"
    (tmp_path / "a b\n").write_text("x")
    (tmp_path / "c").write_text("y")
    git.output("add", ".")
    assert git.fields("ls-files", "-z") == ["a b\n", "c"]
    assert git.fields("ls-files", "-z", "nothing") == []


def test_large_output_on_both_streams_does_not_block(tmp_path: Path) -> None:
    git = Git(str(tmp_path)).with_options("-c", "alias.flood=!yes | head -c 3000000; yes | head -c 3000000 >&2")
    result = git.run("flood")
    assert (len(result.out), len(result.err), result.code) == (3_000_000, 3_000_000, 0)


def test_input_reaches_git(tmp_path: Path) -> None:
    git = Git(str(tmp_path))
    git.output("init", "-q")
    assert git.text("hash-object", "--stdin", stdin=b"content\n") == "d95f3ad14dee633a758d2e331151e950dd13e4ed"


def test_a_failure_has_its_facts(tmp_path: Path) -> None:
    git = Git(str(tmp_path))
    with pytest.raises(GitError) as caught:
        git.output("rev-parse", "HEAD")
    assert caught.value.code == 128
    assert caught.value.command == ("rev-parse", "HEAD")
    assert "not a git repository" in caught.value.stderr
    assert not git.ok("rev-parse", "HEAD")


def test_without_git_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for call in (lambda: Git().run("version"), lambda: Git().run("version", stdin=b""), lambda: Git().popen("version")):
        with pytest.raises(GitMissing):
            call()


def test_elsewhere_forgets_which_repository_it_was(tmp_path: Path) -> None:
    env = {**os.environ, "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere/index", "KEPT": "yes"}
    moved = Git("", env).at(str(tmp_path))
    assert "GIT_DIR" not in moved.env
    assert moved.env["KEPT"] == "yes"
    assert Git("", env).at(str(tmp_path), keep_repository=True).env["GIT_DIR"] == "/nowhere"
    assert moved.with_env(KEPT="no").env["KEPT"] == "no"


def test_popen_streams(tmp_path: Path) -> None:
    import subprocess

    git = Git(str(tmp_path))
    with git.popen("version", stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.read().startswith(b"git version")
    assert running.returncode == 0
