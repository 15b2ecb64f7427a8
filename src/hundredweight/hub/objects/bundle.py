"""Several small objects in one answer: docs/formats/bundle.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from hundredweight.backend.interface import KeyMissing
from hundredweight.base.ids import RepoName
from hundredweight.hub.context import in_thread, json_body, services_of
from hundredweight.hub.errors import Unprocessable
from hundredweight.hub.objects.signing import Grant
from hundredweight.protocol.bundle import BUNDLE, LARGEST, MOST_BYTES, BundleRequest, write_bundle
from hundredweight.protocol.pointer import EMPTY_OID

if TYPE_CHECKING:
    from starlette.requests import Request

    from hundredweight.base.ids import Oid
    from hundredweight.hub.objects.signing import Holder
    from hundredweight.hub.services import Services

ROUTE = "/objects/bundle"


def bundle_url(services: Services, url: str, holder: Holder, user: str) -> str:
    """Where small objects of the repository are to be had for a while, which are all that whoever asks may read. `url` is that of
    its LFS API."""
    query = services.signer.query(BUNDLE, EMPTY_OID, Grant(holder, 0, user), services.settings.action_seconds)
    return f"{url}{ROUTE}?{query}"


async def post_bundle(request: Request) -> Response:
    """The objects that were asked for. Raises `BadSignature`, `ActionExpired`, `BadMessage`, `Unprocessable`."""
    services = services_of(request)
    name = RepoName.parse(f"{request.path_params['owner']}/{request.path_params['name']}")
    grant = services.signer.check(BUNDLE, name, EMPTY_OID, request.query_params)
    request.state.user = grant.user
    wanted = BundleRequest.parse(await json_body(request))
    content = await in_thread(_bundle, services, grant.holder, wanted.oids)
    services.metrics.bytes.labels("out").inc(len(content))
    return Response(content, media_type="application/octet-stream", headers={"X-Content-Type-Options": "nosniff"})


def _bundle(services: Services, holder: Holder, oids: tuple[Oid, ...]) -> bytes:
    sizes = services.objects.possessed(holder, oids)
    if max(sizes.values(), default=0) > LARGEST or sum(sizes.values()) > MOST_BYTES:
        raise Unprocessable(f"a bundle has objects of up to {LARGEST} bytes, and {MOST_BYTES} in all")
    return write_bundle([_content(services, oid, sizes.get(oid)) for oid in oids])


def _content(services: Services, oid: Oid, size: int | None) -> bytes | None:
    """None where the repository does not possess the object, or the store lost it."""
    if not size:
        return None if size is None else b""
    try:
        content = b"".join(services.store.read(oid, 0, size))
    except KeyMissing:
        return None
    return content if len(content) == size else None


def routes(lfs: str) -> list[Route]:
    return [Route(lfs + ROUTE, post_bundle, methods=["POST"])]
