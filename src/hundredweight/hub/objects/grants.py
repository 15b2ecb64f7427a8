"""Which object a request is about, and what it may do with it: by its URL's signature, else by its token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.base.ids import InvalidId, Oid, RepoName
from hundredweight.hub.context import repository_of, services_of
from hundredweight.hub.errors import Unprocessable
from hundredweight.hub.objects.signing import Grant, Holder
from hundredweight.hub.tokens.service import Scope
from hundredweight.protocol.batch import UPLOAD

if TYPE_CHECKING:
    from starlette.requests import Request


def oid_of(request: Request) -> Oid:
    """The `{oid}` of a route. Raises `Unprocessable`."""
    try:
        return Oid.parse(request.path_params["oid"])
    except InvalidId as error:
        raise Unprocessable(error.message) from error


def signed_grant(request: Request, operation: str) -> tuple[Oid, Grant]:
    """What a URL out of a batch answer allows. Raises `BadSignature`, `ActionExpired`."""
    oid = oid_of(request)
    name = RepoName.parse(f"{request.path_params['owner']}/{request.path_params['name']}")
    grant = services_of(request).signer.check(operation, name, oid, request.query_params)
    request.state.user = grant.user
    return oid, grant


async def grant_of(request: Request, operation: str) -> tuple[Oid, Grant]:
    """As `signed_grant`, or by the token where the URL is not signed; then the size is unknown: -1."""
    if "signature" in request.query_params:
        return signed_grant(request, operation)
    oid = oid_of(request)
    upload = operation == UPLOAD
    repository, principal = await repository_of(request, Scope.WRITE if upload else Scope.READ, create=upload)
    return oid, Grant(Holder(repository.id, repository.name), -1, principal.user)
