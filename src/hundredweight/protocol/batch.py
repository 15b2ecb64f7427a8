"""Messages of the LFS batch API, for both sides. Spec: git-lfs docs/api/batch.md, basic-transfers.md and their JSON schemas.

`parse` raises `BadMessage`; `encode` gives the body's bytes. A hash algorithm that is not sha256 is kept, so that each side can
answer it in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hundredweight.base.ids import InvalidId, Oid
from hundredweight.protocol.message import MAX_SIZE, BadMessage, Fields, encode, present, read_ref, ref_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.protocol.message import Json

DOWNLOAD = "download"
UPLOAD = "upload"
VERIFY = "verify"
HASH_ALGORITHM = "sha256"
BASIC = "basic"
MAX_OBJECTS = 10_000
"""Bound on the objects of one message; a hub may set its own lower one and answer 413."""
_MAX_EXPIRES_IN = 2_147_483_647
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object of a batch request."""

    oid: Oid
    size: int


@dataclass(frozen=True, slots=True)
class ObjectError:
    """Why one object of a batch cannot move. `code` is an HTTP status: 404, 409, 410, 422."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Action:
    """Where and how to move one object. `expires_in` (seconds after the answer) wins over `expires_at` (seconds since 1970);
    None is never."""

    href: str
    header: Mapping[str, str] = field(default_factory=dict)
    expires_in: int | None = None
    expires_at: float | None = None

    def expiry(self, answered_at: float) -> float | None:
        """When this ends, in seconds since 1970, given when the answer came; None is never."""
        return self.expires_at if self.expires_in is None else answered_at + self.expires_in

    def fields(self) -> Json:
        at = None if self.expires_at is None else datetime.fromtimestamp(int(self.expires_at), UTC)
        stamp = None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")
        optional = present(header=dict(self.header), expires_in=self.expires_in, expires_at=stamp)
        return {"href": self.href, **optional}


@dataclass(frozen=True, slots=True)
class BatchObject:
    """The server's answer for one object: actions, or an error, or neither (it has the object already). `size` is what the
    server said, even if it is negative: one odd object must not spoil the answers for the others."""

    oid: str
    size: int
    actions: Mapping[str, Action] = field(default_factory=dict)
    error: ObjectError | None = None
    authenticated: bool = False

    def fields(self) -> Json:
        error = None if self.error is None else {"code": self.error.code, "message": self.error.message}
        optional = present(
            authenticated=self.authenticated or None,
            actions={name: action.fields() for name, action in self.actions.items()},
            error=error,
        )
        return {"oid": self.oid, "size": self.size, **optional}


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """`ref` is a full ref name or empty. `transfers` in order of preference; none means basic.

    `rejected` holds ready answers (422) for objects that name no possible object: one of them does not refuse the whole request.
    """

    operation: str
    objects: tuple[Wanted, ...]
    transfers: tuple[str, ...] = ()
    ref: str = ""
    hash_algorithm: str = HASH_ALGORITHM
    rejected: tuple[BatchObject, ...] = ()

    def encode(self) -> bytes:
        return encode(
            {
                "operation": self.operation,
                "objects": [{"oid": item.oid, "size": item.size} for item in self.objects],
                **present(transfers=list(self.transfers), ref=ref_field(self.ref)),
                "hash_algo": self.hash_algorithm,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> BatchRequest:
        fields = Fields.parse(data, "batch request")
        operation = fields.text("operation", None)
        if operation not in (DOWNLOAD, UPLOAD):
            raise BadMessage("batch request.operation", f"unknown operation '{operation[:40]}'")
        wanted: list[Wanted] = []
        rejected: list[BatchObject] = []
        for item in fields.children("objects", MAX_OBJECTS):
            try:
                wanted.append(Wanted(Oid.parse(item.text("oid", None)), item.integer("size", None)))
            except (InvalidId, BadMessage) as error:
                rejected.append(_reject(item, error.message))
        return cls(
            operation,
            tuple(wanted),
            fields.texts("transfers", 100),
            read_ref(fields),
            fields.text("hash_algo") or HASH_ALGORITHM,
            tuple(rejected),
        )


@dataclass(frozen=True, slots=True)
class BatchResponse:
    """`transfer` names the adapter that the actions are for."""

    objects: tuple[BatchObject, ...]
    transfer: str = BASIC
    hash_algorithm: str = HASH_ALGORITHM

    def encode(self) -> bytes:
        return encode(
            {
                "transfer": self.transfer,
                "objects": [item.fields() for item in self.objects],
                "hash_algo": self.hash_algorithm,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> BatchResponse:
        """Also reads the historic `_links` in the place of `actions`."""
        fields = Fields.parse(data, "batch response")
        return cls(
            tuple(_read_object(item) for item in fields.children("objects", MAX_OBJECTS, required=False)),
            fields.text("transfer") or BASIC,
            fields.text("hash_algo") or HASH_ALGORITHM,
        )


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """What a client sends after an upload: "do you have it, whole?"."""

    oid: Oid
    size: int

    def encode(self) -> bytes:
        return encode({"oid": self.oid, "size": self.size})

    @classmethod
    def parse(cls, data: bytes) -> VerifyRequest:
        fields = Fields.parse(data, "verify request")
        try:
            oid = Oid.parse(fields.text("oid", None))
        except InvalidId as error:
            raise BadMessage("verify request.oid", error.message) from error
        return cls(oid, fields.integer("size", None))


def _reject(item: Fields, reason: str) -> BatchObject:
    oid, size = item.raw("oid"), item.raw("size")
    return BatchObject(
        oid[:200].encode("utf-8", "replace").decode() if isinstance(oid, str) else "",
        size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= MAX_SIZE else 0,
        error=ObjectError(422, reason),
    )


def _read_object(item: Fields) -> BatchObject:
    error = item.child("error")
    links = item.child("actions") or item.child("_links")
    actions: dict[str, Action] = {}
    for name in links.names() if links is not None else ():
        action = links.child(name) if links is not None else None
        if action is not None:
            actions[name] = _read_action(action)
    return BatchObject(
        item.text("oid", None),
        item.integer("size", low=-MAX_SIZE),
        actions,
        None if error is None else ObjectError(error.integer("code", low=-_MAX_EXPIRES_IN), error.text("message")),
        item.flag("authenticated"),
    )


def _read_action(fields: Fields) -> Action:
    expires_in = fields.integer("expires_in", low=-_MAX_EXPIRES_IN, high=_MAX_EXPIRES_IN)
    return Action(fields.text("href", None), _read_header(fields), expires_in or None, _read_time(fields))


def _read_header(fields: Fields) -> dict[str, str]:
    header = fields.child("header")
    if header is None:
        return {}
    found = {}
    for name in header.names():
        value = header.raw(name)
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else header.text(name, None)
        if any(char in name + text for char in "\r\n\0") or not name:
            raise BadMessage(header.where, f"impossible header '{name[:80]!a}'")
        found[name] = text
    return found


def _read_time(fields: Fields) -> float | None:
    text = fields.text("expires_at", limit=100)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadMessage(f"{fields.where}.expires_at", f"no RFC 3339 time '{text}'") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    # Go's zero time, 0001-01-01, is what servers written in Go send for "never".
    return (moment - _NEVER).total_seconds() if moment.year > 1 else None
