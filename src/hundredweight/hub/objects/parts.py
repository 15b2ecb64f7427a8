"""The adapter `cwt-parts` over HTTP: begin or resume an upload, take parts, end it. Spec: docs/formats/parts.md.

Only signed URLs come here: a batch answer hands them out, to who may push to that repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from hundredweight.hub.context import in_thread, services_of, steady_stream
from hundredweight.hub.errors import Unprocessable
from hundredweight.hub.objects.grants import signed_grant
from hundredweight.hub.objects.staging import UploadUnknown
from hundredweight.hub.objects.upload import receive, receive_blocks
from hundredweight.protocol.message import MEDIA_TYPE
from hundredweight.protocol.parts import PARTS, PartsState, choose_part_size
from hundredweight.store.objects import ObjectMismatch

if TYPE_CHECKING:
    from starlette.requests import Request

    from hundredweight.base.ids import Oid
    from hundredweight.hub.objects.signing import Grant
    from hundredweight.hub.services import Services
    from hundredweight.store.staged import PartWriter, StagedStream

COMMIT_SECONDS = 10.0
"""How long the end of an upload may take to answer; below the time that clients wait in silence (30 s)."""
_WHERE = "/{owner}/{name}/info/lfs/objects/{oid}/parts"


async def post_parts(request: Request) -> Response:
    """Begin, or tell what is held of an upload that was begun."""
    oid, grant = signed_grant(request, PARTS)
    state = await in_thread(_open, services_of(request), grant, oid)
    return Response(state.encode(), media_type=MEDIA_TYPE)


def _open(services: Services, grant: Grant, oid: Oid) -> PartsState:
    try:
        return services.staging.find(grant, oid).state
    except UploadUnknown:
        if _is_there(services, grant, oid):
            part_size = choose_part_size(grant.size, services.staging.part_size)
            return PartsState(grant.size, part_size, ((0, -(-grant.size // part_size)),))
        return services.staging.open(grant, oid).state


async def put_part(request: Request) -> Response:
    """One part. 200 means: it is held, and need not be sent again. Nobody sees it before the end of the upload."""
    oid, grant = signed_grant(request, PARTS)
    staging = services_of(request).staging
    upload = staging.known(grant, oid)
    if upload is None:
        upload = await in_thread(staging.find, grant, oid)
    return await take_part(request, upload)


async def take_part(request: Request, upload: StagedStream) -> Response:
    """Part `{number}` of the upload, out of the request's body."""
    services = services_of(request)
    writer = upload.begin(request.path_params["number"])
    if writer is None:
        async for _ in steady_stream(request):
            """A part that is held stays as it is."""
        return Response(status_code=200)
    try:
        with writer:
            _check_length(request, writer)
            if writer.take_blocks():
                await receive_blocks(request, services, writer, lambda: services.staging.follow(upload))
            else:
                await receive(request, services, lambda parts: in_thread(writer.write, parts))
            if not writer.finished:
                await in_thread(writer.finish)
    finally:
        services.staging.follow(upload)
    services.metrics.bytes.labels("in").inc(writer.size)
    request.state.received = writer.size
    return Response(status_code=200)


async def post_commit(request: Request) -> Response:
    """End the upload. 200: verified, on disk, and the repository possesses the object. 202: still hashing, ask again."""
    oid, grant = signed_grant(request, PARTS)
    services = services_of(request)
    ended = await in_thread(_commit, services, grant, oid)
    return Response(b"{}", 200 if ended else 202, media_type=MEDIA_TYPE)


def _commit(services: Services, grant: Grant, oid: Oid) -> bool:
    try:
        upload = services.staging.find(grant, oid)
    except UploadUnknown:
        if _is_there(services, grant, oid):
            return True
        raise
    try:
        if not upload.finish(COMMIT_SECONDS):
            return False
    except ObjectMismatch:
        services.metrics.refused.inc()
        services.staging.end(upload)
        raise
    services.objects.record(grant.holder, oid, grant.size, grant.user)
    services.staging.end(upload)
    services.staging.expect(upload)
    return True


def _is_there(services: Services, grant: Grant, oid: Oid) -> bool:
    """Whether the upload has ended well: the answer to that may not have arrived, or another client ended it."""
    return oid in services.objects.possessed(grant.holder, [oid]) and services.objects.stored(oid, grant.size)


def _check_length(request: Request, writer: PartWriter) -> None:
    length = request.headers.get("content-length", "")
    if length and length != str(writer.size):
        raise Unprocessable(f"part {writer.number} has {writer.size} bytes, the request {length[:20]}")


ROUTES = [
    Route(_WHERE, post_parts, methods=["POST"]),
    Route(_WHERE + "/commit", post_commit, methods=["POST"]),
    Route(_WHERE + "/{number:int}", put_part, methods=["PUT"]),
]
