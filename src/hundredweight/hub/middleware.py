"""Around every request: an id, one shape of errors, one log line, metrics."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from hundredweight.base.errors import CwtError
from hundredweight.hub.errors import TooSlow, error_response, status_of
from hundredweight.hub.metrics import kind_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hundredweight.hub.logs import Log
    from hundredweight.hub.services import Services

_ID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
MAX_DRAIN = 32 << 20
DRAIN_SECONDS = 5.0
CLIENT_GONE = 499
"""The status in the log for a request whose client left, as nginx has it."""


class RequestFrame:
    """ASGI middleware. Routes raise; what they raise becomes an answer here."""

    def __init__(self, app: ASGIApp, services: Services, log: Log) -> None:
        self._app = app
        self._services = services
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        metrics = self._services.metrics
        metrics.running.inc()
        counted = kind_of(scope["path"]) != "health"
        if counted:
            self._services.activity.begin()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = CLIENT_GONE
        except asyncio.CancelledError:
            # The grace period after SIGTERM is over.
            exchange.status = exchange.status or 503
            raise
        except Exception as error:  # noqa: BLE001 - the border: nothing escapes to the server
            await self._refuse(error, exchange, scope)
        finally:
            if counted:
                self._services.activity.end()
            metrics.running.dec()
            metrics.count(scope["method"], scope["path"], exchange.status, exchange.seconds)
            self._log.request(exchange.fields())

    async def _refuse(self, error: Exception, exchange: _Exchange, scope: Scope) -> None:
        status = status_of(error)
        if not isinstance(error, CwtError | HTTPException) or status in (500, 503):
            self._log.failure("request failed", error, id=exchange.id, path=scope["path"])
        if exchange.started:
            # Too late for another answer: the server cuts the connection, so the client sees a short body.
            exchange.status = status
            raise error
        if not isinstance(error, TooSlow):
            await _drain(exchange)
        await error_response(error, scope["path"], exchange.id)(scope, exchange.receive, exchange.send)


async def _drain(exchange: _Exchange) -> None:
    """Read some of the unwanted body: closing on unread bytes resets the connection, and the client may never see why."""
    left = MAX_DRAIN
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0 and not exchange.body_ended:
                message = await exchange.receive()
                left -= len(message.get("body", b"")) + 1
    except TimeoutError:
        return


class _Exchange:
    """One request and what was answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self.body_ended = False
        """Whether the whole body was received. Asking for more would wait until the client leaves."""
        self._begun = time.perf_counter()
        self.id = _request_id(scope)
        self.status = 0
        self.started = False
        self.bytes = 0
        scope.setdefault("state", {}).update(request_id=self.id, user="", token="")

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._begun

    async def receive(self) -> Message:
        message = await self._receive()
        self.body_ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.id.encode())]
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))
        await self._send(message)

    def fields(self) -> dict[str, str | int | float]:
        state = self._scope["state"]
        fields: dict[str, str | int | float] = {
            "id": self.id,
            "method": self._scope["method"],
            "path": self._scope["path"],
            "status": self.status,
            "bytes": state.get("sent", self.bytes),
            "ms": round(self.seconds * 1000, 1),
        }
        fields |= {key: state[key] for key in ("user", "token", "received") if state.get(key)}
        return fields


def _request_id(scope: Scope) -> str:
    """A proxy's own id where it sends a harmless one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            if 0 < len(text) <= 64 and _ID.issuperset(text):
                return text
    return secrets.token_hex(8)
