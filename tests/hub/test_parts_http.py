"""Uploads in parts over HTTP: what the hub takes, what it refuses, and that nobody sees an object before it is right."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hundredweight.base.ids import Oid
from hundredweight.hub.objects import staging
from hundredweight.protocol.parts import commit_url, part_url
from tests.hub.serving import Answer, Caller, Served, served, sha256, wait_for

PART = 64 << 10
DATA = random.Random(5).randbytes(PART * 4 + 1000)
OID = sha256(DATA)
PARTS = 5


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "hub", part_size=PART, max_staged=10 << 20, idle_seconds=2) as found:
        yield found


@pytest.fixture
def caller(hub: Served) -> Iterator[Caller]:
    made = Caller(hub.url, hub.token())
    yield made
    made.close()


class Upload:
    """One object in parts, by one caller."""

    def __init__(self, caller: Caller, data: bytes = DATA, oid: str = "", size: int = -1) -> None:
        self.caller = caller
        self.data = data
        self.oid = oid or sha256(data)
        self.size = len(data) if size < 0 else size
        answer = caller.batch("upload", (self.oid, self.size), transfers=["cwt-parts", "basic"])
        assert answer.json["transfer"] == "cwt-parts"
        self.actions: dict[str, Any] = answer.json["objects"][0].get("actions", {})

    @property
    def href(self) -> str:
        href: str = self.actions["parts"]["href"]
        return href

    def open(self) -> Answer:
        return self.caller.send("POST", self.href, b"")

    def held(self) -> Any:
        answer = self.open()
        assert answer.status == 200, answer.body
        return answer.json["held"]

    def put(self, number: int, data: bytes | None = None) -> Answer:
        content = self.data[number * PART : (number + 1) * PART] if data is None else data
        return self.caller.send("PUT", part_url(self.href, number), content)

    def put_all(self) -> None:
        for number in range(PARTS):
            assert self.put(number).status == 200

    def commit(self) -> Answer:
        return self.caller.send("POST", commit_url(self.href), b"")


def stages(hub: Served) -> list[str]:
    return [stat.key for stat in hub.services.store.backend.stages()]


def is_there(caller: Caller, oid: str = OID, size: int = len(DATA)) -> bool:
    return "actions" in caller.one("download", oid, size)


def test_an_object_comes_in_parts(hub: Served, caller: Caller) -> None:
    upload = Upload(caller)
    opened = upload.open()
    assert opened.json == {"size": len(DATA), "part_size": PART, "held": []}
    assert opened.headers["content-type"] == "application/vnd.git-lfs+json"
    for number in (3, 0, 4):
        assert upload.put(number).status == 200
    assert upload.held() == [[0, 1], [3, 5]]
    assert not is_there(caller)
    for number in (1, 2):
        assert upload.put(number).status == 200
    assert not is_there(caller)
    assert upload.commit().status == 200
    assert caller.download(OID, len(DATA)) == DATA
    assert stages(hub) == []
    assert Upload(caller).actions == {}


@pytest.mark.parametrize("limit", [len(DATA), len(DATA) - 1])
def test_what_was_uploaded_is_read_ahead(
    hub: Served, caller: Caller, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    expected: list[tuple[str, int]] = []
    monkeypatch.setattr(staging, "EXPECT_AFTER", 0.0)
    monkeypatch.setattr(staging, "EXPECTED", limit)
    monkeypatch.setattr(hub.services.store.backend, "expect", lambda key, size: expected.append((key, size)))
    upload = Upload(caller)
    upload.open()
    upload.put_all()
    assert upload.commit().status == 200
    hub.services.staging.close()
    assert expected == ([(hub.services.store.key(Oid(OID)), len(DATA))] if limit == len(DATA) else [])


def test_small_objects_and_other_clients_get_basic(caller: Caller) -> None:
    small = b"x" * PART
    assert set(Upload(caller, small).actions) == {"upload"}
    for transfers in ([], ["basic"], ["basic", "lfs-standalone-file"]):
        answer = caller.batch("upload", (OID, len(DATA)), transfers=transfers).json
        assert answer["transfer"] == "basic"
        assert set(answer["objects"][0]["actions"]) == {"upload"}
    answer = caller.batch("download", (OID, len(DATA)), transfers=["cwt-parts", "basic"]).json
    assert answer["transfer"] == "basic"


def test_the_whole_may_come_by_one_put_instead(caller: Caller) -> None:
    upload = Upload(caller)
    assert upload.open().status == 200
    assert caller.send("PUT", upload.actions["upload"]["href"], DATA).status == 200
    assert is_there(caller)


def test_a_repeated_part_and_a_repeated_end_are_harmless(caller: Caller) -> None:
    upload = Upload(caller)
    upload.open()
    upload.put_all()
    assert upload.put(0, b"\0" * PART).status == 200
    assert upload.commit().status == 200
    assert upload.commit().status == 200
    assert caller.download(OID, len(DATA)) == DATA


def test_an_end_with_parts_missing_is_refused(caller: Caller) -> None:
    upload = Upload(caller)
    upload.open()
    upload.put(0)
    answer = upload.commit()
    assert answer.status == 409
    assert "4 parts are missing" in answer.json["message"]
    assert upload.held() == [[0, 1]]


def test_a_corrupted_part_is_seen_at_the_end_and_sent_again(hub: Served, caller: Caller) -> None:
    upload = Upload(caller)
    upload.open()
    upload.put_all()
    bad = Upload(caller, DATA[:-1] + b"!", OID, len(DATA))
    assert bad.commit().status == 200
    other = DATA[::-1]
    wrong = Upload(caller, other)
    wrong.open()
    for number in range(PARTS):
        assert wrong.put(number, DATA[number * PART : (number + 1) * PART]).status == 200
    answer = wrong.commit()
    assert answer.status == 422
    assert OID in answer.json["message"]
    assert not is_there(caller, sha256(other))
    assert stages(hub) == []
    again = Upload(caller, other)
    assert again.held() == []
    again.put_all()
    assert again.commit().status == 200
    assert caller.download(sha256(other), len(other)) == other


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART + 1, 2 * PART])
def test_a_part_of_another_size_is_refused(caller: Caller, size: int) -> None:
    upload = Upload(caller)
    upload.open()
    assert upload.put(0, b"x" * size).status == 422
    assert upload.held() == []
    assert upload.put(0).status == 200


def test_a_chunked_part_of_another_size_is_refused(caller: Caller) -> None:
    upload = Upload(caller)
    upload.open()
    for size in (PART - 1, PART + 1):
        answer = caller.send("PUT", part_url(upload.href, 1), iter([b"x" * size]))
        assert answer.status == 422
    assert upload.held() == []


@pytest.mark.parametrize("number", ["5", "99999999999999999999", "-1", "x", "0/1"])
def test_there_are_no_other_parts(caller: Caller, number: str) -> None:
    upload = Upload(caller)
    upload.open()
    href = upload.href.replace("/parts?", f"/parts/{number}?")
    assert caller.send("PUT", href, b"x" * PART).status in (404, 405, 422)
    assert upload.held() == []


def test_parts_of_an_upload_that_was_not_begun_are_refused(hub: Served, caller: Caller) -> None:
    upload = Upload(caller)
    assert upload.put(0).status == 404
    assert upload.commit().status == 404
    assert stages(hub) == []


def test_a_size_that_is_a_lie_is_never_believed(hub: Served, caller: Caller) -> None:
    short = Upload(caller, DATA[: PART * 2 + 5], OID)
    short.open()
    for number in range(3):
        assert short.put(number).status == 200
    assert short.commit().status == 422
    assert not is_there(caller)
    assert stages(hub) == []


def cut_part(hub: Served, upload: Upload, number: int, count: int) -> None:
    """Announce a whole part, send some of it, and be gone."""
    parts = urlsplit(part_url(upload.href, number))
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as line:
        line.sendall(
            f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: hub\r\nContent-Length: {PART}\r\n\r\n".encode()
            + DATA[number * PART : number * PART + count]
        )
        time.sleep(0.1)


def test_a_cut_part_counts_for_nothing_and_the_others_stay(hub: Served, caller: Caller) -> None:
    upload = Upload(caller)
    upload.open()
    upload.put(0)
    cut_part(hub, upload, 1, 40_000)
    wait_for(lambda: "/parts/1" in hub.log_text)
    assert upload.held() == [[0, 1]]
    wait_for(lambda: hub.services.staging.pool.used == 0)
    for number in (1, 2, 3, 4):
        assert upload.put(number).status == 200
    assert upload.commit().status == 200
    assert caller.download(OID, len(DATA)) == DATA


def test_a_part_that_comes_twice_at_once_is_taken_once(hub: Served, caller: Caller) -> None:
    upload = Upload(caller)
    upload.open()
    parts = urlsplit(part_url(upload.href, 1))
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as line:
        head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: hub\r\nContent-Length: {PART}\r\n\r\n"
        line.sendall(head.encode() + DATA[PART : PART + 10])
        wait_for(lambda: hub.services.uploads.running == 1)
        assert upload.put(1).status == 409
        line.sendall(DATA[PART + 10 : 2 * PART])
        assert line.recv(100).startswith(b"HTTP/1.1 200")
    assert upload.held() == [[1, 2]]
    assert upload.put(1).status == 200


def test_a_silent_sender_is_given_up(caller: Caller, hub: Served) -> None:
    upload = Upload(caller)
    upload.open()
    parts = urlsplit(part_url(upload.href, 0))
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as line:
        line.sendall(f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: hub\r\nContent-Length: {PART}\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 408")
    assert upload.put(0).status == 200


def test_a_restarted_hub_goes_on(tmp_path: Path) -> None:
    with served(tmp_path / "hub", part_size=PART) as hub:
        token = hub.token()
        before = Upload(Caller(hub.url, token))
        before.open()
        for number in (0, 2, 4):
            before.put(number)
    with served(tmp_path / "hub", part_size=PART) as hub:
        hub.services.store.backend.clean()
        after = Upload(Caller(hub.url, token))
        assert after.held() == [[0, 1], [2, 3], [4, 5]]
        for number in (1, 3):
            assert after.put(number).status == 200
        assert after.commit().status == 200
        assert after.caller.download(OID, len(DATA)) == DATA


def test_nobody_else_sees_or_touches_an_upload(hub: Served, caller: Caller) -> None:
    upload = Upload(caller)
    upload.open()
    upload.put(0)
    other = Upload(Caller(hub.url, hub.token("eve"), "eve/own"))
    assert other.held() == []
    assert other.put(1).status == 200
    assert upload.held() == [[0, 1]]
    elsewhere = Upload(Caller(hub.url, caller.token, "team/second"))
    assert elsewhere.held() == []
    for changed in (
        upload.href.replace("team/model", "team/second"),
        upload.href.replace(OID, "0" * 64),
        upload.href.replace("user=ada", "user=eve"),
        upload.href.replace(f"size={len(DATA)}", "size=5"),
        upload.href.partition("?")[0],
        upload.actions["upload"]["href"].replace("?", "/parts?"),
    ):
        for method, url in (("POST", changed), ("PUT", part_url(changed, 1)), ("POST", commit_url(changed))):
            assert caller.send(method, url, b"x" * PART).status == 403
    assert caller.send("PUT", upload.href.replace("/parts?", "?"), DATA).status == 403


def test_a_revoked_token_begins_nothing_more(hub: Served, caller: Caller) -> None:
    upload = Upload(caller)
    upload.open()
    upload.put(0)
    [token] = [one for one in hub.services.tokens.list() if one.user == "ada"]
    hub.services.tokens.revoke(str(token.id))
    assert caller.batch("upload", (OID, len(DATA)), transfers=["cwt-parts"]).status == 401
    assert caller.token not in upload.href


def test_an_action_ends(tmp_path: Path) -> None:
    with served(tmp_path / "hub", part_size=PART, action_seconds=10) as hub:
        upload = Upload(Caller(hub.url, hub.token()))
        upload.open()
        upload.put(0)
        expires = upload.href.partition("expires=")[2].partition("&")[0]
        late = upload.href.replace(expires, str(int(expires) - 100))
        assert upload.caller.send("PUT", part_url(late, 1), b"x" * PART).status == 403
        assert upload.held() == [[0, 1]]


def test_unfinished_uploads_are_bounded(hub: Served, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MAX_UPLOADS", 3)
    for number in range(3):
        assert Upload(caller, bytes([number]) * (2 * PART)).open().status == 200
    more = Upload(caller, b"more" * PART)
    answer = more.open()
    assert answer.status == 429
    assert "3 unfinished uploads" in answer.json["message"]
    assert Upload(Caller(hub.url, hub.token("eve"), "eve/own"), b"more" * PART).open().status == 200
    monkeypatch.setattr(staging, "MAX_UPLOADS", 99)
    big = Upload(caller, b"", "1" * 64, 11 << 20)
    assert big.open().status == 429


def test_abandoned_uploads_are_removed(hub: Served, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = Upload(caller)
    upload.open()
    upload.put(0)
    [old] = stages(hub)
    folder = Path(hub.services.store.backend.staged)  # type: ignore[attr-defined]
    (folder / f"{'0' * 32}.5.1.65536.{OID}").write_bytes(b"x")
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    Upload(caller, b"next" * PART).open()
    assert old in stages(hub)
    assert len(stages(hub)) == 2
    monkeypatch.setattr(staging, "ABANDONED", -1.0)
    Upload(caller, b"third" * PART).open()
    assert len(stages(hub)) == 1
    monkeypatch.undo()
    assert upload.put(1).status == 404
    assert upload.held() == []


def test_two_clients_of_one_user_send_one_object(hub: Served, caller: Caller) -> None:
    def whole(_: int) -> int:
        upload = Upload(Caller(hub.url, caller.token))
        upload.open()
        for number in range(PARTS):
            wait_for(lambda number=number: upload.put(number).status in (200, 404))  # type: ignore[misc]
        return upload.commit().status

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(whole, range(4))) == {200}
    assert caller.download(OID, len(DATA)) == DATA
    assert stages(hub) == []


def test_the_state_is_small_however_many_parts(caller: Caller) -> None:
    upload = Upload(caller, b"", "2" * 64, PART * 150)
    assert json.loads(upload.open().body)["held"] == []
