"""Bytes of a file at a URL, read where they are wanted by HTTP Range; what was not asked for is not downloaded.

Reads that go on where the last one ended fetch more and more ahead; others fetch little. Every answer is checked: the range it
says it is, the size and the ETag that the first one had.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hundredweight.base.errors import RemoteError
from hundredweight.protocol.batch import DOWNLOAD, Wanted
from hundredweight.transfer.actions import ActionExpired, Actions, Job
from hundredweight.transfer.http import HttpError, Request
from hundredweight.transfer.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hundredweight.base.clock import Clock
    from hundredweight.base.ids import Oid
    from hundredweight.transfer.http import Response
    from hundredweight.transfer.server import LfsServer
    from hundredweight.transfer.session import Session

    Ask = Callable[[Mapping[str, str]], Response]
    """Sends the request for the file with these headers; gives an answer below 300."""

SMALLEST, LARGEST = 64 << 10, 4 << 20
MAX_WHOLE = 1 << 20
"""A file of up to so many bytes is taken whole from a server that ignores Range."""
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


class RangesRefused(RemoteError):
    """The server sends whole files only, or its ranges are wrong."""

    hint = "download the file and name it where it is"


class Changed(RemoteError):
    """The file at the URL became another one while it was read."""

    hint = "run the command again"


class ObjectNotServed(RemoteError):
    """The LFS server has not the object, or does not give it."""

    hint = "run 'git lfs push --all' in a clone that has it"

    def __init__(self, oid: Oid, reason: str) -> None:
        super().__init__(f"the server does not give object {oid[:12]}: {reason}")
        self.oid = oid


class RangedFile:
    """A file at a URL with ranged reads; a `formats.source.Source`. Not thread-safe. Raises `RemoteError`s."""

    def __init__(self, name: str, ask: Ask, clock: Clock, size: int = -1) -> None:
        """`size` where it is known; else the first answer tells it."""
        self.name = name
        self.size = size
        self.transferred = 0
        """Bytes of bodies that came."""
        self._ask = ask
        self._clock = clock
        self._retries = RetryPolicy()
        self._etag: str | None = None
        self._start = 0
        self._data = b""
        self._ahead = SMALLEST
        if size < 0:
            self._fill(0, SMALLEST)

    def read(self, offset: int, length: int) -> bytes:
        parts = []
        while length:
            piece = self._buffered(offset, length)
            parts.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(parts)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the buffer."""
        while buffer:
            piece = self._buffered(offset, len(buffer))
            buffer[: len(piece)] = piece
            buffer = buffer[len(piece) :]
            offset += len(piece)

    def close(self) -> None:
        """Let the buffer go. The connections are the session's."""
        self._data = b""

    def _buffered(self, offset: int, length: int) -> bytes:
        """One to `length` bytes from `offset`, from what is here if it is, else from the server."""
        skip = offset - self._start
        if not 0 <= skip < len(self._data):
            follows = bool(self._data) and skip == len(self._data)
            self._ahead = min(2 * self._ahead, LARGEST) if follows else SMALLEST
            self._fill(offset, min(max(length, self._ahead), LARGEST))
            skip = offset - self._start
        return self._data[skip : skip + length]

    def _fill(self, offset: int, length: int) -> None:
        """Fetch a range into the buffer; tries again what may succeed later."""
        failures = 0
        while True:
            try:
                self._start, self._data = self._fetch(offset, length)
                return
            except RemoteError as error:
                failures += 1
                moment = self._retries.next_try(error, failures, self._clock.now())
                if moment is None:
                    raise
                self._clock.sleep(max(0.0, moment - self._clock.now()))

    def _fetch(self, offset: int, length: int) -> tuple[int, bytes]:
        """Where what came begins, and what came: the range, or from a server that knows no ranges the whole of a small file."""
        end = offset + length if self.size < 0 else min(offset + length, self.size)
        try:
            answer = self._ask({"Range": f"bytes={offset}-{end - 1}"})
        except HttpError as error:
            if error.status == 416 and self.size < 0:
                self.size = 0
                return 0, b""
            raise
        with answer:
            start, length = self._span(answer, offset, end)
            return start, self._body(answer, length)

    def _span(self, answer: Response, offset: int, end: int) -> tuple[int, int]:
        """Where the answer's bytes begin and how many they must be, after a look at what it says it is."""
        start = 0
        if answer.status == 206:
            match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            start, last, size = (int(group) for group in match.groups()) if match else (-1, -1, -1)
            if start != offset or not start <= last < min(end, size):
                raise RangesRefused(f"the server sent another range of '{self.name}' than it was asked for")
            length = last + 1 - start
        else:
            size = length = -1 if answer.length is None else answer.length
            if answer.status != 200 or not 0 <= length <= MAX_WHOLE or (length and offset >= length):
                raise RangesRefused(f"the server sends '{self.name}' as a whole only")
        etag = answer.headers.get("ETag", "")
        if self.size not in (-1, size):
            raise Changed(f"'{self.name}' has {size} bytes on the server, where {self.size} were expected")
        if self._etag not in (None, etag):
            raise Changed(f"'{self.name}' changed while it was read")
        self.size, self._etag = size, etag
        return start, length

    def _body(self, answer: Response, length: int) -> bytes:
        parts = []
        while length:
            data = answer.read(min(length, 1 << 20))
            if not data:
                raise RemoteError(f"the server ended '{self.name}' too early", temporary=True)
            parts.append(data)
            length -= len(data)
            self.transferred += len(data)
        return b"".join(parts)


def open_url(session: Session, url: str, name: str) -> RangedFile:
    """The file at `url`, redirects followed; credentials only where the server asks for them. Raises `RemoteError`s."""
    access = url.partition("?")[0]
    return RangedFile(name, lambda headers: session.send(Request("GET", url, headers), access), session.clock)


def open_object(server: LfsServer, oid: Oid, size: int, name: str) -> RangedFile:
    """An object of an LFS server, by its download action, asked for anew when that expires.

    Raises `ObjectNotServed`, `BatchFailed` and other `RemoteError`s.
    """
    actions = Actions(server)
    job = _job(server, oid, size, name)

    def ask(headers: Mapping[str, str]) -> Response:
        nonlocal job
        try:
            action = actions.need(job, DOWNLOAD)
        except ActionExpired:
            job = _job(server, oid, size, name)
            action = actions.need(job, DOWNLOAD)
        try:
            return actions.send(job, action, actions.request("GET", action, headers=headers))
        except HttpError as error:
            if error.status == 403:
                # Storage says so of a signed URL that ended before its time.
                job = _job(server, oid, size, name)
            raise

    return RangedFile(name, ask, server.clock, size)


def _job(server: LfsServer, oid: Oid, size: int, name: str) -> Job:
    answered = server.clock.now()
    answer = next((one for one in server.batch(DOWNLOAD, [Wanted(oid, size)]).objects if one.oid == oid), None)
    if answer is None or answer.size != size:
        raise ObjectNotServed(oid, "its answer is about another one")
    if answer.error is not None:
        raise ObjectNotServed(oid, answer.error.message)
    return Job(oid, size, name, answer, answered, lambda _: None, lambda: None)
