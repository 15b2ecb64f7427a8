"""One object going out: whole by the server's own file sending, or a range of it in pieces; HEAD and If-Range."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import Response

from hundredweight.hub.context import in_thread
from hundredweight.protocol.pointer import EMPTY_OID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.types import Receive, Scope, Send

    from hundredweight.backend.interface import Buffer
    from hundredweight.base.ids import Oid
    from hundredweight.hub.services import Services

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
PATHSEND = "http.response.pathsend"


def object_response(headers: Mapping[str, str], services: Services, oid: Oid, size: int) -> Response:
    """The answer to a GET or HEAD with these headers. Blocks for a look at the store. Raises `KeyMissing` (410)."""
    etag = f'"{oid}"'
    common = {"ETag": etag, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    wanted = byte_range(headers.get("range", ""), size)
    if headers.get("if-range", etag) != etag:
        wanted = (0, size)
    if wanted is None:
        return Response(status_code=416, headers={**common, "Content-Range": f"bytes */{size}"})
    return ObjectResponse(services, oid, size, wanted, common)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """(start, end) to send: the whole for no, a malformed or a several-range header; None for a range outside the object."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.group(1, 2) == ("", ""):
        return 0, size
    first, last = match.group(1, 2)
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    start = int(first)
    end = min(size, int(last) + 1) if last else size
    if last and int(last) < start:
        return 0, size
    return (start, end) if start < size else None


class ObjectResponse(Response):
    """Sends bytes `span` of an object of `size` bytes."""

    def __init__(
        self, services: Services, oid: Oid, size: int, span: tuple[int, int], headers: Mapping[str, str]
    ) -> None:
        start, end = span
        self.status_code = 200 if span == (0, size) else 206
        self.background = None
        self._services = services
        self._oid = oid
        self._span = span
        self._path = services.store.local_path(oid) if self.status_code == 200 and size else None
        self.body = b""
        fields = {**headers, "Content-Type": "application/octet-stream", "Content-Length": str(end - start)}
        if self.status_code == 206:
            fields["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self.init_headers(fields)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        pieces: Iterator[Buffer] = iter(())
        by_path = self._path is not None and PATHSEND in scope.get("extensions", {})
        if scope["method"] != "HEAD" and not by_path and self._oid != EMPTY_OID:
            pieces = await in_thread(self._services.store.read, self._oid, *self._span)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        length = self._span[1] - self._span[0]
        if by_path:
            await send({"type": PATHSEND, "path": self._path})
        else:
            while piece := await in_thread(next, pieces, b""):
                await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        scope["state"]["sent"] = length
        self._services.metrics.bytes.labels("out").inc(length)
