"""Signed URLs: what a batch answer hands out, so that each transfer needs no token and no look-up.

A signature covers the operation, the repository (its number: a later one of the same name is another), the object,
its size, the user and the end of validity. It is in the query, not in a header: stock clients, curl and download
tools all take it, and a client with an Authorization header for every request (`http.extraheader`) does not get in
its way. The hub never logs queries.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from hundredweight.hub.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.base.ids import Oid, RepoName


class ActionExpired(Forbidden):
    """A signed URL that was good once."""

    hint = "repeat the command; it asks for a new one"


class BadSignature(Forbidden):
    """A signed URL that this hub did not make, or that somebody changed."""

    hint = "repeat the command; it asks for a new one"

    def __init__(self) -> None:
        super().__init__("the URL's signature is wrong")


@dataclass(frozen=True, slots=True)
class Holder:
    """The repository that a signed URL is for, without a look at the database: the signature vouches for it."""

    id: int
    name: RepoName


@dataclass(frozen=True, slots=True)
class Grant:
    """What a signed URL allows: one operation on one object of one repository, as `user`."""

    holder: Holder
    size: int
    user: str


class Signer:
    """Makes and checks signatures with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def query(self, operation: str, oid: Oid, grant: Grant, seconds: int) -> str:
        """The query string of a URL that is valid for `seconds`."""
        fields = {
            "repository": str(grant.holder.id),
            "size": str(grant.size),
            "user": grant.user,
            "expires": str(int(time.time()) + seconds),
        }
        return urlencode({**fields, "signature": self._sign(operation, grant.holder.name, oid, *fields.values())})

    def check(self, operation: str, name: RepoName, oid: Oid, query: Mapping[str, str]) -> Grant:
        """What a signed request may do. Raises `BadSignature`, `ActionExpired`."""
        signature = query.get("signature", "")
        repository, size, user, expires = (query.get(key, "") for key in ("repository", "size", "user", "expires"))
        expected = self._sign(operation, name, oid, repository, size, user, expires)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise BadSignature
        if int(expires) < time.time():
            raise ActionExpired("the URL has expired")
        return Grant(Holder(int(repository), name), int(size), user)

    def _sign(self, *fields: str) -> str:
        message = "\n".join(fields).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
