"""The talk between the pre-receive hook and the hub that started git: JSON lines over a socket pair.

The hub hands one end of the pair to `git receive-pack`, which hands it on to its hook. So no address, port or secret is needed,
nobody else can speak on it, and the database is asked by the process that has it open. A question is an object with `ask`;
the answer has the same order. A broken channel refuses the push.
"""

from __future__ import annotations

import json
import socket

from hundredweight.base.errors import LocalError
from hundredweight.hub.receive.push import ForeignLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hundredweight.hub.receive.push import Authority

MAX_LINE = 64 << 20
DESCRIPTOR = "CWT_HUB_CHANNEL"
MAX_BLOB = "CWT_HUB_MAX_BLOB"


class ChannelBroken(LocalError):
    """The hub does not answer its hook."""

    hint = "push again; when it fails again, ask the hub's owner to look into its log"


class ChannelAuthority:
    """The hub's knowledge, asked from within the hook. Not thread-safe."""

    def __init__(self, descriptor: int) -> None:
        try:
            self._socket = socket.socket(fileno=descriptor)
        except OSError as error:
            raise ChannelBroken("the hub cannot be asked about this push") from error
        self._reader = self._socket.makefile("rb")

    def possessed(self, oids: Iterable[str]) -> Mapping[str, int]:
        sizes: dict[str, int] = self._ask({"ask": "possessed", "oids": list(oids)})
        return sizes

    def foreign_locks(self) -> list[ForeignLock]:
        return [ForeignLock(*fields) for fields in self._ask({"ask": "foreign_locks"})]

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def _ask(self, question: dict[str, object]) -> dict[str, int]:
        try:
            self._socket.sendall(json.dumps(question).encode() + b"\n")
            line = self._reader.readline(MAX_LINE)
        except OSError as error:
            raise ChannelBroken("the hub cannot be asked about this push") from error
        if not line.endswith(b"\n"):
            raise ChannelBroken("the hub did not answer its pre-receive hook")
        answer: dict[str, int] = json.loads(line)
        return answer


def answer(line: bytes, authority: Authority) -> bytes:
    """The hub's side of one question."""
    question = json.loads(line)
    found: object
    if question["ask"] == "possessed":
        found = dict(authority.possessed(question["oids"]))
    else:
        found = [(lock.path, lock.owner, lock.since, lock.id) for lock in authority.foreign_locks()]
    return json.dumps(found).encode() + b"\n"
