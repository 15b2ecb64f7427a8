"""What a route needs to know of its request: the services, who asks, which repository; and how to leave the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import anyio.to_thread

from hundredweight.hub.errors import TooLarge, TooSlow, Unprocessable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from hundredweight.hub.repos.service import Repository
    from hundredweight.hub.services import Services
    from hundredweight.hub.tokens.service import Principal, Scope

P = ParamSpec("P")
T = TypeVar("T")
MAX_JSON = 8 << 20
"""Bytes of a JSON body: a batch of 10,000 objects has about one MiB."""


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A blocking call, off the event loop. It is finished even when the client is gone."""
    return await anyio.to_thread.run_sync(lambda: call(*args, **kwargs))


def services_of(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


async def principal_of(request: Request) -> Principal:
    """Who asks; the log line names them. Raises `AuthenticationRequired`."""
    services = services_of(request)
    principal = await in_thread(services.tokens.authenticate, request.headers.get("authorization", ""))
    request.state.user = principal.user
    request.state.token = principal.token
    return principal


async def repository_of(request: Request, scope: Scope, *, create: bool = False) -> tuple[Repository, Principal]:
    """The repository of a route with `{owner}` and `{name}`, open for `scope`. Raises as `Access.open` does."""
    principal = await principal_of(request)
    text = f"{request.path_params['owner']}/{request.path_params['name']}"
    repository = await in_thread(services_of(request).access.open, text, principal, scope, create=create)
    return repository, principal


async def json_body(request: Request, limit: int = MAX_JSON) -> bytes:
    """The body, bounded. Raises `TooLarge`."""
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Unprocessable("invalid content length")
    if int(length) > limit:
        raise TooLarge(f"the request's body is longer than {limit} bytes")
    body = bytearray()
    async for chunk in steady_stream(request):
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"the request's body is longer than {limit} bytes")
    return bytes(body)


async def steady_stream(request: Request) -> AsyncIterator[bytes]:
    """The body's chunks as they come. Raises `TooSlow` when none comes for long, `ClientDisconnect` when the client left."""
    seconds = services_of(request).settings.idle_seconds
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(seconds):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise TooSlow(f"nothing came for {seconds} seconds") from error
        yield chunk


@contextlib.asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[Callable[[], None]]:
    """Gives what to call at each progress. Raises `TooSlow` when that does not happen for `seconds`, or a quarter less: to set a
    timer for each chunk would cost much."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds) as timer:
            renewed = loop.time()

            def progress() -> None:
                nonlocal renewed
                now = loop.time()
                if now - renewed > seconds / 4:
                    renewed = now
                    timer.reschedule(now + seconds)

            yield progress
    except TimeoutError as error:
        raise TooSlow(f"nothing came for {seconds} seconds") from error


def base_url(request: Request) -> str:
    """Where this client reaches the hub, without a trailing slash: the configured public URL, or what the request says.

    The forwarded scheme is believed without proof: it changes nothing but the URLs in the answer to the very client that sent it.
    """
    public = services_of(request).settings.public_url
    if public:
        return public.rstrip("/")
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme).split(",")[0].strip().lower()
    host = request.headers.get("x-forwarded-host", request.headers.get("host", "")).split(",")[0].strip()
    if scheme not in ("http", "https") or not host or not set(host) <= _HOST:
        raise Unprocessable("the request's Host header is missing or invalid")
    return f"{scheme}://{host}"


_HOST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]")
