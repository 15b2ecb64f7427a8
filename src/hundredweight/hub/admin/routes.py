"""`/api/v1`: repositories, tokens and figures, for tokens with admin scope. Documented in docs/hub-administration.md."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hundredweight.base.errors import CwtError
from hundredweight.base.ids import InvalidId, RepoName
from hundredweight.hub.admin.service import LocalAdministration
from hundredweight.hub.context import in_thread, json_body, principal_of, services_of
from hundredweight.hub.errors import Unprocessable
from hundredweight.protocol.message import MAX_SIZE, Fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Mapping

    from starlette.requests import Request

    from hundredweight.hub.admin.interface import CheckEvent
    from hundredweight.hub.tokens.service import Principal

MAX_BODY = 64 << 10


async def list_repositories(request: Request) -> Response:
    admin = await _administration(request)
    return JSONResponse({"repositories": await in_thread(admin.repositories)})


async def create_repository(request: Request) -> Response:
    """Body: `name`, `public` (false), `object_format` (sha1). 201, or 409 when there is one of that name."""
    principal = await principal_of(request)
    fields = Fields.parse(await json_body(request, MAX_BODY), "repository")
    name = _name(fields.text("name", None))
    admin = await _administration(request, principal, name)
    form = fields.text("object_format", "sha1")
    made = await in_thread(admin.create_repository, name, public=fields.flag("public"), object_format=form)
    return JSONResponse(made, 201)


async def delete_repository(request: Request) -> Response:
    name = RepoName.parse(f"{request.path_params['owner']}/{request.path_params['name']}")
    admin = await _administration(request, await principal_of(request), name)
    await in_thread(admin.delete_repository, name)
    return Response(status_code=204)


async def list_tokens(request: Request) -> Response:
    admin = await _administration(request)
    return JSONResponse({"tokens": await in_thread(admin.tokens)})


async def create_token(request: Request) -> Response:
    """Body: `user`, `scope`, `name`, `repository`, `expires_at` (seconds since 1970). 201 with the secret as `token`."""
    admin = await _administration(request)
    fields = Fields.parse(await json_body(request, MAX_BODY), "token")
    made = await in_thread(
        admin.create_token,
        fields.text("user", None),
        fields.text("scope", None),
        name=fields.text("name"),
        repository=fields.text("repository"),
        expires_at=float(fields.integer("expires_at", high=MAX_SIZE)) or None,
    )
    return JSONResponse(made, 201, headers={"Cache-Control": "no-store"})


async def revoke_token(request: Request) -> Response:
    """The id or name in the path; 200 with the tokens that ended."""
    admin = await _administration(request)
    return JSONResponse({"tokens": await in_thread(admin.revoke_token, request.path_params["which"])})


async def stats(request: Request) -> Response:
    admin = await _administration(request)
    return JSONResponse(await in_thread(admin.stats))


async def check(request: Request) -> Response:
    """Body: `repair` (false). 200 with one JSON object a line, as they come; the last one's `event` is `end`, or `error`."""
    principal = await principal_of(request)
    fields = Fields.parse(await json_body(request, MAX_BODY), "check")
    admin = await _administration(request, principal)
    events = admin.check(repair=fields.flag("repair"))
    first = await in_thread(next, events)
    return StreamingResponse(_lines(first, events, request), media_type="application/x-ndjson")


async def _lines(first: CheckEvent, events: Generator[CheckEvent], request: Request) -> AsyncIterator[bytes]:
    """One event a line. What fails after the answer began can only be said in it."""
    event: Mapping[str, object] | None = first
    try:
        while event is not None:
            yield json.dumps(event).encode() + b"\n"
            event = await in_thread(next, events, None)
    except CwtError as error:
        said = {"event": "error", "message": error.message, "hint": error.hint, "request_id": request.state.request_id}
        yield json.dumps(said).encode() + b"\n"
    finally:
        events.close()


API = "/api/v1"
ROUTES = [
    Route(f"{API}/repositories", list_repositories, methods=["GET"]),
    Route(f"{API}/repositories", create_repository, methods=["POST"]),
    Route(f"{API}/repositories/{{owner}}/{{name}}", delete_repository, methods=["DELETE"]),
    Route(f"{API}/tokens", list_tokens, methods=["GET"]),
    Route(f"{API}/tokens", create_token, methods=["POST"]),
    Route(f"{API}/tokens/{{which:path}}", revoke_token, methods=["DELETE"]),
    Route(f"{API}/stats", stats, methods=["GET"]),
    Route(f"{API}/check", check, methods=["POST"]),
]


async def _administration(
    request: Request, principal: Principal | None = None, name: RepoName | None = None
) -> LocalAdministration:
    """The services, for who administers `name` (None: the whole hub). Raises `AuthenticationRequired`, `Forbidden`."""
    principal = principal or await principal_of(request)
    services = services_of(request)
    services.access.require_admin(principal, name)
    return LocalAdministration(services, principal.user)


def _name(text: str) -> RepoName:
    """Raises `Unprocessable`: a bad name in a body is not a missing page."""
    try:
        return RepoName.parse(text)
    except InvalidId as error:
        raise Unprocessable(error.message) from error
