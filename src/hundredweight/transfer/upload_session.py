"""The client's side of one upload in parts: what the server holds, one part, the end. No threads, no choice of parts.

Spec: docs/formats/parts.md. The upload belongs to who signed in, repository and object: opening it again, by whatever process,
goes on with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.base.errors import RemoteError
from hundredweight.protocol.message import MEDIA_TYPE
from hundredweight.protocol.parts import PARTS, PartsState, commit_url, part_url
from hundredweight.transfer.http import HttpError

if TYPE_CHECKING:
    from hundredweight.protocol.batch import Action
    from hundredweight.transfer.actions import Actions, Job
    from hundredweight.transfer.pools import FileBody

_GONE = (404, 409, 410)
_STREAM = "application/octet-stream"


class UploadLost(RemoteError):
    """The server does not know the upload any more, or misses parts that it held: it has to be opened again."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint=hint, temporary=True)


class PartTaken(RemoteError):
    """Somebody else is sending this part."""

    def __init__(self, error: HttpError) -> None:
        super().__init__(error.message, hint=error.hint, temporary=True)


class UploadSession:
    """The upload of `job` in parts. Thread-safe. Every call raises `ActionExpired` once the server's leave has run out, and
    `HttpError`, `ConnectionFailed` as any request."""

    def __init__(
        self, actions: Actions, job: Job, *, name: str = PARTS, below: str = "", size: int = -1, opening: bytes = b""
    ) -> None:
        """Of the object itself; else of a stream of `size` bytes whose session lies `below` the URL of the action
        `name`, and whose
        opening says `opening`."""
        self._actions = actions
        self._job = job
        self._name = name
        self._below = below
        self._size = job.size if size < 0 else size
        self._opening = opening

    def open(self) -> PartsState:
        """Begin it, or learn what is held of it. Raises `BadMessage` when the answer is none for this object."""
        action, href = self._target()
        request = self._actions.request("POST", action, href, {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE})
        request.body = self._opening
        state = PartsState.parse(self._actions.send(self._job, action, request).json_content())
        if state.size != self._size:
            raise RemoteError(
                f"the server expects {state.size} bytes instead of {self._size} for object {self._job.oid}"
            )
        return state

    def put(self, number: int, body: FileBody) -> None:
        """Send one part. Raises `PartTaken`, `UploadLost`."""
        action, href = self._target()
        request = self._actions.request("PUT", action, part_url(href, number), {"Content-Type": _STREAM})
        request.body = body
        try:
            self._actions.send(self._job, action, request).content()
        except HttpError as error:
            if error.status == 409:
                raise PartTaken(error) from error
            raise _lost(error) from error

    def commit(self) -> bool:
        """End it: True when the server has the object, verified; False when it still checks: call again. Raises `UploadLost`."""
        action, href = self._target()
        request = self._actions.request("POST", action, commit_url(href), {"Accept": MEDIA_TYPE})
        request.body = b""
        try:
            response = self._actions.send(self._job, action, request)
        except HttpError as error:
            raise _lost(error) from error
        response.content()
        return response.status != 202

    def _target(self) -> tuple[Action, str]:
        action = self._actions.need(self._job, self._name)
        path, mark, query = action.href.partition("?")
        return action, f"{path}/{self._below}{mark}{query}" if self._below else action.href


def _lost(error: HttpError) -> RemoteError:
    return UploadLost(error.message, error.hint) if error.status in _GONE else error
