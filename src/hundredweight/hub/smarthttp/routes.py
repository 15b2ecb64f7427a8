"""`/OWNER/NAME.git/info/refs`, `git-upload-pack` and `git-receive-pack`: git's smart HTTP protocol, as plain ASGI.

Source: git Documentation/gitprotocol-http. The body goes to git as it comes and git's output out as it comes. The status
line waits for git's first byte, so that a failure before it is an HTTP error with a text that git shows to its user.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route

from hundredweight.hub.context import in_thread, repository_of, services_of
from hundredweight.hub.errors import Refusal
from hundredweight.hub.receive.head import settle_head
from hundredweight.hub.receive.session import receiving
from hundredweight.hub.receive.upkeep import Upkeep, is_due
from hundredweight.hub.smarthttp.body import decoded, encoding_of
from hundredweight.hub.smarthttp.service import GitCall, wants_version_2
from hundredweight.hub.tokens.service import Scope
from hundredweight.protocol import pktline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from starlette.types import Message, Receive, Send
    from starlette.types import Scope as AsgiScope

    from hundredweight.hub.smarthttp.service import GitProcesses

UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"
MAX_UPLOAD_REQUEST = 256 << 20
"""A fetch request lists wants and haves: five million of them at most. Pushes have no bound."""
NO_CACHE = (
    (b"expires", b"Fri, 01 Jan 1980 00:00:00 GMT"),
    (b"pragma", b"no-cache"),
    (b"cache-control", b"no-cache, max-age=0, must-revalidate"),
)


class DumbProtocol(Refusal):
    """The client reads files instead of speaking to git."""

    status = 403
    hint = "use git 1.6.6 or newer over HTTP, and no static mirror tool"

    def __init__(self) -> None:
        super().__init__("this hub speaks git's smart HTTP protocol only")


class WrongMedia(Refusal):
    """The request's content type or method is not git's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class SmartHttp:
    """The paths of one hub's repositories."""

    def __init__(self, processes: GitProcesses) -> None:
        self._processes = processes
        self._upkeep = Upkeep()

    def routes(self) -> list[Route]:
        at = "/{owner}/{name}"
        return [
            Route(f"{at}/info/refs", _App(self.info_refs)),
            Route(f"{at}/{UPLOAD}", _App(self.upload_pack)),
            Route(f"{at}/{RECEIVE}", _App(self.receive_pack)),
            Route(f"{at}/HEAD", _App(self.dumb)),
            Route(f"{at}/objects/{{rest:path}}", _App(self.dumb)),
        ]

    async def dumb(self, _exchange: _Exchange) -> None:
        raise DumbProtocol

    async def info_refs(self, exchange: _Exchange) -> None:
        """What the repository offers: capabilities (version 2) or the refs. A push's first request makes the repository."""
        exchange.require_method("GET")
        service = exchange.request.query_params.get("service", "")
        if service not in (UPLOAD, RECEIVE):
            raise DumbProtocol
        write = service == RECEIVE
        repository, _ = await repository_of(exchange.request, Scope.WRITE if write else Scope.READ, create=write)
        exchange.media = f"application/x-{service}-advertisement"
        if service == RECEIVE or not wants_version_2(exchange.protocol):
            exchange.prefix = pktline.encode(f"# service={service}\n".encode()) + pktline.FLUSH
        await self._run(exchange, GitCall(service.removeprefix("git-"), repository.path, advertise=True), None)
        await exchange.finish()

    async def upload_pack(self, exchange: _Exchange) -> None:
        exchange.require_rpc(UPLOAD)
        repository, _ = await repository_of(exchange.request, Scope.READ)
        await self._run(exchange, GitCall("upload-pack", repository.path), exchange.body(MAX_UPLOAD_REQUEST))
        await exchange.finish()

    async def receive_pack(self, exchange: _Exchange) -> None:
        exchange.require_rpc(RECEIVE)
        repository, principal = await repository_of(exchange.request, Scope.WRITE, create=True)
        async with receiving(services_of(exchange.request), repository, principal.user) as call:
            await self._run(exchange, call, exchange.body(0))
        # Before the answer ends: who pushed may clone at once.
        await in_thread(settle_head, services_of(exchange.request).git.at(repository.path))
        await exchange.finish()
        if await in_thread(is_due, repository.path):
            self._upkeep.add(repository.path)

    async def _run(self, exchange: _Exchange, call: GitCall, body: AsyncIterator[bytes] | None) -> None:
        """git at work until it has said everything, or the client is gone."""
        call = replace(call, protocol=exchange.protocol, request_id=exchange.request.state.request_id)
        work = asyncio.create_task(self._processes.run(call, body, exchange.send))
        gone = asyncio.create_task(exchange.gone())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientDisconnect
            work.result()
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)


class _App:
    """One path as an ASGI application: a request object around the three ASGI arguments."""

    def __init__(self, handler: Callable[[_Exchange], Coroutine[None, None, None]]) -> None:
        self._handler = handler

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        # A task of asyncio's own: a server's tasks need not know how to be cancelled.
        await asyncio.create_task(self._handler(_Exchange(scope, receive, send)))


class _Exchange:
    """The request's facts, its body as an iterator, and the answer: started by the first byte that git says."""

    def __init__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        self.request = Request(scope)
        self._receive = receive
        self._send = send
        self._body_read = asyncio.Event()
        self._started = False
        self.media = ""
        self.prefix = b""

    @property
    def protocol(self) -> str:
        return self.request.headers.get("git-protocol", "")

    def require_method(self, method: str) -> None:
        if self.request.method != method:
            raise WrongMedia(f"use {method}", 405)

    def require_rpc(self, service: str) -> None:
        """Raises `WrongMedia` unless this is git's POST for that service."""
        self.require_method("POST")
        expected = f"application/x-{service}-request"
        if self.request.headers.get("content-type", "") != expected:
            raise WrongMedia(f"expected a body of type '{expected}'", 415)
        self.media = f"application/x-{service}-result"

    async def _chunks(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            if message.get("body"):
                yield message["body"]
            more = message.get("more_body", False)
        self._body_read.set()

    def body(self, limit: int) -> AsyncIterator[bytes]:
        """The body as git is to see it. Raises `BadBody`, `ClientDisconnect`."""
        return decoded(self._chunks(), encoding_of(self.request.headers.get("content-encoding", "")), limit)

    async def gone(self) -> None:
        """Returns when the client has closed the connection; the body, if any, must be read by somebody else."""
        if self.request.method == "POST":
            await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def send(self, data: bytes) -> None:
        """Raises `ClientDisconnect`."""
        await self._start()
        await self._send_or_gone({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self) -> None:
        await self._start()
        await self._send_or_gone({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self) -> None:
        if self._started:
            return
        self._started = True
        headers = [(b"content-type", self.media.encode()), *NO_CACHE]
        await self._send_or_gone({"type": "http.response.start", "status": 200, "headers": headers})
        if self.prefix:
            await self._send_or_gone({"type": "http.response.body", "body": self.prefix, "more_body": True})

    async def _send_or_gone(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as error:
            raise ClientDisconnect from error
