"""The answer to a batch request, as a plain function of what the repository possesses.

A finished upload needs no verify action: the hub answers a PUT only after it verified and recorded the object itself. The
verify route is served for clients that call it all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.hub.errors import Conflict
from hundredweight.hub.objects.bundle import bundle_url
from hundredweight.hub.objects.signing import Grant, Holder
from hundredweight.protocol.batch import (
    BASIC,
    DOWNLOAD,
    HASH_ALGORITHM,
    UPLOAD,
    Action,
    BatchObject,
    BatchResponse,
    ObjectError,
)
from hundredweight.protocol.blocks import BLOCKS, SMALLEST
from hundredweight.protocol.blocks import TRANSFER as IN_BLOCKS
from hundredweight.protocol.bundle import BUNDLE, LARGEST
from hundredweight.protocol.bundle import TRANSFER as IN_BUNDLES
from hundredweight.protocol.parts import PARTS
from hundredweight.protocol.parts import TRANSFER as IN_PARTS
from hundredweight.protocol.pointer import EMPTY_OID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.base.ids import Oid
    from hundredweight.hub.repos.service import Repository
    from hundredweight.hub.services import Services
    from hundredweight.hub.tokens.service import Principal
    from hundredweight.protocol.batch import BatchRequest, Wanted

TRANSFERS = {UPLOAD: (IN_BLOCKS, IN_PARTS, BASIC), DOWNLOAD: (IN_BLOCKS, IN_BUNDLES, BASIC)}
"""The adapters that the hub speaks, best first."""
BLOCKS_UP, BLOCKS_DOWN = "upload-blocks", "download-blocks"
"""What the signed URL of the action `blocks` allows, by direction."""
_FOLDERS = {PARTS: "/parts", BLOCKS_UP: "/blocks", BLOCKS_DOWN: "/blocks"}


class HashUnknown(Conflict):
    """The client hashes with something else than SHA-256."""


class NoCommonTransfer(Conflict):
    """Client and hub share no transfer adapter."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where actions point (`url`: the repository's LFS URL as this client sees it), and who asks."""

    url: str
    repository: Repository
    principal: Principal


def choose_transfer(operation: str, offered: tuple[str, ...]) -> str:
    """The best adapter that both sides speak; none offered is basic. Raises `NoCommonTransfer`."""
    for name in TRANSFERS[operation]:
        if name in (offered or (BASIC,)):
            return name
    raise NoCommonTransfer("this hub speaks none of the offered transfer adapters", hint="allow 'basic' transfers")


def check_request(request: BatchRequest) -> str:
    """The transfer adapter to use. Raises `HashUnknown`, `NoCommonTransfer`."""
    if request.hash_algorithm != HASH_ALGORITHM:
        raise HashUnknown(f"unsupported hash algorithm '{request.hash_algorithm[:40]}'; this hub takes 'sha256'")
    return choose_transfer(request.operation, request.transfers)


def answer(services: Services, request: BatchRequest, place: Place, transfer: str) -> BatchResponse:
    """`transfer` is what `check_request` chose. Blocks. Raises `DatabaseError`, `BackendFailed`."""
    oids = [item.oid for item in request.objects]
    if request.operation == UPLOAD:
        known = services.objects.claim(place.repository, oids, place.principal)
        answers = [_upload(services, item, known, place, transfer) for item in request.objects]
    else:
        known = services.objects.possessed(place.repository, oids)
        bundle = _bundle(services, place) if transfer in (IN_BLOCKS, IN_BUNDLES) else None
        answers = [_download(services, item, known, place, transfer, bundle) for item in request.objects]
    return BatchResponse((*answers, *request.rejected), transfer)


def _upload(services: Services, item: Wanted, known: Mapping[Oid, int], place: Place, transfer: str) -> BatchObject:
    limit = services.settings.max_object
    if limit and item.size > limit:
        return _error(item, 422, f"the object has {item.size} bytes; this hub takes at most {limit}")
    if known.get(item.oid, item.size) != item.size:
        return _error(item, 422, f"this object has {known[item.oid]} bytes, not {item.size}")
    if (item.size == 0) != (item.oid == EMPTY_OID):
        return _error(item, 422, f"no object of this id has {item.size} bytes")
    # The record says yes and the store no: only damage does that, and this upload mends it.
    if item.oid in known and services.objects.stored(item.oid, item.size):
        return BatchObject(item.oid, item.size)
    actions = {UPLOAD: _action(services, UPLOAD, item, place)}
    if transfer in (IN_PARTS, IN_BLOCKS) and services.staging.takes(item.size):
        actions[PARTS] = _action(services, PARTS, item, place)
    if transfer == IN_BLOCKS and item.size >= SMALLEST:
        actions[BLOCKS] = _action(services, BLOCKS_UP, item, place)
    return BatchObject(item.oid, item.size, actions, authenticated=True)


def _download(
    services: Services, item: Wanted, known: Mapping[Oid, int], place: Place, transfer: str, bundle: Action | None
) -> BatchObject:
    if item.oid not in known:
        return _error(item, 404, f"'{place.repository.name}' has no such object; push it from a clone that has it")
    if known[item.oid] != item.size:
        return _error(item, 422, f"this object has {known[item.oid]} bytes, not {item.size}")
    if not services.objects.stored(item.oid, item.size):
        return _error(item, 410, "the hub lost this object; push it again from a clone that has it")
    actions = {DOWNLOAD: _action(services, DOWNLOAD, item, place)}
    if transfer == IN_BLOCKS and item.size >= SMALLEST:
        actions[BLOCKS] = _action(services, BLOCKS_DOWN, item, place)
    if bundle is not None and item.size <= LARGEST:
        actions[BUNDLE] = bundle
    return BatchObject(item.oid, item.size, actions, authenticated=True)


def _action(services: Services, operation: str, item: Wanted, place: Place) -> Action:
    """A signed URL for one operation on the object."""
    seconds = services.settings.action_seconds
    holder = Holder(place.repository.id, place.repository.name)
    grant = Grant(holder, item.size, place.principal.user)
    query = services.signer.query(operation, item.oid, grant, seconds)
    path = f"{place.url}/objects/{item.oid}" + _FOLDERS.get(operation, "")
    return Action(f"{path}?{query}", expires_in=seconds)


def _bundle(services: Services, place: Place) -> Action:
    """One for all small objects of an answer: so clients see that they may ask for them together."""
    holder = Holder(place.repository.id, place.repository.name)
    return Action(
        bundle_url(services, place.url, holder, place.principal.user), expires_in=services.settings.action_seconds
    )


def _error(item: Wanted, code: int, message: str) -> BatchObject:
    return BatchObject(item.oid, item.size, error=ObjectError(code, message))
