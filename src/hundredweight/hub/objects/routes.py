"""LFS over HTTP: the batch call, upload, download, verify. Spec: git-lfs docs/api."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from hundredweight.base.ids import InvalidId, Oid, RepoName
from hundredweight.hub.context import base_url, in_thread, json_body, principal_of, repository_of, services_of
from hundredweight.hub.errors import NotFound, TooLarge, Unprocessable
from hundredweight.hub.objects import batch
from hundredweight.hub.objects.download import object_response
from hundredweight.hub.objects.signing import Grant, Holder
from hundredweight.hub.objects.upload import receive_object
from hundredweight.hub.tokens.service import Scope
from hundredweight.protocol.batch import DOWNLOAD, UPLOAD, BatchRequest, VerifyRequest
from hundredweight.protocol.message import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from hundredweight.hub.services import Services

LFS = "/{owner}/{name}/info/lfs"


async def post_batch(request: Request) -> Response:
    """What to do for each object: the answer to every push, fetch and verification of a client."""
    services = services_of(request)
    await principal_of(request)
    wanted = BatchRequest.parse(await json_body(request))
    count = len(wanted.objects) + len(wanted.rejected)
    if count > services.settings.max_batch:
        raise TooLarge(
            f"{count} objects in one request, where this hub takes {services.settings.max_batch}",
            hint=f"run 'git config lfs.transfer.batchSize {services.settings.max_batch}'",
        )
    upload = wanted.operation == UPLOAD
    repository, principal = await repository_of(request, Scope.WRITE if upload else Scope.READ, create=upload)
    place = batch.Place(f"{base_url(request)}/{repository.name}.git/info/lfs", repository, principal)
    answer = await in_thread(batch.answer, services, wanted, place)
    return Response(answer.encode(), media_type=MEDIA_TYPE)


async def put_object(request: Request) -> Response:
    """The bytes of one object. 200 means: verified, on disk, and the repository possesses it."""
    oid = _oid(request)
    grant = await _grant_of(request, oid, UPLOAD)
    await receive_object(request, services_of(request), oid, grant)
    return Response(status_code=200)


async def get_object(request: Request) -> Response:
    """The bytes of one object, or a range of them."""
    oid = _oid(request)
    grant = await _grant_of(request, oid, DOWNLOAD)
    return await in_thread(_object_of, services_of(request), grant.holder, oid, request.headers)


def _object_of(services: Services, holder: Holder, oid: Oid, headers: Mapping[str, str]) -> Response:
    sizes = services.objects.possessed(holder, [oid])
    if oid not in sizes:
        raise NotFound(
            f"object '{oid}' was not found in '{holder.name}'", hint="'git lfs push --all' from a clone that has it"
        )
    return object_response(headers, services, oid, sizes[oid])


async def post_verify(request: Request) -> Response:
    """Whether the repository possesses an object of that size."""
    repository, _ = await repository_of(request, Scope.READ)
    wanted = VerifyRequest.parse(await json_body(request))
    sizes = await in_thread(services_of(request).objects.possessed, repository, [wanted.oid])
    if wanted.oid not in sizes:
        raise NotFound(f"object '{wanted.oid}' was not found in '{repository.name}'")
    if sizes[wanted.oid] != wanted.size:
        raise Unprocessable(f"object '{wanted.oid}' has {sizes[wanted.oid]} bytes, not {wanted.size}")
    return Response(b"{}", media_type=MEDIA_TYPE)


def _oid(request: Request) -> Oid:
    try:
        return Oid.parse(request.path_params["oid"])
    except InvalidId as error:
        raise Unprocessable(error.message) from error


async def _grant_of(request: Request, oid: Oid, operation: str) -> Grant:
    """What the request may do, by its URL's signature, else by its token; then its size is unknown: -1."""
    if "signature" in request.query_params:
        name = RepoName.parse(f"{request.path_params['owner']}/{request.path_params['name']}")
        grant = services_of(request).signer.check(operation, name, oid, request.query_params)
        request.state.user = grant.user
        return grant
    upload = operation == UPLOAD
    repository, principal = await repository_of(request, Scope.WRITE if upload else Scope.READ, create=upload)
    return Grant(Holder(repository.id, repository.name), -1, principal.user)


ROUTES = [
    Route(LFS + "/objects/batch", post_batch, methods=["POST"]),
    Route(LFS + "/objects/verify", post_verify, methods=["POST"]),
    Route(LFS + "/objects/{oid}", put_object, methods=["PUT"]),
    Route(LFS + "/objects/{oid}", get_object, methods=["GET"]),
]
