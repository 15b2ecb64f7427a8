"""What every adapter over HTTP works with: one object to move, and requests to the actions that the server gave for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from hundredweight.base.errors import RemoteError
from hundredweight.transfer.http import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hundredweight.base.ids import Oid
    from hundredweight.protocol.batch import Action, BatchObject
    from hundredweight.transfer.http import Response
    from hundredweight.transfer.server import LfsServer

EXPIRY_MARGIN = 5.0
PUSH_ALL = "the server does not have it: whoever has must run 'git lfs push --all REMOTE' in their clone"


class ActionExpired(RemoteError):
    """An action's time ran out before it was used; a new batch call gives a new one."""

    def __init__(self, name: str, at: float) -> None:
        moment = datetime.fromtimestamp(at).astimezone().strftime("%d %b %y %H:%M %Z")
        super().__init__(f'action "{name}" expires at {moment}', temporary=True)


@dataclass(slots=True)
class Job:
    """One object to move, with the server's answer for it. `name` is for people; `report` gets each count of bytes that moved,
    negative when they do not count any more; `begun` is called as soon as the server lets us in."""

    oid: Oid
    size: int
    name: str
    answer: BatchObject
    answered_at: float
    report: Callable[[int], None]
    begun: Callable[[], None]
    moved: int = 0

    def advance(self, count: int) -> None:
        self.moved += count
        self.report(count)

    def take_back(self) -> None:
        """Nothing of this try counts."""
        self.advance(-self.moved)

    def action(self, name: str, now: float) -> Action | None:
        """The action of that name. Raises `ActionExpired`, some seconds early."""
        found = self.answer.actions.get(name)
        expiry = found.expiry(self.answered_at) if found is not None else None
        if expiry is not None and expiry < now + EXPIRY_MARGIN:
            raise ActionExpired(name, expiry)
        return found


class NotOnServer(RemoteError):
    """The server knows of the object and gives no way to it."""

    hint = PUSH_ALL

    def __init__(self, oid: str) -> None:
        super().__init__(f"Object {oid} not found on the server.")
        self.oid = oid


class Adapter(Protocol):
    """Moves single objects between a store and one server. Thread-safe. An error leaves nothing half done under an object's name,
    and what may serve the next try."""

    def download(self, job: Job) -> None:
        """Bring the object into the store. Raises `CwtError`; `RemoteError.temporary` says whether to try again."""

    def upload(self, job: Job) -> None:
        """Send the object; returns when the server has it. Raises as `download`."""


class Actions:
    """Requests to actions. Thread-safe."""

    def __init__(self, server: LfsServer) -> None:
        self._server = server

    def need(self, job: Job, name: str) -> Action:
        """The action of that name. Raises `ActionExpired`, and `RemoteError` when the server gave none."""
        action = job.action(name, self._server.clock.now())
        if action is None:
            raise NotOnServer(job.oid)
        return action

    def request(self, method: str, action: Action, url: str = "", headers: Mapping[str, str] | None = None) -> Request:
        """A request to the action's URL, or to `url` in its place; the action's own headers win."""
        session = self._server.session
        operation = self._server.operation
        url = url or action.href
        if session.config.bool("lfs.transfer.enablehrefrewrite", False):
            url = session.endpoints.from_url(operation, url).url
        return Request(method, url, {**(headers or {}), **action.header}, operation=operation)

    def send(self, job: Job, action: Action, request: Request) -> Response:
        """The access mode of the storage is kept for the part of its URLs that all objects share. Raises as `Session.send`."""
        access = None if job.answer.authenticated else action.href.partition(job.oid)[0]
        return self._server.session.send(request, access)
