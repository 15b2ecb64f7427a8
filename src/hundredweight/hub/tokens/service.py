"""The rules of tokens.

A token belongs to a user (whose locks and uploads are told apart by it) and has a name. All calls block.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hmac
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from hundredweight.base.ids import InvalidId, RepoName
from hundredweight.hub.database.schema import tokens
from hundredweight.hub.errors import AuthenticationRequired, NotFound, Unprocessable
from hundredweight.hub.tokens import secret

if TYPE_CHECKING:
    from sqlalchemy import Row

    from hundredweight.hub.database.engine import Database

LAST_USE_STEP = 60.0
"""Seconds between two notes of a token's last use: not one write for each request."""
MAX_NAME = 100


class Scope(enum.StrEnum):
    """What a token may do; each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def includes(self, other: Scope) -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(other)


class BadToken(Unprocessable):
    """A token cannot be made so."""


class TokenMissing(NotFound):
    """No token has that id or name."""

    hint = "'cwt hub token list' shows them"


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret. `bound` is empty, an owner, or an owner/name."""

    id: int
    user: str
    name: str
    scope: Scope
    bound: str
    created_at: float
    last_used_at: float | None
    revoked_at: float | None
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `scope` None is somebody without a token."""

    user: str = ""
    token: str = ""
    scope: Scope | None = None
    bound: str = ""

    @property
    def anonymous(self) -> bool:
        return self.scope is None

    def may(self, scope: Scope, name: RepoName | None = None) -> bool:
        """Whether the token reaches so far, on that repository; without one: on the whole hub."""
        if self.scope is None or not self.scope.includes(scope):
            return False
        if not self.bound:
            return True
        if name is None:
            return False
        return self.bound.casefold() in (name.casefold(), name.owner.casefold())


ANONYMOUS = Principal()


class Tokens:
    """Create, list, revoke, authenticate."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[int, float] = {}
        self._lock = threading.Lock()

    def create(
        self,
        user: str,
        scope: Scope,
        *,
        name: str = "",
        bound: str = "",
        expires_at: float | None = None,
        text: str = "",
    ) -> tuple[Token, str]:
        """A new token and its secret, which is shown this once; `text` is a secret made before. Raises `BadToken`."""
        for what, value in (("user", user), ("name", name)):
            if len(value) > MAX_NAME or not value.isprintable() or ":" in value or (what == "user" and not value):
                raise BadToken(f"invalid token {what} '{value[:80]}'")
        if name.isdigit():
            raise BadToken(f"invalid token name '{name}'", hint="a number would be taken for a token's id")
        text = text or secret.make()
        digest = secret.digest(text)
        row = {
            "user": user,
            "name": name or user,
            "scope": scope.value,
            "bound": check_bound(bound),
            "lookup": digest[:16],
            "digest": digest,
            "created_at": time.time(),
            "expires_at": expires_at,
        }
        with self._database.write() as connection:
            connection.execute(insert(tokens).values(row))
            found = connection.execute(select(tokens).where(tokens.c.lookup == row["lookup"])).one()
        return _token(found), text

    def revoke(self, which: str) -> list[Token]:
        """End the token with that id, or every token of that name; from now on it opens nothing. Raises `TokenMissing`."""
        wanted = tokens.c.id == int(which) if which.isascii() and which.isdigit() else tokens.c.name == which
        with self._database.write() as connection:
            live = (wanted, tokens.c.revoked_at.is_(None))
            rows = connection.execute(select(tokens).where(*live)).all()
            if not rows:
                raise TokenMissing(f"no live token '{which[:80]}'")
            connection.execute(update(tokens).where(*live).values(revoked_at=time.time()))
            ids = [row.id for row in rows]
            return [_token(row) for row in connection.execute(select(tokens).where(tokens.c.id.in_(ids)))]

    def list(self) -> list[Token]:
        """All, the revoked ones too, oldest first."""
        with self._database.read() as connection:
            return [_token(row) for row in connection.execute(select(tokens).order_by(tokens.c.id))]

    def authenticate(self, authorization: str) -> Principal:
        """Who sends this Authorization header; empty is `ANONYMOUS`. Raises `AuthenticationRequired` for a bad one."""
        if not authorization:
            return ANONYMOUS
        text = token_of(authorization)
        if not secret.is_wellformed(text):
            raise AuthenticationRequired("this is no token of a hub")
        digest = secret.digest(text)
        with self._database.read() as connection:
            row = connection.execute(select(tokens).where(tokens.c.lookup == digest[:16])).one_or_none()
        if row is None or not hmac.compare_digest(row.digest, digest):
            raise AuthenticationRequired("the token is unknown")
        if row.revoked_at is not None:
            raise AuthenticationRequired("the token was revoked")
        if row.expires_at is not None and row.expires_at < time.time():
            raise AuthenticationRequired("the token has expired")
        self._note_use(row.id)
        return Principal(row.user, row.name, Scope(row.scope), row.bound)

    def _note_use(self, token_id: int) -> None:
        now = time.time()
        with self._lock:
            if now - self._noted.get(token_id, 0.0) < LAST_USE_STEP:
                return
            self._noted[token_id] = now
        with self._database.write() as connection:
            connection.execute(update(tokens).where(tokens.c.id == token_id).values(last_used_at=now))


def check_bound(text: str) -> str:
    """Empty, an owner or an owner/name. Raises `BadToken`."""
    try:
        if text:
            RepoName.parse(text if "/" in text else f"{text}/any")
    except InvalidId as error:
        raise BadToken(f"a token cannot be bound to '{text[:80]}'") from error
    return text.removesuffix(".git")


def token_of(authorization: str) -> str:
    """The token in a header: Bearer, or Basic as the password (or as the user where the password is none). Empty for others."""
    kind, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if kind.lower() == "bearer":
        return value
    if kind.lower() != "basic":
        return ""
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return password if password.startswith(secret.PREFIX) or not user.startswith(secret.PREFIX) else user


def _token(row: Row[tuple[object, ...]]) -> Token:
    return Token(
        row.id,
        row.user,
        row.name,
        Scope(row.scope),
        row.bound,
        row.created_at,
        row.last_used_at,
        row.revoked_at,
        row.expires_at,
    )
