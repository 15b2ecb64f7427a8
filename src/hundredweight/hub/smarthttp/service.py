"""One git child per request: fed from the request, drained into the response, ended when the client goes.

Back-pressure runs through the pipes: git waits when the client reads slowly, the client when git does. At most
`GitProcesses.limit` children run at once, the rest queue; a child whose pipes stand still for `idle` seconds is ended.
A child gets SIGTERM first, on which git removes its lock files and quarantine folders, and SIGKILL after `GRACE`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.base.errors import LocalError
from hundredweight.git.run import service_environment
from hundredweight.hub.errors import Busy
from hundredweight.hub.smarthttp.body import STEP

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

GRACE = 10.0
STDERR_KEPT = 8192
log = logging.getLogger("hundredweight.hub.git")

SETTINGS = (
    # What a client sends is checked as it comes in; three old and harmless kinds of damage are let through, as the
    # large forges do, or else long-lived repositories could not be pushed at all.
    ("receive.fsckObjects", "true"),
    ("receive.fsck.zeroPaddedFilemode", "ignore"),
    ("receive.fsck.badTimezone", "ignore"),
    ("receive.fsck.missingSpaceBeforeDate", "ignore"),
    ("receive.advertiseAtomic", "true"),
    ("uploadpack.allowFilter", "true"),
    # Lazy fetches of partial clones name single objects. Protocol v2 allows this anyway.
    ("uploadpack.allowAnySHA1InWant", "true"),
    # The answer "ok" must survive a power cut.
    ("core.fsync", "all"),
    ("core.fsyncMethod", "batch"),
)


class GitFailed(LocalError):
    """git ended before it answered anything. `stderr` is for the log, not for the client; `status` is the answer's."""

    def __init__(self, service: str, code: int, stderr: str) -> None:
        super().__init__(f"git {service} failed with exit code {code}")
        self.status = 400 if "protocol error" in stderr else 500
        self.code = code
        self.stderr = stderr


@dataclass(frozen=True, slots=True)
class GitCall:
    """One run of `git SERVICE --stateless-rpc` in a bare repository's `folder`.

    `protocol` is the value of the Git-Protocol header; `variables` reach git and its hooks; `pass_fds` are descriptors that
    the child inherits; `request_id` stands in the log.
    """

    service: str
    folder: str
    advertise: bool = False
    protocol: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    request_id: str = ""

    def argv(self) -> list[str]:
        advertise = ["--http-backend-info-refs"] if self.advertise else []
        return ["git", self.service, "--stateless-rpc", *advertise, self.folder]

    def environment(self) -> dict[str, str]:
        protocol = {"GIT_PROTOCOL": self.protocol} if is_protocol(self.protocol) else {}
        return service_environment((*SETTINGS, *self.settings), {**protocol, **self.variables})


def is_protocol(header: str) -> bool:
    """Whether a Git-Protocol header may be handed to git: short `key=value` words joined by colons."""
    return 0 < len(header) <= 200 and all(char.isascii() and (char.isalnum() or char in "=:.-_") for char in header)


def wants_version_2(header: str) -> bool:
    return "version=2" in header.split(":")


class GitProcesses:
    """The git children of one hub process: how many may run, how many may wait, how long one may stand still."""

    def __init__(self, limit: int = 16, queue: int = 512, idle: float = 300.0) -> None:
        self.limit = limit
        self.queue = queue
        self.idle = idle
        self.running = 0
        self.waiting = 0
        self._slots = asyncio.Semaphore(limit)

    async def run(
        self, call: GitCall, body: AsyncIterator[bytes] | None, send: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Feed `body` to git and hand what it says to `send`, piece by piece. Ends when git has ended.

        Raises `GitFailed` when git failed before its first byte; later failures are logged only, since git tells the client
        in its own protocol. Raises `Busy`, and what `body` and `send` raise, after ending the child; so does cancelling.
        """
        async with self._slot():
            child = await asyncio.create_subprocess_exec(
                *call.argv(),
                stdin=asyncio.subprocess.DEVNULL if body is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=call.environment(),
                pass_fds=call.pass_fds,
                limit=STEP,
                # Its own group, so that ending it ends what it started: index-pack, pack-objects, hooks.
                start_new_session=True,
            )
            try:
                await _Exchange(call, child, body, send, self.idle).run()
            finally:
                await asyncio.shield(_end(child))

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self.waiting >= self.queue:
            raise Busy(f"{self.waiting} requests wait for a git process")
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._slots.release()


class _Exchange:
    """The three pipes of one child, moved at the same time, and a watch over them."""

    def __init__(
        self,
        call: GitCall,
        child: Process,
        body: AsyncIterator[bytes] | None,
        send: Callable[[bytes], Awaitable[None]],
        idle: float,
    ) -> None:
        self.call = call
        self.child = child
        self.body = body
        self.send = send
        self.idle = idle
        self.sent = 0
        self.stderr = b""
        self.moved = asyncio.get_running_loop().time()

    async def run(self) -> None:
        feed = asyncio.create_task(self._feed())
        others = [asyncio.create_task(step) for step in (self._drain(), self._listen(), self._watch())]
        tasks = [feed, *others]
        try:
            drain, listen, watch = others
            waiting = {feed, drain, watch}
            while feed in waiting or drain in waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            await listen
            code = await self.child.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._judge(code)

    def _judge(self, code: int) -> None:
        said = self.stderr.decode("utf-8", "replace").strip()
        if code or said:
            level = logging.WARNING if code else logging.INFO
            log.log(level, "git %s: exit code %d, request %s: %s", self.call.service, code, self.call.request_id, said)
        if code and not self.sent:
            raise GitFailed(self.call.service, code, said)

    async def _feed(self) -> None:
        """The request's body into git. When git stops listening, the rest is read and dropped: a client that is cut off
        while it sends never gets to read the answer."""
        if self.body is None:
            return
        stdin = self.child.stdin
        assert stdin is not None
        listening = True
        async for chunk in self.body:
            self._moves()
            if listening:
                try:
                    stdin.write(chunk)
                    await stdin.drain()
                except (BrokenPipeError, ConnectionResetError):
                    listening = False
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stdin.close()
            await stdin.wait_closed()

    async def _drain(self) -> None:
        stdout = self.child.stdout
        assert stdout is not None
        while chunk := await stdout.read(STEP):
            self._moves()
            self.sent += len(chunk)
            await self.send(chunk)
            self._moves()

    async def _listen(self) -> None:
        stderr = self.child.stderr
        assert stderr is not None
        while chunk := await stderr.read(STDERR_KEPT):
            self.stderr = (self.stderr + chunk)[-STDERR_KEPT:]

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self.moved + self.idle - loop.time()) > 0:
            await asyncio.sleep(left)
        service, request_id = self.call.service, self.call.request_id
        log.warning("git %s stood still for %.0f s and was ended, request %s", service, self.idle, request_id)
        raise TimeoutError(f"git {self.call.service} stood still")

    def _moves(self) -> None:
        self.moved = asyncio.get_running_loop().time()


async def _end(child: Process) -> None:
    """Make sure that the child and its group are gone, and its pipes closed."""
    if child.returncode is None:
        _signal(child, signal.SIGTERM)
    # The transport closes only when both pipes were read to their ends.
    leftovers = asyncio.gather(*(_discard(pipe) for pipe in (child.stdout, child.stderr)), child.wait())
    try:
        await asyncio.wait_for(leftovers, GRACE)
    except TimeoutError:
        _signal(child, signal.SIGKILL)
        await child.wait()


async def _discard(pipe: asyncio.StreamReader | None) -> None:
    while pipe is not None and await pipe.read(STEP):
        pass


def _signal(child: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
