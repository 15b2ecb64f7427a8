"""`cwt transfer-agent`: a custom transfer agent of git-lfs (docs/custom-transfers.md there), so that stock git-lfs moves deltas.

git-lfs negotiates the adapter `cwt-blocks` with the server, since it is configured under that name, and hands each object to the
agent; the agent asks the server for itself, by the same credentials, and moves the object as `git lfs` of ours does.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.base.files import temp_path
from hundredweight.base.ids import InvalidId, Oid
from hundredweight.base.progress import NullMeter
from hundredweight.client.nearby import NearbyObjects
from hundredweight.protocol.batch import DOWNLOAD, UPLOAD
from hundredweight.protocol.blocks import TRANSFER
from hundredweight.transfer.queue import Item, TransferQueue, read_options
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hundredweight.client.workspace import Workspace

    Send = Callable[[dict[str, object]], None]

FAILED = 2
"""The code of an error in an answer; git-lfs shows only the text."""


class AgentProtocolError(CwtError):
    """git-lfs said something that is not its protocol for transfer agents."""

    hint = f"'cwt init --agent' configures git-lfs to run the agent; by hand: lfs.customtransfer.{TRANSFER}.path"


def serve(workspace: Workspace, lines: Iterable[str], send: Send) -> None:
    """Answer git-lfs's messages, one JSON object a line, until it says terminate or nothing more.

    `send` takes one answer. Raises `AgentProtocolError`.
    """
    agent: _Agent | None = None
    for line in lines:
        event = _parse(line)
        kind = event.get("event")
        if kind == "init":
            try:
                agent = _Agent(workspace, str(event.get("operation", "")), str(event.get("remote", "")), send)
            except CwtError as error:
                send({"error": {"code": FAILED, "message": error.message}})
                return
            send({})
        elif kind == "terminate":
            return
        elif agent is not None and kind in (UPLOAD, DOWNLOAD):
            agent.move(event)
        else:
            raise AgentProtocolError(f"unexpected message '{str(kind)[:40]}'")


class _Agent:
    def __init__(self, workspace: Workspace, operation: str, remote: str, send: Send) -> None:
        if operation not in (UPLOAD, DOWNLOAD):
            raise AgentProtocolError(f"unknown operation '{operation[:40]}'")
        self._store = workspace.store
        self._operation = operation
        self._send = send
        self._options = replace(read_options(workspace.config), nearby=NearbyObjects(workspace))
        git_dir = workspace.repository.git_dir
        self._server = open_server(
            workspace.config, workspace.git, workspace.variables, remote, operation, git_dir=git_dir
        )

    def move(self, event: dict[str, object]) -> None:
        """One object; its answer says whether it moved."""
        oid_text, size = event.get("oid"), event.get("size")
        try:
            if not isinstance(oid_text, str) or not isinstance(size, int):
                raise AgentProtocolError("a transfer without oid or size")
            oid = Oid.parse(oid_text)
            answer = self._move(oid, size)
        except InvalidId as error:
            answer = {"error": {"code": FAILED, "message": error.message}}
        except CwtError as error:
            answer = {"error": {"code": FAILED, "message": str(error)}}
        self._send({"event": "complete", "oid": oid_text, **answer})

    def _move(self, oid: Oid, size: int) -> dict[str, object]:
        meter = _Progress(oid, self._send)
        with TransferQueue(self._server, self._operation, self._store, self._options, meter) as queue:
            queue.add(Item(oid, size, ""))
            failures = queue.wait()
        if self._options.nearby is not None:
            self._options.nearby.settle()
        if failures:
            raise failures[0].error
        if self._operation == UPLOAD:
            return {}
        # git-lfs wants a file of its own, which it moves to where the object belongs.
        path = temp_path(self._store.temp, oid)
        os.makedirs(self._store.temp, exist_ok=True)
        os.replace(self._store.path(oid), path)
        return {"path": path}


class _Progress(NullMeter):
    """How far one object is, as git-lfs wants to hear it."""

    def __init__(self, oid: Oid, send: Send) -> None:
        self._oid = oid
        self._send = send
        self._moved = 0

    def advance(self, name: str, delta: int) -> None:
        del name
        self._moved += delta
        self._send({"event": "progress", "oid": self._oid, "bytesSoFar": self._moved, "bytesSinceLast": delta})


def _parse(line: str) -> dict[str, object]:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise AgentProtocolError("a line that is not JSON") from error
    if not isinstance(event, dict):
        raise AgentProtocolError("a message that is no object")
    return event
