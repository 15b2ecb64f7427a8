"""One object coming in over HTTP: receive, hash and write overlap; memory is bounded by one budget for all uploads together.

While one batch of chunks is hashed and written, by two threads at once, the next is received. When the disk is slow
nothing is received, and TCP slows the client. The fewer uploads run, the larger the batches; when many run, each
waits for its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from hundredweight.hub.context import in_thread, patience, steady_stream
from hundredweight.hub.errors import Refusal, Unprocessable
from hundredweight.store.objects import ObjectMismatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Self

    from starlette.requests import Request

    from hundredweight.base.ids import Oid
    from hundredweight.hub.objects.signing import Grant
    from hundredweight.hub.services import Services
    from hundredweight.store.blocks import Block
    from hundredweight.store.objects import ObjectWriter
    from hundredweight.store.staged import PartWriter

BUDGET = 32 << 20
"""Bytes that all uploads together may hold in received batches."""
SMALLEST, LARGEST = 128 << 10, 4 << 20
CROWD = 16
HELD = 3
"""Batches of one upload at a time: one being received, one being stored, and slack for the last chunk."""


class LengthRequired(Refusal):
    """The request tells no length (411)."""

    status = 411


class Uploads:
    """How many uploads run; gives each the size of its batches."""

    def __init__(self) -> None:
        self.running = 0

    @property
    def batch_size(self) -> int:
        return max(SMALLEST, min(LARGEST, BUDGET // (HELD * max(self.running, 1))))

    @property
    def crowded(self) -> bool:
        """Whether enough uploads run to keep the processors busy without any of them receiving ahead."""
        return self.running > CROWD


async def receive_object(request: Request, services: Services, oid: Oid, grant: Grant) -> None:
    """Take the request's body in as `oid`, and let the repository possess it.

    Raises `ObjectMismatch`, `RepositoryMissing`, `BackendFull`, `BackendFailed`, `DatabaseError`, `TooSlow`,
    `ClientDisconnect`; then the repository does not possess it, and the same request may be sent again.
    """
    size = _size(request, grant.size, services.settings.max_object)
    try:
        if size <= SMALLEST:
            parts = await _small_body(request, oid, size)
            await in_thread(_take_small, services, grant, oid, size, parts)
        else:
            with await in_thread(services.store.writer, oid, size) as target:
                await receive(request, services, lambda parts: _store(target, parts))
                await in_thread(_complete, services, grant, target)
    except ObjectMismatch:
        services.metrics.refused.inc()
        raise
    services.metrics.bytes.labels("in").inc(size)
    request.state.received = size


async def _small_body(request: Request, oid: Oid, size: int) -> list[bytes]:
    parts = []
    left = size
    async for part in steady_stream(request):
        parts.append(part)
        left -= len(part)
        if left < 0:
            raise ObjectMismatch(oid, f"more than {size} bytes came")
    return parts


def _take_small(services: Services, grant: Grant, oid: Oid, size: int, parts: list[bytes]) -> None:
    """All of it in one thread: handing thousands of small objects from thread to thread costs more than storing them."""
    with services.store.writer(oid, size) as target:
        target.hash(parts)
        target.write(parts)
        _complete(services, grant, target)


def _complete(services: Services, grant: Grant, target: ObjectWriter) -> None:
    """The store first: a crash in between leaves an object that nobody possesses, and the repeated upload succeeds."""
    target.finish()
    services.objects.record(grant.holder, target.oid, target.size, grant.user)


def _store(target: ObjectWriter, parts: list[bytes]) -> Awaitable[object]:
    return asyncio.gather(in_thread(target.hash, parts), in_thread(target.write, parts))


async def receive(request: Request, services: Services, store: Callable[[list[bytes]], Awaitable[object]]) -> None:
    """Hand the request's body to `store`, batch by batch, in order; the next batch is received meanwhile.

    Raises `TooSlow`, `ClientDisconnect`, and what `store` raises.
    """
    async with _Behind(services.uploads) as behind:
        async for parts in _batches(request, services):
            await behind.end()
            behind.begin(store(parts))
            if services.uploads.crowded:
                await behind.end()
        await behind.end()


class _Behind:
    """Storing that goes on behind an upload, one step at a time, while its next bytes are received."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._storing: asyncio.Future[object] | None = None

    async def __aenter__(self) -> Self:
        self._uploads.running += 1
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._uploads.running -= 1
        if self._storing is not None and not self._storing.done():
            # Threads still use the file; it must not be closed under them.
            await asyncio.wait([self._storing])

    def begin(self, step: Awaitable[object]) -> None:
        """The step before has ended."""
        self._storing = asyncio.ensure_future(step)

    async def end(self) -> None:
        """Of the step that was begun, if any. Raises what it raises."""
        if self._storing is not None:
            await self._storing


async def _batches(request: Request, services: Services) -> AsyncIterator[list[bytes]]:
    """The body's chunks, in lists of `Uploads.batch_size` bytes. Each chunk costs as little as it can: thousands make a GiB."""
    more = True
    while more:
        parts: list[bytes] = []
        held = 0
        wanted = services.uploads.batch_size
        async with patience(services.settings.idle_seconds) as progress:
            while more and held < wanted:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                more = message.get("more_body", False)
                if chunk := message.get("body"):
                    parts.append(chunk)
                    held += len(chunk)
                    progress()
        yield parts


async def receive_blocks(request: Request, services: Services, writer: PartWriter, stored: Callable[[], None]) -> None:
    """Take the request's body in as a part. Each piece is copied into a block as it comes, so that its memory serves for the
    next; while one block is stored, the other is filled. `stored` is called after each. With the last block the part
    is finished where the body's end is known by then. Raises `PartRefused`, and as `receive`."""
    rest, more, at = memoryview(b""), True, writer.start

    def store(block: Block, last: bool) -> None:
        writer.store(block)
        if last:
            writer.finish()
        stored()

    async with _Behind(services.uploads) as behind:
        while more or rest:
            async with patience(services.settings.idle_seconds) as progress:
                if not rest:
                    rest, more = await _piece(request)
                    continue
                block = writer.next_block(at)
                rest = block.fill(rest)
                while more and not block.full:
                    rest, more = await _piece(request)
                    rest = block.fill(rest)
                    progress()
            at += block.size
            await behind.end()
            behind.begin(in_thread(store, block, not more and not rest))
        await behind.end()


async def _piece(request: Request) -> tuple[memoryview, bool]:
    """The next piece of the body, and whether there may be more. Raises `ClientDisconnect`."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return memoryview(message.get("body", b"")), message.get("more_body", False)


def _size(request: Request, announced: int, limit: int) -> int:
    """The object's size, from the signed URL or the request's length, which must agree."""
    header = request.headers.get("content-length", "")
    if header and not (header.isascii() and header.isdigit() and len(header) < 20):
        raise Unprocessable("invalid content length")
    length = int(header) if header else -1
    if announced < 0 and length < 0:
        raise LengthRequired("the request tells no length", hint="send a Content-Length header")
    if announced >= 0 and length >= 0 and announced != length:
        raise Unprocessable(f"the request has {length} bytes for an object of {announced}")
    size = max(announced, length)
    if limit and size > limit:
        raise Unprocessable(f"the object has {size} bytes; this hub takes at most {limit}")
    return size
