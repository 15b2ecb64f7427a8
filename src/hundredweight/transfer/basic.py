"""The `basic` adapter: one object by one GET or one PUT (docs/api/basic-transfers.md), and the verify call after it.

Downloads continue a part by Range when the server really does so; a server that ignores or misunderstands Range makes the
download start over, never wrong. Uploads go from the file to the socket.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, LocalError, RemoteError
from hundredweight.base.trace import trace
from hundredweight.git import urlmatch
from hundredweight.protocol.batch import DOWNLOAD, UPLOAD, VERIFY, VerifyRequest
from hundredweight.protocol.message import MEDIA_TYPE
from hundredweight.transfer import content_type
from hundredweight.transfer.actions import Actions
from hundredweight.transfer.http import ConnectionFailed, HttpError
from hundredweight.transfer.part import PartFile, WrongContent
from hundredweight.transfer.pools import FileBody

if TYPE_CHECKING:
    from typing import BinaryIO

    from hundredweight.store.loose import LooseStore
    from hundredweight.transfer.actions import Job
    from hundredweight.transfer.http import Response
    from hundredweight.transfer.server import LfsServer

READ_SIZE = 512 << 10
MIN_VERIFIES = 3


class WrongSize(RemoteError):
    """The server sends another number of bytes than the object has."""

    hint = WrongContent.hint

    def __init__(self, oid: str, expected: int, got: int) -> None:
        super().__init__(f"expected {expected} bytes for object {oid}, the server sends {got}")
        self.expected = expected
        self.got = got


class ObjectMissing(CwtError):
    """The object to upload is not here."""

    hint = "run 'git lfs fetch --all' from a remote that has it, or 'git lfs push --all' where it is"

    def __init__(self, name: str, oid: str) -> None:
        super().__init__(f"missing object: {name} ({oid})")
        self.oid = oid


class ObjectCorrupt(CwtError):
    """The object to upload has not its size."""

    hint = "run 'git lfs fsck', then 'git lfs fetch' to get it again"

    def __init__(self, name: str, oid: str) -> None:
        super().__init__(f"corrupt object: {name} ({oid})")
        self.oid = oid


class VerifyFailed(RemoteError):
    """The server took the bytes and then did not confirm that it has the object."""


class BasicAdapter:
    """Moves single objects between `store` and one server. Thread-safe: it keeps no state between jobs."""

    def __init__(self, server: LfsServer, store: LooseStore) -> None:
        self._server = server
        self._store = store
        self._actions = Actions(server)

    def download(self, job: Job) -> None:
        """Bring the object into the store. Raises `RemoteError`, `WrongContent`, `WriteError`; then the store has it not, and
        what arrived may serve the next try."""
        with PartFile(self._store, job.oid, job.size) as part:
            if self._store.size(job.oid) == job.size:
                job.advance(job.size)
                return
            resumed = part.size
            if part.size < job.size:
                self._fetch(job, part)
            else:
                job.advance(job.size)
            try:
                part.publish()
            except WrongContent as error:
                if not resumed:
                    raise
                trace(f"xfer: what a former try left of {job.oid} was damaged ({error}); re-downloading from start")
                job.take_back()
                self._fetch(job, part)
                part.publish()

    def upload(self, job: Job) -> None:
        """Send the object and have it verified. Raises `RemoteError`, `ObjectMissing`, `ObjectCorrupt`."""
        action = self._actions.need(job, UPLOAD)
        with self.open(job) as file:
            request = self._actions.request("PUT", action)
            chunked = request.headers.get("Transfer-Encoding", "").lower() == "chunked"
            if "Content-Type" not in request.headers:
                request.headers["Content-Type"] = self._sniff(file, request.url)
            body = FileBody(file, job.size, chunked=chunked, moved=job.advance, started=job.begun)
            request.body = body
            try:
                self._actions.send(job, action, request).content()
            except RemoteError:
                body.rewind()
                raise
        self.verify(job)

    def open(self, job: Job) -> BinaryIO:
        """The object to upload, as a file. Raises `ObjectMissing`, `ObjectCorrupt`, `LocalError`."""
        try:
            path = self._store.file(job.oid) if job.size else os.devnull
            file = open(path, "rb", buffering=0)
        except FileNotFoundError as error:
            raise ObjectMissing(job.name, job.oid) from error
        except OSError as error:
            raise LocalError(f"cannot read object '{job.oid}': {error.strerror}") from error
        if job.size != (os.fstat(file.fileno()).st_size if job.size else 0):
            file.close()
            raise ObjectCorrupt(job.name, job.oid)
        return file

    def _fetch(self, job: Job, part: PartFile) -> None:
        """Append to `part` until it has the object's size, or raise."""
        action = self._actions.need(job, DOWNLOAD)
        request = self._actions.request("GET", action)
        if part.size:
            trace(f'xfer: Attempting to resume download of "{job.oid}" from byte {part.size}')
            request.headers["Range"] = f"bytes={part.size}-{job.size - 1}"
        try:
            response = self._actions.send(job, action, request)
        except HttpError as error:
            if error.status != 416 or not part.size:
                raise
            where = f'for "{job.oid}" from byte {part.size}; re-downloading from start'
            trace(f"xfer: server rejected resume download request {where}")
            part.restart()
            self._fetch(job, part)
            return
        with response:
            if part.size and not self._continues(response, job, part) and response.status != 200:
                response.close()
                self._fetch(job, part)
                return
            job.begun()
            self._receive(response, job, part)

    def _continues(self, response: Response, job: Job, part: PartFile) -> bool:
        """Whether the response goes on where `part` ends; else `part` is emptied."""
        reason = _range_fault(response, part.size)
        if not reason:
            trace(f'xfer: server accepted resume download request: "{job.oid}" from byte {part.size}')
            job.advance(part.size)
            return True
        what = f'"{job.oid}" from byte {part.size}: {reason}'
        trace(f"xfer: failed to resume download for {what}. Re-downloading from start")
        part.restart()
        return False

    def _receive(self, response: Response, job: Job, part: PartFile) -> None:
        length = response.length
        announced = None if length is None else part.size + length
        if announced is not None and announced > job.size:
            raise WrongSize(job.oid, job.size, announced)
        part.use_thread()
        while data := response.read(READ_SIZE):
            if part.size + len(data) > job.size:
                raise WrongSize(job.oid, job.size, part.size + len(data))
            part.write(data)
            job.advance(len(data))
        if announced is not None and announced < job.size:
            # What came is kept: a server that gives less than the whole may give the rest when asked for it.
            raise WrongSize(job.oid, job.size, announced)
        if part.size < job.size:
            reason = f"the answer ended after {part.size} of {job.size} bytes"
            raise ConnectionFailed("GET", response.request.url, reason, established=True)

    def verify(self, job: Job) -> None:
        """Have the server confirm that it has the object, if it wants to be asked. Raises `VerifyFailed`, `ActionExpired`."""
        action = job.action(VERIFY, self._server.clock.now())
        if action is None:
            return
        tries = max(MIN_VERIFIES, self._server.session.config.int("lfs.transfer.maxverifies", MIN_VERIFIES))
        for number in range(1, tries + 1):
            trace(f"tq: verify {job.oid[:7]} attempt #{number} (max: {tries})")
            request = self._actions.request("POST", action, "", {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE})
            request.body = VerifyRequest(job.oid, job.size).encode()
            access = None if job.answer.authenticated else action.href
            try:
                self._server.session.send(request, access).content()
            except RemoteError as error:
                trace(f"tq: verify err: {error}")
                failure = error
            else:
                return
        raise VerifyFailed(str(failure), hint=failure.hint) from failure

    def _sniff(self, file: BinaryIO, url: str) -> str:
        if not urlmatch.flag(self._server.session.config, "lfs", url, "contenttype", True):
            return content_type.DEFAULT
        return content_type.sniff(file.read(content_type.SNIFF_LENGTH))


def _range_fault(response: Response, start: int) -> str:
    """Why a response does not continue at byte `start`; empty when it does."""
    if response.status != 206:
        return f"expected status code 206, received {response.status}"
    header = response.headers.get("Content-Range", "")
    if not header:
        return "missing Content-Range header in response"
    unit, _, rest = header.partition(" ")
    first = rest.partition("-")[0]
    if unit != "bytes" or not (first.isascii() and first.isdigit()):
        return f'badly formatted Content-Range header: "{header}"'
    return "" if int(first) == start else f"Content-Range start byte incorrect: {first} expected {start}"
