"""LFS over HTTP: the batch call, upload, download, verify. Spec: git-lfs docs/api."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from hundredweight.hub.context import base_url, in_thread, json_body, principal_of, repository_of, services_of
from hundredweight.hub.errors import NotFound, TooLarge, Unprocessable
from hundredweight.hub.objects import batch, bundle, parts
from hundredweight.hub.objects.download import object_response
from hundredweight.hub.objects.grants import grant_of
from hundredweight.hub.objects.upload import receive_object
from hundredweight.hub.tokens.service import Scope
from hundredweight.protocol.batch import DOWNLOAD, UPLOAD, BatchRequest, VerifyRequest
from hundredweight.protocol.message import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from hundredweight.base.ids import Oid
    from hundredweight.hub.objects.signing import Holder
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
    transfer = batch.check_request(wanted)
    base = base_url(request)
    upload = wanted.operation == UPLOAD
    # A request that cannot be granted, or that names no possible object, makes no repository.
    create = upload and bool(wanted.objects)
    repository, principal = await repository_of(request, Scope.WRITE if upload else Scope.READ, create=create)
    place = batch.Place(f"{base}/{repository.name}.git/info/lfs", repository, principal)
    answer = await in_thread(batch.answer, services, wanted, place, transfer)
    return Response(answer.encode(), media_type=MEDIA_TYPE)


async def put_object(request: Request) -> Response:
    """The bytes of one object. 200 means: verified, on disk, and the repository possesses it."""
    oid, grant = await grant_of(request, UPLOAD)
    await receive_object(request, services_of(request), oid, grant)
    return Response(status_code=200)


async def get_object(request: Request) -> Response:
    """The bytes of one object, or a range of them."""
    oid, grant = await grant_of(request, DOWNLOAD)
    return await in_thread(_object_of, services_of(request), grant.holder, oid, request.headers)


def _object_of(services: Services, holder: Holder, oid: Oid, headers: Mapping[str, str]) -> Response:
    size = services.objects.size(holder, oid)
    if size < 0:
        raise NotFound(
            f"object '{oid}' was not found in '{holder.name}'", hint="'git lfs push --all' from a clone that has it"
        )
    return object_response(headers, services, oid, size)


async def post_verify(request: Request) -> Response:
    """Whether the repository possesses an object of that size."""
    repository, _ = await repository_of(request, Scope.READ)
    wanted = VerifyRequest.parse(await json_body(request))
    size = await in_thread(services_of(request).objects.size, repository, wanted.oid)
    if size < 0:
        raise NotFound(f"object '{wanted.oid}' was not found in '{repository.name}'")
    if size != wanted.size:
        raise Unprocessable(f"object '{wanted.oid}' has {size} bytes, not {wanted.size}")
    return Response(b"{}", media_type=MEDIA_TYPE)


ROUTES = [
    Route(LFS + "/objects/batch", post_batch, methods=["POST"]),
    Route(LFS + "/objects/verify", post_verify, methods=["POST"]),
    *bundle.routes(LFS),
    Route(LFS + "/objects/{oid}", put_object, methods=["PUT"]),
    Route(LFS + "/objects/{oid}", get_object, methods=["GET"]),
    *parts.ROUTES,
]
