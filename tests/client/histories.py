"""Histories for the tests of migrate: commits in, questions about pointers out."""

from __future__ import annotations

import os
from pathlib import Path

from hundredweight.client.workspace import Workspace, open_workspace
from hundredweight.git.run import Git
from hundredweight.protocol.pointer import Pointer, try_parse


class Quiet:
    """A listener that remembers what it heard."""

    def __init__(self) -> None:
        self.files: list[tuple[str, str]] = []
        self.moves: dict[str, str] = {}
        self.total = self.done = 0
        self.fetched = False

    def fetching(self) -> None:
        self.fetched = True

    def sorting(self) -> None:
        """Nothing to remember."""

    def sorted(self, commits: int) -> None:
        self.total = commits

    def commit(self, number: int) -> None:
        self.done = number

    def converted(self, commit: str, path: str) -> None:
        self.files.append((commit, path))

    def moved(self, name: str, old: str, new: str) -> None:
        self.moves[name] = new


class History:
    """A repository whose commits are made one by one."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        Git().output("init", "-q", "-b", "main", *options, str(folder))
        self.git = Git(str(folder))

    def commit(self, files: dict[str, bytes | None], message: str = "change") -> str:
        """None deletes."""
        for path, data in files.items():
            target = self.folder / path
            if data is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        self.git.output("add", "-A")
        self.git.output("commit", "-q", "--allow-empty", "-m", message)
        return self.git.text("rev-parse", "HEAD")

    def workspace(self) -> Workspace:
        return open_workspace(self.git, dict(os.environ))

    def content(self, name: str) -> bytes:
        """Of `REV:PATH`."""
        return self.git.output("cat-file", "blob", name)

    def pointer(self, name: str) -> Pointer | None:
        return try_parse(self.content(name))

    def paths(self, rev: str = "HEAD") -> list[str]:
        return self.git.fields("ls-tree", "-r", "-z", "--name-only", rev)

    def check(self) -> None:
        """git finds nothing to say about the repository. Raises `GitError`."""
        self.git.output("fsck", "--strict", "--no-dangling")
