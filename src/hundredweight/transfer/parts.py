"""The adapter `cwt-parts`: a large object goes to the server in parts, over several connections, and goes on where it stopped.

One connection is bound by the back and forth of one stream; several use all of the server's processors. Each part that arrived
stays, so a cut costs one part, and the next run of the command, after whatever ended this one, sends only what is missing. Small
objects, and those for which the server wants no parts now, go whole, as in `basic`.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hundredweight.base.errors import RemoteError
from hundredweight.base.trace import trace
from hundredweight.protocol.parts import PARTS
from hundredweight.transfer.actions import Actions
from hundredweight.transfer.http import HttpError
from hundredweight.transfer.pools import FileBody
from hundredweight.transfer.upload_session import PartTaken, UploadLost, UploadSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from hundredweight.protocol.parts import PartsState
    from hundredweight.transfer.actions import Job
    from hundredweight.transfer.basic import BasicAdapter
    from hundredweight.transfer.server import LfsServer

CONNECTIONS = 3
"""Connections of all uploads together that helpers may bring about; more than the processors on both sides gain nothing."""
TAKEN_PAUSE = 0.25
TAKEN_PATIENCE = 30.0
_NO_PARTS = (404, 405, 429, 501)
"""Answers to the opening of an upload after which the whole object is sent instead."""


class PartsAdapter:
    """Thread-safe: it keeps the number of connections, nothing else, between jobs."""

    def __init__(self, server: LfsServer, basic: BasicAdapter, connections: int) -> None:
        self._server = server
        self._basic = basic
        self._actions = Actions(server)
        self._free = Connections(min(connections, CONNECTIONS))

    def download(self, job: Job) -> None:
        """See `Adapter`."""
        self._basic.download(job)

    def upload(self, job: Job) -> None:
        """See `Adapter`."""
        if PARTS not in job.answer.actions:
            self._basic.upload(job)
            return
        session = UploadSession(self._actions, job)
        try:
            state = session.open()
        except HttpError as error:
            if error.status not in _NO_PARTS:
                raise
            trace(f"xfer: no upload of {job.oid} in parts ({error}); sending it whole")
            self._basic.upload(job)
            return
        self.send(job, session, state, lambda: self._basic.open(job))
        self._basic.verify(job)

    def send(self, job: Job, session: UploadSession, state: PartsState, open_file: Callable[[], BinaryIO]) -> None:
        """All parts of what `open_file` opens (once for each connection), then the end of the upload. Raises `UploadLost`,
        `RemoteError`, and what `open_file` raises."""
        with self._free.one():
            self._send(job, session, state, open_file)

    def _send(self, job: Job, session: UploadSession, state: PartsState, open_file: Callable[[], BinaryIO]) -> None:
        if state.held:
            trace(f"xfer: resuming upload of {job.oid}: {state.held_bytes} of {state.size} bytes are held")
        sending = _Sending(job, session, state, open_file, self._free)
        self._send_all(sending)
        try:
            while not session.commit():
                trace(f"xfer: the server still checks {job.oid}")
        except HttpError as error:
            if error.status != 422 or not state.held:
                raise
            # What an earlier run had sent was damaged; the server has dropped it, and the next try sends all.
            raise UploadLost(error.message, error.hint) from error

    def _send_all(self, sending: _Sending) -> None:
        """Send all parts; where another client sends the same object, each part by one of the two."""
        clock = self._server.clock
        patience = clock.monotonic() + TAKEN_PATIENCE
        while taken := sending.run():
            if clock.monotonic() > patience:
                raise taken
            clock.sleep(TAKEN_PAUSE)
            if sending.renew():
                patience = clock.monotonic() + TAKEN_PATIENCE


class Connections:
    """How many connections are in use, so that helpers join only while there are few."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """An upload's own connection: it is there anyhow."""
        with self._lock:
            self._used += 1
        try:
            yield
        finally:
            self.release()

    def take(self) -> bool:
        """One for a helper, if there are few; `release` it."""
        with self._lock:
            if self._used >= self._limit:
                return False
            self._used += 1
            return True

    @property
    def crowded(self) -> bool:
        """Whether there are too many since another upload began: then helpers leave."""
        return self._used > self._limit

    def release(self) -> None:
        with self._lock:
            self._used -= 1


class _Sending:
    """The parts of one object, sent by the thread that calls `run` and by helpers that join it while connections are free."""

    def __init__(
        self,
        job: Job,
        session: UploadSession,
        state: PartsState,
        open_file: Callable[[], BinaryIO],
        free: Connections,
    ) -> None:
        self._job = job
        self._session = session
        self._state = state
        self._open = open_file
        self._free = free
        self._lock = threading.Lock()
        self._waiting = deque(state.missing())
        self._sent = 0
        self._passed = self._told = 0
        self._taken: dict[int, PartTaken] = {}
        self._error: BaseException | None = None
        self._advance(state.held_bytes)

    def run(self) -> PartTaken | None:
        """Send what waits. None when every part is with the server; else why one is not yet: `renew`, and run again. Raises the
        first error of any thread, when all of them have stopped."""
        helpers: list[threading.Thread] = []
        try:
            with self._open() as file:
                while (number := self._next()) is not None:
                    if self._waiting and self._free.take():
                        helpers.append(threading.Thread(target=self._help, name="part", daemon=True))
                        helpers[-1].start()
                    self._put(number, file)
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            for helper in helpers:
                helper.join()
        if self._error is not None:
            raise self._error
        return next(iter(self._taken.values()), None)

    def renew(self) -> bool:
        """Ask again what is held, and want the rest; whether it has become more. Raises `UploadLost`."""
        missing = self._session.open().missing()
        if not self._taken.keys() >= set(missing):
            raise UploadLost(f"the server does not hold any more what it had of object {self._job.oid}")
        came = [number for number in self._taken if number not in missing]
        for number in came:
            self._advance(self._size(number))
        self._taken.clear()
        self._waiting.extend(missing)
        sent, self._sent = self._sent, 0
        return bool(came or sent)

    def _help(self) -> None:
        try:
            with self._open() as file:
                while not self._free.crowded and (number := self._next()) is not None:
                    self._put(number, file)
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            self._fail(error)
        finally:
            self._free.release()

    def _next(self) -> int | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting and self._error is None else None

    def _fail(self, error: BaseException) -> None:
        """The others end with the part that they are at: it stays with the server."""
        with self._lock:
            self._error = self._error or error

    def _put(self, number: int, file: BinaryIO) -> None:
        start, _ = self._state.span(number)
        body = FileBody(file, self._size(number), start=start, moved=self._advance, started=self._job.begun)
        try:
            self._session.put(number, body)
        except PartTaken as taken:
            body.rewind()
            with self._lock:
                self._taken[number] = taken
        except RemoteError:
            body.rewind()
            raise
        else:
            with self._lock:
                self._sent += 1

    def _size(self, number: int) -> int:
        start, end = self._state.span(number)
        return end - start

    def _advance(self, count: int) -> None:
        """In bytes of the object: a stream that is shorter counts for all of it."""
        with self._lock:
            self._passed += count
            self._job.advance(self._passed * self._job.size // self._state.size - self._told)
            self._told = self._passed * self._job.size // self._state.size
