"""One object going out: whole by the server's own file sending, or a range of it in pieces; HEAD and If-Range."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from hundredweight.hub.context import in_thread
from hundredweight.hub.errors import TooSlow
from hundredweight.protocol.pointer import EMPTY_OID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.types import Receive, Scope, Send

    from hundredweight.backend.interface import Buffer
    from hundredweight.base.ids import Oid
    from hundredweight.hub.services import Services

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
PATHSEND = "http.response.pathsend"
SENT_AT_ONCE = 128 << 10
"""Bytes of one message to the server, which keeps up to a dozen for a client that does not read."""


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
    """Sends bytes `span` of an object of `size` bytes. Few are read at once, blocking: they then leave with the header, where a
    file that follows it waits for the client's acknowledgement, some 20 ms."""

    def __init__(
        self, services: Services, oid: Oid, size: int, span: tuple[int, int], headers: Mapping[str, str]
    ) -> None:
        start, end = span
        self.status_code = 200 if span == (0, size) else 206
        self.background = None
        self._services = services
        self._oid = oid
        self._span = span
        few = 0 < end - start <= SENT_AT_ONCE
        self.body = b"".join(services.store.read(oid, start, end)) if few else b""
        self._path = services.store.local_path(oid) if self.status_code == 200 and size and not few else None
        fields = {**headers, "Content-Type": "application/octet-stream", "Content-Length": str(end - start)}
        if self.status_code == 206:
            fields["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self.init_headers(fields)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pieces: Iterator[Buffer] = iter(())
        by_path = self._path is not None and PATHSEND in scope.get("extensions", {})
        if scope["method"] != "HEAD" and not by_path and not self.body and self._oid != EMPTY_OID:
            pieces = await in_thread(self._services.store.read, self._oid, *self._span)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif self.body:
            await send({"type": "http.response.body", "body": self.body, "more_body": False})
            self._count(scope, len(self.body))
        elif by_path:
            await send({"type": PATHSEND, "path": self._path})
            self._count(scope, self._span[1] - self._span[0])
        else:
            await self._send_pieces(pieces, scope, receive, send)

    async def _send_pieces(self, pieces: Iterator[Buffer], scope: Scope, receive: Receive, send: Send) -> None:
        """The server holds some messages for a client that reads slowly, so each is small; and it drops silently what is for a
        client that has left, so somebody must look. Raises `ClientDisconnect`, `TooSlow`."""
        seconds = self._services.settings.idle_seconds
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            while piece := await in_thread(next, pieces, b""):
                view = memoryview(piece)
                for start in range(0, len(view), SENT_AT_ONCE):
                    if gone.done():
                        raise ClientDisconnect
                    data = bytes(view[start : start + SENT_AT_ONCE])
                    async with asyncio.timeout(seconds):
                        await send({"type": "http.response.body", "body": data, "more_body": True})
                    self._count(scope, len(data))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError as error:
            raise TooSlow(f"nothing was taken for {seconds} seconds") from error
        finally:
            gone.cancel()

    def _count(self, scope: Scope, sent: int) -> None:
        scope["state"]["sent"] = scope["state"].get("sent", 0) + sent
        self._services.metrics.bytes.labels("out").inc(sent)


async def _until_gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
