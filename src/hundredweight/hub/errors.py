"""What the hub answers when it refuses: one shape for every error, and which status an error of the layers below becomes.

Body: `{"message", "request_id", "hint"?, "documentation_url"?}`; as `application/vnd.git-lfs+json` below `/info/lfs`,
as plain text where git asks (git shows that to its user), as `application/json` elsewhere.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

from hundredweight.backend.interface import BackendError, BackendFull, KeyMissing
from hundredweight.base.errors import CwtError, UsageError
from hundredweight.base.ids import InvalidId
from hundredweight.hub.database.engine import DatabaseError, DatabaseFull
from hundredweight.protocol.message import MEDIA_TYPE, BadMessage, TooMany

if TYPE_CHECKING:
    from collections.abc import Mapping

CHALLENGE = 'Basic realm="hundredweight"'


class Refusal(CwtError):
    """A request that the hub will not do. `status` is the answer's HTTP status, `headers` go with it."""

    status = 400

    def __init__(self, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.headers = dict(headers or {})


class AuthenticationRequired(Refusal):
    """No token, or one that is wrong, revoked or unknown (401)."""

    status = 401
    hint = "use a token of this hub as the password; 'cwt hub token create' makes one"

    def __init__(self, message: str = "a token is required") -> None:
        super().__init__(message, headers={"WWW-Authenticate": CHALLENGE, "LFS-Authenticate": CHALLENGE})


class Forbidden(Refusal):
    """The token is good, and may not do this (403)."""

    status = 403
    hint = "ask the hub's owner for a token with more scope"


class NotFound(Refusal):
    """It does not exist, or may not be read by who asks: the answer is the same (404)."""

    status = 404


class Conflict(Refusal):
    """What should be made exists already (409)."""

    status = 409


class TooLarge(Refusal):
    """The request is longer than the hub takes (413)."""

    status = 413


class Unprocessable(Refusal):
    """The request is understood and cannot be right (422)."""

    status = 422


class TooSlow(Refusal):
    """Nothing came for too long (408)."""

    status = 408


class Busy(Refusal):
    """Not now (503)."""

    status = 503

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"Retry-After": "5"})


def status_of(error: BaseException) -> int:
    """The HTTP status for an error of any layer. An error may carry its own as `status`."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status
    if isinstance(error, HTTPException):
        return error.status_code
    for kinds, code in _STATUS:
        if isinstance(error, kinds):
            return code
    return 500


_STATUS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int], ...] = (
    (KeyMissing, 410),
    ((BackendFull, DatabaseFull), 507),
    ((BackendError, DatabaseError), 503),
    (TooMany, 413),
    (BadMessage, 422),
    (InvalidId, 404),
    (UsageError, 422),
)


def error_response(error: BaseException, path: str, request_id: str) -> Response:
    """The answer for `error` on a request for `path`. Errors that are not understood say nothing of the inside."""
    status = status_of(error)
    headers: dict[str, str] = {}
    hint = ""
    if isinstance(error, CwtError):
        message, hint = error.message, error.hint
        headers.update(getattr(error, "headers", {}))
    elif isinstance(error, HTTPException):
        message = error.detail.lower()
        headers.update(error.headers or {})
    else:
        message, hint = "the hub failed", f"its log says why under the request id '{request_id}'"
    if is_git_path(path):
        text = message + "\n" + (f"hint: {hint}\n" if hint else "")
        return Response(text, status, headers, "text/plain; charset=utf-8")
    body = {"message": message, "request_id": request_id} | ({"hint": hint} if hint else {})
    media = MEDIA_TYPE if is_lfs_path(path) else "application/json"
    return Response(json.dumps(body) + "\n", status, headers, media)


def is_lfs_path(path: str) -> bool:
    return "/info/lfs/" in path


def is_git_path(path: str) -> bool:
    return path.endswith(("/info/refs", "/git-upload-pack", "/git-receive-pack"))
