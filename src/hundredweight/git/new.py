"""Whether a repository is as `git init` leaves it, or as a killed one left it: nothing in it is anybody's work."""

from __future__ import annotations

import os
import stat
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hundredweight.git.run import Git

_PROBE = "testing"
"""Where git's link leads that tells whether links can be had."""


def is_new(git: Git, git_dir: str, *, bare: bool, template: tuple[str, ...] = ()) -> bool:
    """Compares with what git makes now, with the same `template` option. What a killed git wrote is the beginning of that."""
    with tempfile.TemporaryDirectory(prefix="cwt-new-") as folder:
        if not git.ok("init", "--quiet", *(("--bare",) if bare else ()), *template, folder):
            return False
        fresh = folder if bare else os.path.join(folder, ".git")
        return all(_is_gits_own(git_dir, fresh, name) for name in _names(git_dir))


def _names(root: str) -> Iterator[str]:
    """Everything below that is no folder, links to folders too."""
    for folder, inner, names in os.walk(root):
        for name in names + [name for name in inner if os.path.islink(os.path.join(folder, name))]:
            yield os.path.relpath(os.path.join(folder, name), root)


def _is_gits_own(git_dir: str, fresh: str, name: str) -> bool:
    path, model = os.path.join(git_dir, name), os.path.join(fresh, name.removesuffix(".lock"))
    if os.path.islink(path):
        return os.readlink(path) in (_PROBE, os.readlink(model) if os.path.islink(model) else _PROBE)
    if not stat.S_ISREG(os.stat(path).st_mode):
        return False
    content, expected = _read(path), _read(model)
    if name.removesuffix(".lock") == "HEAD":
        # No branch exists: the name of one that does not is nobody's work.
        return b"ref: refs/heads/".startswith(content[:16])
    if name.removesuffix(".lock") == "config":
        return set(content.splitlines()[:-1]) <= set(expected.splitlines()) and _last(content) in expected
    return expected.startswith(content)


def _last(content: bytes) -> bytes:
    return content.splitlines()[-1] if content else b""


def _read(path: str) -> bytes:
    """Empty when there is none. Whoever makes templates of gigabytes waits."""
    try:
        with open(path, "rb") as source:
            return source.read()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return b""
