"""The adapter `cwt-blocks` over HTTP. Spec: docs/formats/blocks.md. Only signed URLs come here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hundredweight.base.errors import CwtError
from hundredweight.hub.context import in_thread, json_body, services_of, steady_stream
from hundredweight.hub.errors import TooLarge, Unprocessable
from hundredweight.hub.objects.batch import BLOCKS_DOWN, BLOCKS_UP
from hundredweight.hub.objects.grants import signed_grant
from hundredweight.hub.objects.parts import COMMIT_SECONDS, take_part
from hundredweight.hub.packs.catalog import BaseGone
from hundredweight.hub.packs.exchange import Exchange
from hundredweight.hub.packs.service import contents_of, pack_key
from hundredweight.protocol.blocks import LONG_PROBE, Bases, StreamName
from hundredweight.protocol.blocks import Request as Wanted
from hundredweight.protocol.message import MEDIA_TYPE
from hundredweight.store.staged_pack import StagedPack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

    from hundredweight.backend.interface import Stage
    from hundredweight.base.ids import Oid
    from hundredweight.hub.objects.signing import Grant
    from hundredweight.hub.services import Services

STREAM = "application/octet-stream"
_WHERE = "/{owner}/{name}/info/lfs/objects/{oid}/blocks"


async def get_recipe(request: Request) -> Response:
    """The recipe of a packed object; 404 for one that is not packed: download it whole."""
    oid, grant = signed_grant(request, BLOCKS_DOWN)
    recipe = await in_thread(_exchange(services_of(request), grant).recipe, oid)
    return Response(recipe.encode(), media_type=STREAM)


async def post_segments(request: Request) -> Response:
    """A pack stream of the segments that the body asks for."""
    oid, grant = signed_grant(request, BLOCKS_DOWN)
    services = services_of(request)
    wanted = Wanted.parse(await json_body(request))
    pieces = await in_thread(_exchange(services, grant).stream, oid, wanted)
    first = await in_thread(next, pieces)
    return StreamingResponse(_send(services, first, pieces), media_type=STREAM)


async def _send(services: Services, first: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    piece = first
    while piece:
        services.metrics.bytes.labels("out").inc(len(piece))
        yield piece
        piece = await in_thread(next, pieces, b"")


async def post_terms(request: Request) -> Response:
    """Which of the offered bases may serve."""
    _, grant = signed_grant(request, BLOCKS_UP)
    offered = Bases.parse(await json_body(request))
    terms = await in_thread(_exchange(services_of(request), grant).terms, offered)
    return Response(terms.encode(), media_type=MEDIA_TYPE)


async def post_probe(request: Request) -> Response:
    """Nothing becomes of the body: the client wants to know how long it takes."""
    signed_grant(request, BLOCKS_UP)
    count = 0
    async for chunk in steady_stream(request):
        count += len(chunk)
        if count > LONG_PROBE:
            raise TooLarge(f"the request's body is longer than {LONG_PROBE} bytes")
    return Response(b"{}", media_type=MEDIA_TYPE)


async def post_stream(request: Request) -> Response:
    """Begin the upload of a pack stream, or tell what is held of one that was begun."""
    oid, grant = signed_grant(request, BLOCKS_UP)
    name = StreamName.parse(request.path_params["stream"])
    bases = Bases.parse(await json_body(request))
    upload = await in_thread(_open, services_of(request), grant, oid, name, bases)
    return Response(upload.state.encode(), media_type=MEDIA_TYPE)


async def put_part(request: Request) -> Response:
    """One part of a stream; as in `cwt-parts`."""
    oid, grant = signed_grant(request, BLOCKS_UP)
    name = StreamName.parse(request.path_params["stream"])
    upload = await in_thread(services_of(request).staging.find_pack, grant, oid, name)
    return await take_part(request, upload)


async def post_commit(request: Request) -> Response:
    """End the upload. 200: every block verified, on disk, and the repository possesses the object. 202: still checking,
    ask again."""
    oid, grant = signed_grant(request, BLOCKS_UP)
    services = services_of(request)
    name = StreamName.parse(request.path_params["stream"])
    ended = await in_thread(_commit, services, grant, oid, name)
    return Response(b"{}", 200 if ended else 202, media_type=MEDIA_TYPE)


def _exchange(services: Services, grant: Grant) -> Exchange:
    return Exchange(services.packs, services.objects, grant.holder)


def _open(services: Services, grant: Grant, oid: Oid, name: StreamName, bases: Bases) -> StagedPack:
    if name.size > grant.size:
        raise Unprocessable(
            f"a stream of {name.size} bytes for an object of {grant.size}", hint="send the object whole"
        )
    allowed = _exchange(services, grant).allowed(bases)

    def make(stage: Stage, part_size: int) -> StagedPack:
        return StagedPack(
            stage,
            name.size,
            part_size,
            oid=oid,
            object_size=grant.size,
            digest=name.digest,
            allowed=allowed,
            reader=services.packs.reader,
            pool=services.packs.pool,
            turns=services.packs.turns,
        )

    return services.staging.open_pack(grant, oid, name, make)


def _commit(services: Services, grant: Grant, oid: Oid, name: StreamName) -> bool:
    # Unknown also where an earlier answer was lost or another brought the object: then nobody looked at this very
    # stream, which the
    # client would keep; its next batch call tells it that the object is there.
    upload = services.staging.find_pack(grant, oid, name)
    try:
        if not upload.finish(COMMIT_SECONDS):
            return False
        _enter(services, oid, grant.size, upload)
    except CwtError as error:
        if upload.failed or isinstance(error, BaseGone):
            services.metrics.refused.inc()
            services.staging.end(upload)
        raise
    services.objects.record(grant.holder, oid, grant.size, grant.user)
    services.staging.end(upload)
    return True


def _enter(services: Services, oid: Oid, size: int, upload: StagedPack) -> None:
    """The stream becomes a pack of the hub, unless another client has brought the object meanwhile."""
    with services.packs.taking(oid):
        if upload.published or not services.objects.stored(oid, size):
            upload.publish(pack_key(upload.name))
            services.packs.enter(contents_of(services.packs, upload.name, upload.total))


ROUTES = [
    Route(_WHERE + "/recipe", get_recipe, methods=["GET"]),
    Route(_WHERE + "/recipe", post_terms, methods=["POST"]),
    Route(_WHERE + "/segments", post_segments, methods=["POST"]),
    Route(_WHERE + "/probe", post_probe, methods=["POST"]),
    Route(_WHERE + "/{stream}", post_stream, methods=["POST"]),
    Route(_WHERE + "/{stream}/commit", post_commit, methods=["POST"]),
    Route(_WHERE + "/{stream}/{number:int}", put_part, methods=["PUT"]),
]
