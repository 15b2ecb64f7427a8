"""The LFS locking API below `/OWNER/NAME.git/info/lfs/locks`. Spec: git-lfs docs/api/locking.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from hundredweight.hub.context import in_thread, json_body, principal_of, repository_of, services_of
from hundredweight.hub.locks.service import AlreadyLocked
from hundredweight.hub.tokens.service import Scope
from hundredweight.protocol.locks import (
    LockQuery,
    LockRequest,
    LockResponse,
    UnlockRequest,
    VerifyLocksRequest,
    VerifyLocksResponse,
)
from hundredweight.protocol.message import MEDIA_TYPE, ErrorBody

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_BODY = 64 << 10


async def create(request: Request) -> Response:
    """POST /locks: 201 with the lock, 409 with the one that is in the way."""
    repository, principal = await repository_of(request, Scope.WRITE)
    asked = LockRequest.parse(await json_body(request, MAX_BODY))
    locks = services_of(request).locks
    try:
        lock = await in_thread(locks.create, repository.id, asked.path, principal.user, asked.ref)
    except AlreadyLocked as error:
        body = ErrorBody(error.message, request_id=getattr(request.state, "request_id", ""), hint=error.hint)
        return _answer(LockResponse(error.lock, body).encode(), 409)
    return _answer(LockResponse(lock).encode(), 201)


async def listing(request: Request) -> Response:
    """GET /locks?path&id&cursor&limit&refspec."""
    repository, _ = await repository_of(request, Scope.READ)
    query = LockQuery.parse(dict(request.query_params))
    return _answer((await in_thread(services_of(request).locks.page, repository.id, query)).encode())


async def verify(request: Request) -> Response:
    """POST /locks/verify: the locks told apart by owner, for who may push. A push's first request, so it makes the repository as
    the others do: a 404 tells clients that the server has no locks, and they stop asking."""
    await principal_of(request)
    asked = VerifyLocksRequest.parse(await json_body(request, MAX_BODY))
    repository, principal = await repository_of(request, Scope.WRITE, create=True)
    query = LockQuery(cursor=asked.cursor, limit=asked.limit)
    page = await in_thread(services_of(request).locks.page, repository.id, query)
    ours = tuple(lock for lock in page.locks if lock.owner == principal.user)
    theirs = tuple(lock for lock in page.locks if lock.owner != principal.user)
    return _answer(VerifyLocksResponse(ours, theirs, page.next_cursor).encode())


async def unlock(request: Request) -> Response:
    """POST /locks/ID/unlock: 200 with the lock that was, 403 for another's without `force`."""
    repository, principal = await repository_of(request, Scope.WRITE)
    asked = UnlockRequest.parse(await json_body(request, MAX_BODY) or b"{}")
    locks = services_of(request).locks
    lock_id = request.path_params["id"]
    lock = await in_thread(locks.remove, repository.id, lock_id, principal.user, force=asked.force)
    return _answer(LockResponse(lock).encode())


LOCKS = "/{owner}/{name}/info/lfs/locks"
ROUTES = [
    Route(LOCKS, create, methods=["POST"]),
    Route(LOCKS, listing, methods=["GET"]),
    Route(f"{LOCKS}/verify", verify, methods=["POST"]),
    Route(f"{LOCKS}/{{id}}/unlock", unlock, methods=["POST"]),
]


def _answer(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type=MEDIA_TYPE)
