"""Messages of the LFS locking API, for both sides. Spec: git-lfs docs/api/locking.md and its JSON schemas.

`parse` raises `BadMessage`; `encode` gives the body's bytes. `ref` is a full ref name or empty, paths are relative to the root of
the work tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.protocol.message import BadMessage, ErrorBody, Fields, encode, present, read_ref, ref_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.protocol.message import Json

MAX_PATH = 4096
MAX_LIMIT = 100_000
MAX_LOCKS = 100_000
"""Bound on the locks of one page."""


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock. `locked_at` is RFC 3339 text as the server gave it; `owner` is a name, maybe empty."""

    id: str
    path: str
    owner: str = ""
    locked_at: str = ""

    def fields(self) -> Json:
        owner = {"name": self.owner} if self.owner else None
        return {"id": self.id, "path": self.path, **present(owner=owner), "locked_at": self.locked_at}

    @classmethod
    def read(cls, fields: Fields) -> Lock:
        owner = fields.child("owner")
        return cls(
            fields.text("id", None, 1024),
            fields.text("path", None, MAX_PATH),
            owner.text("name", limit=1024) if owner is not None else "",
            fields.text("locked_at", limit=100),
        )


@dataclass(frozen=True, slots=True)
class LockRequest:
    """POST /locks."""

    path: str
    ref: str = ""

    def encode(self) -> bytes:
        return encode({"path": self.path, **present(ref=ref_field(self.ref))})

    @classmethod
    def parse(cls, data: bytes) -> LockRequest:
        fields = Fields.parse(data, "lock request")
        path = fields.text("path", None, MAX_PATH)
        if not path:
            raise BadMessage("lock request.path", "empty")
        return cls(path, read_ref(fields))


@dataclass(frozen=True, slots=True)
class UnlockRequest:
    """POST /locks/ID/unlock."""

    force: bool = False
    ref: str = ""

    def encode(self) -> bytes:
        return encode({"force": self.force, **present(ref=ref_field(self.ref))})

    @classmethod
    def parse(cls, data: bytes) -> UnlockRequest:
        fields = Fields.parse(data, "unlock request")
        return cls(fields.flag("force"), read_ref(fields))


@dataclass(frozen=True, slots=True)
class LockResponse:
    """The answer to both: the lock made, removed or (409) in the way; `error` when the request was refused."""

    lock: Lock | None = None
    error: ErrorBody | None = None

    def encode(self) -> bytes:
        lock = None if self.lock is None else self.lock.fields()
        return encode({**present(lock=lock), **(self.error.fields() if self.error else {})})

    @classmethod
    def parse(cls, data: bytes) -> LockResponse:
        """Raises `BadMessage` where neither lock nor message is there."""
        fields = Fields.parse(data, "lock response")
        lock = fields.child("lock")
        found = None if lock is None else Lock.read(lock)
        message = fields.text("message")
        if found is None and not message:
            raise BadMessage("lock response", "invalid server response")
        error = ErrorBody(message, fields.text("documentation_url"), fields.text("request_id")) if message else None
        return cls(found, error)


@dataclass(frozen=True, slots=True)
class LockQuery:
    """GET /locks: what to list, as the URL's query. `limit` 0 leaves the page's size to the server."""

    path: str = ""
    id: str = ""
    cursor: str = ""
    limit: int = 0
    refspec: str = ""

    def parameters(self) -> dict[str, str]:
        """The query's parameters, not yet percent-encoded."""
        limit = str(self.limit) if self.limit else ""
        fields = present(path=self.path, id=self.id, cursor=self.cursor, limit=limit, refspec=self.refspec)
        return {key: str(value) for key, value in fields.items()}

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> LockQuery:
        limit = parameters.get("limit") or "0"
        if not (limit.isascii() and limit.isdigit() and len(limit) < 12):
            raise BadMessage("lock query.limit", "expected a whole number")
        fields = Fields(dict(parameters), "lock query")
        return cls(
            fields.text("path", limit=MAX_PATH),
            fields.text("id", limit=1024),
            fields.text("cursor", limit=1024),
            min(int(limit), MAX_LIMIT),
            fields.text("refspec", limit=MAX_PATH),
        )


@dataclass(frozen=True, slots=True)
class LockList:
    """One page of locks; `next_cursor` asks for the following one and is empty on the last."""

    locks: tuple[Lock, ...]
    next_cursor: str = ""

    def encode(self) -> bytes:
        locks = [lock.fields() for lock in self.locks]
        return encode({"locks": locks, **present(next_cursor=self.next_cursor)})

    @classmethod
    def parse(cls, data: bytes) -> LockList:
        fields = Fields.parse(data, "lock list")
        return cls(_read_locks(fields, "locks"), fields.text("next_cursor", limit=1024))


@dataclass(frozen=True, slots=True)
class VerifyLocksRequest:
    """POST /locks/verify: which locks are mine, which are others'?"""

    ref: str = ""
    cursor: str = ""
    limit: int = 0

    def encode(self) -> bytes:
        return encode(present(ref=ref_field(self.ref), cursor=self.cursor, limit=self.limit or None))

    @classmethod
    def parse(cls, data: bytes) -> VerifyLocksRequest:
        fields = Fields.parse(data, "lock verify request")
        limit = min(fields.integer("limit"), MAX_LIMIT)
        return cls(read_ref(fields), fields.text("cursor", limit=1024), limit)


@dataclass(frozen=True, slots=True)
class VerifyLocksResponse:
    """One page of locks, told apart by owner."""

    ours: tuple[Lock, ...]
    theirs: tuple[Lock, ...]
    next_cursor: str = ""

    def encode(self) -> bytes:
        ours, theirs = [lock.fields() for lock in self.ours], [lock.fields() for lock in self.theirs]
        return encode({"ours": ours, "theirs": theirs, **present(next_cursor=self.next_cursor)})

    @classmethod
    def parse(cls, data: bytes) -> VerifyLocksResponse:
        fields = Fields.parse(data, "lock verify response")
        cursor = fields.text("next_cursor", limit=1024)
        return cls(_read_locks(fields, "ours"), _read_locks(fields, "theirs"), cursor)


def _read_locks(fields: Fields, key: str) -> tuple[Lock, ...]:
    return tuple(Lock.read(item) for item in fields.children(key, MAX_LOCKS, required=False))
