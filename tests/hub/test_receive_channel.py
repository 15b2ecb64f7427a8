"""The pre-receive hook asks its hub over a socket; when it gets no answer, the push is refused."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from pathlib import Path

import pytest

from hundredweight.hub.receive.channel import ChannelAuthority, ChannelBroken, answer
from hundredweight.hub.receive.push import ForeignLock
from tests.running_hub import RunningHub


class Known:
    """A repository with one object and one lock."""

    def possessed(self, oids: object) -> dict[str, int]:
        assert isinstance(oids, list)
        return {oid: 5 for oid in oids if oid == "known"}

    def foreign_locks(self) -> list[ForeignLock]:
        return [ForeignLock("a/ü", "bob", "2026-01-01T00:00:00Z", "7")]


def test_questions_and_answers() -> None:
    ours, hooks = socket.socketpair()

    def serve() -> None:
        with ours.makefile("rb") as lines:
            for line in lines:
                ours.sendall(answer(line, Known()))

    server = threading.Thread(target=serve)
    server.start()
    authority = ChannelAuthority(hooks.detach())
    assert authority.possessed(["known", "unknown"]) == {"known": 5}
    (lock,) = authority.foreign_locks()
    assert (lock.path, lock.owner, lock.since, lock.id) == ("a/ü", "bob", "2026-01-01T00:00:00Z", "7")
    authority.close()
    server.join()
    ours.close()


@pytest.mark.parametrize("reply", [b"", b'{"half": '])
def test_a_hub_that_is_gone(reply: bytes) -> None:
    ours, hooks = socket.socketpair()
    ours.sendall(reply)
    ours.shutdown(socket.SHUT_WR)
    authority = ChannelAuthority(hooks.detach())
    with pytest.raises(ChannelBroken, match="did not answer"):
        authority.foreign_locks()
    ours.close()
    with pytest.raises(ChannelBroken):
        authority.possessed(["x"])
    authority.close()


def test_what_is_no_channel(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, pytest.raises(ChannelBroken, match="cannot be asked"):
        ChannelAuthority(file.fileno())


def test_a_failing_database_refuses_the_push(own_hub: RunningHub, tmp_path: Path) -> None:
    ada = own_hub.person(tmp_path / "ada", "ada")
    folder = ada.repository("work")
    ada.commit(folder, {"a": b"a"})
    url = own_hub.remote("team/weights")
    ada.git("push", "-q", url, "main", cwd=folder)
    ada.commit(folder, {"a": b"b"})
    with sqlite3.connect(own_hub.data / "hub.db") as database:
        database.execute("ALTER TABLE locks RENAME TO hidden")
    said = ada.git("push", url, "main", cwd=folder, check=False)
    assert "remote: error: push refused: the hub did not answer its pre-receive hook" in said
    assert "remote: hint: push again" in said
    assert "pre-receive hook declined" in said
    assert "a pre-receive hook got no answer" in own_hub.log
    with sqlite3.connect(own_hub.data / "hub.db") as database:
        database.execute("ALTER TABLE hidden RENAME TO locks")
    database.close()
    ada.git("push", "-q", url, "main", cwd=folder)


def test_answers_are_single_lines() -> None:
    assert answer(json.dumps({"ask": "foreign_locks"}).encode(), Known()).count(b"\n") == 1
