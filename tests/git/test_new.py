"""A repository that nobody has touched yet, whole or half made; and everything that makes it somebody's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hundredweight.git.new import is_new
from hundredweight.git.run import Git


def make(folder: Path, *options: str) -> Path:
    """The new repository's own folder."""
    Git().output("init", "-q", *options, str(folder))
    return folder if "--bare" in options else folder / ".git"


def append(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((path.read_bytes() if path.exists() else b"") + data)


@pytest.mark.parametrize("options", [(), ("--bare",), ("--initial-branch=other",)])
def test_what_git_init_makes_is_new(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert is_new(Git(), str(make(tmp_path / "r", *options)), bare="--bare" in options)


def test_at_every_step_of_git_init_it_is_new(tmp_path: Path) -> None:
    git_dir = make(tmp_path / "r")
    config = (git_dir / "config").read_bytes()
    (git_dir / "config.lock").write_bytes(config[:-7])
    for length in range(len(config), 0, -9):
        (git_dir / "config").write_bytes(config[:length])
        assert is_new(Git(), str(git_dir), bare=False)
    (git_dir / "tXyZab").symlink_to("testing")
    sample = git_dir / "hooks" / "pre-push.sample"
    sample.write_bytes(sample.read_bytes()[:100])
    (git_dir / "HEAD").rename(git_dir / "HEAD.lock")
    assert is_new(Git(), str(git_dir), bare=False)
    (git_dir / "HEAD.lock").unlink()
    (git_dir / "config").unlink()
    assert is_new(Git(), str(git_dir), bare=False)


def test_a_template_of_ones_own_is_told_from_work(tmp_path: Path) -> None:
    template = tmp_path / "template"
    append(template / "hooks" / "pre-push", b"#!/bin/sh\n")
    (template / "link").symlink_to("elsewhere")
    option = f"--template={template}"
    git_dir = make(tmp_path / "r", option)
    assert is_new(Git(), str(git_dir), bare=False, template=(option,))
    assert not is_new(Git(), str(git_dir), bare=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda git_dir: append(git_dir / "config", b"[user]\n\tname = n\n"),
        lambda git_dir: append(git_dir / "config", b"[user]"),
        lambda git_dir: append(git_dir / "hooks" / "pre-push", b"#!/bin/sh\n"),
        lambda git_dir: append(git_dir / "info" / "exclude", b"*.o\n"),
        lambda git_dir: append(git_dir / "objects" / "aa" / ("b" * 38), b"x"),
        lambda git_dir: append(git_dir / "lfs" / "objects" / "weights", b"x"),
        lambda git_dir: (git_dir / "HEAD").write_bytes(b"0123456789" * 4),
        lambda git_dir: (git_dir / "link").symlink_to("elsewhere"),
        lambda git_dir: os.mkfifo(git_dir / "fifo"),
    ],
)
def test_anything_of_somebodys_makes_it_old(tmp_path: Path, change: Callable[[Path], object]) -> None:
    git_dir = make(tmp_path / "r")
    change(git_dir)
    assert not is_new(Git(), str(git_dir), bare=False)
