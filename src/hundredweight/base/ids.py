"""Ids as types, made and parsed in one place. Each is a `str`, so it prints and compares as one."""

from __future__ import annotations

from hundredweight.base.errors import UsageError

_HEX = frozenset("0123456789abcdef")


class InvalidId(UsageError):
    """A text that should be an id is none. `kind` and `text` (shortened) tell which."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"invalid {kind} '{text[:80]}'")
        self.kind = kind
        self.text = text


class Oid(str):
    """An object's id: 64 lower-case hex digits of the SHA-256 of its bytes."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Oid:
        """Raises `InvalidId` unless `text` is exactly 64 lower-case hex digits."""
        if len(text) != 64 or not _HEX.issuperset(text):
            raise InvalidId("object id", text)
        return cls(text)

    @property
    def short(self) -> str:
        """The first ten digits, as `git lfs ls-files` shows them."""
        return self[:10]


class CommitId(str):
    """A git object name: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> CommitId:
        if len(text) not in (40, 64) or not _HEX.issuperset(text):
            raise InvalidId("commit id", text)
        return cls(text)

    @property
    def is_null(self) -> bool:
        """Git's all-zero name: the ref does not exist."""
        return not self.strip("0")


class RepoName(str):
    """A hub repository's name, `owner/name`: two parts of letters, digits, `.`, `_`, `-`; no part starts with a dot
    or a dash or ends with `.git` or `.lock`. Case is kept; the hub refuses names that differ in case only."""

    __slots__ = ()

    _ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    MAX_PART = 100

    @classmethod
    def parse(cls, text: str) -> RepoName:
        """Accepts a trailing `.git`. Raises `InvalidId` for anything that could leave its folder."""
        name = text.removesuffix(".git")
        parts = name.split("/")
        if len(parts) != 2 or not all(cls._is_part(part) for part in parts):
            raise InvalidId("repository name", text)
        return cls(name)

    @classmethod
    def _is_part(cls, part: str) -> bool:
        return (
            0 < len(part) <= cls.MAX_PART
            and cls._ALLOWED.issuperset(part)
            and part[0] not in ".-"
            and not part.endswith((".git", ".lock"))
        )

    @property
    def owner(self) -> str:
        return self.partition("/")[0]

    @property
    def name(self) -> str:
        return self.partition("/")[2]
