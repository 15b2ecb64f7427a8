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
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from hundredweight.hub.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.base.ids import Oid


class ActionExpired(Forbidden):
    """A signed URL that was good once."""

    hint = "repeat the command; it asks for a new one"


class BadSignature(Forbidden):
    """A signed URL that this hub did not make, or that somebody changed."""

    hint = "repeat the command; it asks for a new one"

    def __init__(self) -> None:
        super().__init__("the URL's signature is wrong")


class Signer:
    """Makes and checks signatures with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def query(self, operation: str, repository: int, oid: Oid, size: int, *, user: str, seconds: int) -> str:
        """The query string of a URL that is valid for `seconds`."""
        expires = str(int(time.time()) + seconds)
        signature = self._sign(operation, str(repository), oid, str(size), user, expires)
        return urlencode({"size": size, "user": user, "expires": expires, "signature": signature})

    def check(self, operation: str, repository: int, oid: Oid, query: Mapping[str, str]) -> tuple[int, str]:
        """(size, user) of a signed request. Raises `BadSignature`, `ActionExpired`."""
        signature, size, user, expires = (query.get(key, "") for key in ("signature", "size", "user", "expires"))
        expected = self._sign(operation, str(repository), oid, size, user, expires)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise BadSignature
        if int(expires) < time.time():
            raise ActionExpired("the URL has expired")
        return int(size), user

    def _sign(self, *fields: str) -> str:
        message = "\n".join(fields).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
