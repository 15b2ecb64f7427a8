"""Commits by the names that people type."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError

if TYPE_CHECKING:
    from hundredweight.git.run import Git


class UnknownRevision(UsageError):
    """A name that git does not know as a commit."""

    hint = "run 'git fetch --tags' to get those of the remote, 'git log --oneline --all' to see the commits there are"

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' is no revision")
        self.name = name


def commit_of(git: Git, name: str) -> str:
    """The commit that a name means. Raises `UnknownRevision`."""
    found = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.code:
        raise UnknownRevision(name)
    return os.fsdecode(found.out).strip()
