"""A push as the checks see it: the ref updates, git inside the quarantine, and the hub's knowledge behind `Authority`."""

from __future__ import annotations

from hundredweight.base.ids import CommitId

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol

    from hundredweight.git.run import Git

    class Authority(Protocol):
        """What only the hub's database knows about the repository and the user of one push."""

        def possessed(self, oids: Iterable[str]) -> Mapping[str, int]:
            """The sizes of those objects that the repository holds."""

        def foreign_locks(self) -> list[ForeignLock]:
            """The locks that belong to anybody but the pushing user."""


QUARANTINE_VARIABLES = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
SHOWN = 20


class RefUpdate:
    """One line of a hook's input. Null ids mean that the ref is made or deleted."""

    __slots__ = ("name", "new", "old")

    def __init__(self, old: CommitId, new: CommitId, name: str) -> None:
        self.old = old
        self.new = new
        self.name = name

    @classmethod
    def parse(cls, line: str) -> RefUpdate:
        """Raises `ValueError` or `InvalidId` for a line that git would not write."""
        old, new, name = line.rstrip("\n").split(" ", 2)
        return cls(CommitId.parse(old), CommitId.parse(new), name)


class ForeignLock:
    """A path that `owner` has locked since `since` (RFC 3339)."""

    __slots__ = ("id", "owner", "path", "since")

    def __init__(self, path: str, owner: str, since: str, lock_id: str) -> None:
        self.path = path
        self.owner = owner
        self.since = since
        self.id = lock_id


class Push:
    """One push under examination. `git` runs in the bare repository and sees the quarantined objects;
    `accepted_git` sees only what was accepted before."""

    def __init__(self, updates: list[RefUpdate], git: Git, authority: Authority, max_blob: int) -> None:
        """`max_blob` is the largest blob in bytes that may come without LFS; 0 sets no bound."""
        self.updates = updates
        self.git = git
        self.authority = authority
        self.max_blob = max_blob

    @property
    def accepted_git(self) -> Git:
        git = self.git.with_env()
        for name in QUARANTINE_VARIABLES:
            git.env.pop(name, None)
        return git

    @property
    def tips(self) -> list[CommitId]:
        """The new values of the refs that are not deleted, each once."""
        return list(dict.fromkeys(update.new for update in self.updates if not update.new.is_null))


class Finding:
    """One path that is refused: where it is (`commit` may be empty for what no commit holds) and what is wrong."""

    __slots__ = ("commit", "detail", "path")

    def __init__(self, path: str, commit: str, detail: str) -> None:
        self.path = path
        self.commit = commit
        self.detail = detail


class Kind:
    """A thing that can be wrong, in words for one path and for several."""

    __slots__ = ("many", "one")

    def __init__(self, one: str, many: str) -> None:
        self.one = one
        self.many = many


class Refusal:
    """One kind of thing that is wrong with a push: the first `SHOWN` findings, how many there are, and what mends them."""

    __slots__ = ("count", "findings", "hints", "kind")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.findings: list[Finding] = []
        self.hints: list[str] = []
        self.count = 0

    def add(self, finding: Finding) -> None:
        self.count += 1
        if len(self.findings) < SHOWN:
            self.findings.append(finding)
