"""The process: lock, data folder, first token, socket, HTTP server, signals.

granian runs inside this process (its embedded worker on our event loop): one process to watch and to signal, and one
that owns the lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
from typing import TYPE_CHECKING

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from hundredweight.base.allocator import keep_freed_memory
from hundredweight.base.errors import CwtError, LocalError
from hundredweight.base.files import write_file
from hundredweight.hub.app import create_app
from hundredweight.hub.lockfile import DataLock
from hundredweight.hub.logs import Log, ServerLog
from hundredweight.hub.packs.background import BackgroundPacker
from hundredweight.hub.services import Services, make_data_folder, open_services
from hundredweight.hub.tokens import secret
from hundredweight.hub.tokens.service import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

    from hundredweight.hub.settings import Settings

BACKLOG = 1024
RECEIVE_BUFFER = 256 << 10
"""Bytes that the server reads ahead on each connection, and the largest piece of a body: half of it costs 10 % more time on one
large upload, twice of it 50 MB more memory with a hundred at once."""
ADMIN_TOKEN = "admin-token"
MAX_FILES = 65536
ENDING = (signal.SIGTERM, signal.SIGINT)


class CannotListen(LocalError):
    """The address is taken, not this machine's, or not allowed."""

    hint = "choose another --host or --port; port 0 takes a free one"


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Run a hub until SIGTERM or SIGINT, then let running requests finish and return. For a process of its own: from then on
    such a signal ends it at once, with exit code 0.

    `announce` gets the lines for stdout: the admin token on the first start, then `listening on URL` once the hub answers. Raises
    `HubRunning`, `CannotListen`, and what `open_services` raises.
    """
    keep_freed_memory()
    log = Log(settings.log_format)
    with opened(settings, log) as services, _listen(settings.host, settings.port) as listener:
        token = ensure_admin_token(services)
        if token:
            announce(f"admin token: {token}")
        app = create_app(settings, services=services, log=log)
        with _packing(services, log):
            asyncio.run(_run(app, listener, services, log, announce))
        log.event("stopped")


@contextlib.contextmanager
def opened(settings: Settings, log: Log) -> Iterator[Services]:
    """The services of a data folder that nobody else serves, with what dead uploads left behind removed."""
    make_data_folder(settings)
    _raise_file_limit()
    lock = DataLock(settings.inside("lock"))
    try:
        services = open_services(settings)
        removed = services.store.backend.clean() + services.repositories.clean() + services.packs.clean()
        if removed:
            log.event("removed what unfinished requests left", files=removed)
        try:
            yield services
        finally:
            services.close()
    finally:
        lock.release()


@contextlib.contextmanager
def _packing(services: Services, log: Log) -> Iterator[None]:
    """Packs in the background, where the settings say so."""
    if not services.settings.pack:
        yield
        return

    def report(error: CwtError) -> None:
        log.failure("packing failed", error)

    packer = BackgroundPacker(services.store, services.packs, services.activity, report)
    packer.start()
    try:
        yield
    finally:
        packer.close()


def _raise_file_limit() -> None:
    """Each connection is an open file, and the usual 1024 are few: idle ones alone could keep everybody out. As many as the
    system gives without asking its administrator."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # A system may promise more than it gives; then what there is will do.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def ensure_admin_token(services: Services) -> str:
    """On a hub without any token: make one for everything, keep it in the data folder, give it. Else empty.

    The file comes first: a crash in between leaves a file that the next start replaces, never a token that nobody knows.
    """
    if services.tokens.list():
        return ""
    text = secret.make()
    write_file(services.settings.inside(ADMIN_TOKEN), text.encode() + b"\n", mode=0o600, durable=True)
    services.tokens.create("admin", Scope.ADMIN, text=text)
    return text


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket.

    Bound here and not by the server: the port is known before the first request, and no two hubs share one.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise CannotListen(f"cannot listen on '{host}': {error.strerror or error}") from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            raise CannotListen(f"cannot listen on '{host}' port {port}: {error.strerror or error}") from error
        yield listener


def url_of(listener: socket.socket, host: str) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Granian(Server):
    """granian's embedded server on a socket that is bound already."""

    def __init__(self, app: Starlette, listener: socket.socket, grace: int) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(max_buffer_size=RECEIVE_BUFFER),
            websockets=False,
            backlog=BACKLOG,
            runtime_threads=min(4, os.cpu_count() or 1),
            runtime_blocking_threads=16,
            log_enabled=False,
        )
        self.workers_kill_timeout = grace
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # granian closes the descriptor itself when it stops to accept.
        self._shd = SocketHolder(self._listener.detach(), False, BACKLOG)  # type: ignore[call-arg, assignment]


async def _run(
    app: Starlette, listener: socket.socket, services: Services, log: Log, announce: Callable[[str], None]
) -> None:
    """Serve until a signal. The first lets running requests finish, a second ends them too."""
    settings = services.settings
    for name in ("granian", "_granian"):
        logging.getLogger(name).addHandler(ServerLog(log))
    url = url_of(listener, settings.host)
    server = _Granian(app, listener, settings.grace_seconds)
    loop = asyncio.get_running_loop()
    serving = loop.create_task(server.serve())

    def stop() -> None:
        if server.interrupt_signal:
            serving.cancel()
            return
        log.event("stopping", grace=settings.grace_seconds)
        services.stopping.set()
        server.stop()  # type: ignore[no-untyped-call]

    with _signals(loop, stop):
        loop.set_exception_handler(_loop_failure(log, server))
        log.event("listening", url=url, data=settings.inside())
        announce(f"listening on {url}")
        try:
            await serving
        except (TimeoutError, asyncio.CancelledError):
            log.event("ended requests that were still running")


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Iterator[None]:
    """`stop` is called in the loop at each signal that ends a hub; after the block one more ends the process at once: everybody
    was answered by then, and what closing would tidy up the next start does as well.

    Not by `add_signal_handler`: when the loop closes it gives signals their default back, and one that came then made a hub
    that had finished its work look killed.
    """
    reader, writer = socket.socketpair()

    def came() -> None:
        for number in reader.recv(64):
            if number in ENDING:
                stop()

    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        loop.add_reader(reader, came)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in ENDING:
            signal.signal(number, lambda *_: None)
        try:
            yield
        finally:
            for number in ENDING:
                signal.signal(number, lambda *_: os._exit(0))
            signal.set_wakeup_fd(-1)
            loop.remove_reader(reader)


def _loop_failure(log: Log, server: _Granian) -> Callable[[asyncio.AbstractEventLoop, dict[str, object]], None]:
    def report(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, asyncio.InvalidStateError) and server.interrupt_signal:
            return  # granian tells its worker, which the end of the grace period cancelled, that it is done
        log.failure(str(context.get("message")), error if isinstance(error, BaseException) else LocalError("unknown"))

    return report
