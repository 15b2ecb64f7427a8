"""Clones with pointers in them, made without filters: a test says what git holds and what the store holds, each for itself."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from hundredweight.base.ids import Oid
from hundredweight.client.workspace import Workspace, open_workspace
from hundredweight.git.run import Git
from hundredweight.protocol.pointer import Pointer


def oid_of(content: bytes) -> Oid:
    return Oid(hashlib.sha256(content).hexdigest())


def pointer_of(content: bytes) -> Pointer:
    return Pointer(oid_of(content), len(content))


class Clone:
    """A repository in `folder`, on branch main. Work tree files are pointers, as after a checkout that skipped smudging."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git = Git(str(folder))
        if not (folder / ".git").exists():
            folder.mkdir(parents=True, exist_ok=True)
            self.git.output("init", "-q", "-b", "main")

    def write(self, path: str, data: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def put(self, path: str, content: bytes) -> Oid:
        """The pointer of `content` at `path`, and its object in the store."""
        self.write(path, pointer_of(content).encode())
        return self.store(content)

    def store(self, content: bytes) -> Oid:
        target = self._object(content)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return oid_of(content)

    def damage(self, content: bytes) -> bytes:
        """Flip a byte of the stored object, and leave its size and time of change; what it has now."""
        target = self._object(content)
        before = target.stat()
        damaged = content[:-1] + bytes([content[-1] ^ 1])
        target.write_bytes(damaged)
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        return damaged

    def has(self, content: bytes) -> bool:
        return self._object(content).exists()

    def _object(self, content: bytes) -> Path:
        oid = oid_of(content)
        return self.folder / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid

    def commit(self, message: str = "change", days_ago: float = 0) -> str:
        """Commit everything; the commit's id."""
        stamp = f"@{int(time.time() - days_ago * 86_400)} +0000"
        dated = self.git.with_env(GIT_AUTHOR_DATE=stamp, GIT_COMMITTER_DATE=stamp)
        dated.output("add", "-A")
        dated.output("commit", "-q", "--allow-empty", "-m", message)
        return self.git.text("rev-parse", "HEAD")

    def commit_file(self, path: str, content: bytes, days_ago: float = 0) -> str:
        """`put`, then `commit`."""
        self.put(path, content)
        return self.commit(path, days_ago)

    def pushed(self, remote: str = "origin", ref: str = "HEAD") -> None:
        """As after a push of `ref`: the remote's main is known to be there."""
        if not self.git.ok("config", f"remote.{remote}.url"):
            self.git.output("remote", "add", remote, str(self.folder.parent / f"{remote}.git"))
        self.git.output("update-ref", f"refs/remotes/{remote}/main", ref)

    def workspace(self, below: str = "", **variables: str) -> Workspace:
        return open_workspace(Git(str(self.folder / below)), {**os.environ, **variables})
