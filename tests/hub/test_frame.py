"""What surrounds every request: ids, one shape of errors, the log, metrics, health; and faults from below."""

from __future__ import annotations

import io
import json
import logging
import random
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hundredweight.backend.interface import BackendFailed
from hundredweight.backend.memory import MemoryBackend
from hundredweight.base.errors import CwtError
from hundredweight.hub.database.engine import Database, DatabaseError
from hundredweight.hub.errors import status_of
from hundredweight.hub.logs import Log, ServerLog
from hundredweight.hub.metrics import kind_of
from tests.hub.serving import Caller, Served, served, sha256

DATA = random.Random(3).randbytes(300_000)


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def hub(tmp_path: Path, backend: MemoryBackend) -> Iterator[Served]:
    with served(tmp_path / "hub", backend=backend, log_format="json", idle_seconds=1) as running:
        yield running


@pytest.fixture
def caller(hub: Served) -> Caller:
    return Caller(hub.url, hub.token())


def lines(hub: Served, count: int) -> list[dict[str, object]]:
    """The log once it has `count` lines: a request's line comes after its answer."""
    end = time.monotonic() + 10
    while hub.log_text.count("\n") < count and time.monotonic() < end:
        time.sleep(0.01)
    found = [json.loads(line) for line in hub.log_text.splitlines()]
    assert len(found) == count
    return found


def test_health_is_for_everybody(hub: Served) -> None:
    nobody = Caller(hub.url)
    assert nobody.send("GET", "/healthz").json == {"status": "ok"}
    assert nobody.send("GET", "/readyz").json == {"status": "ready"}
    assert nobody.send("POST", "/healthz").status == 405


def test_a_hub_that_cannot_store_is_not_ready(hub: Served, backend: MemoryBackend) -> None:
    nobody = Caller(hub.url)
    backend.capacity = 0
    answer = nobody.send("GET", "/readyz")
    assert (answer.status, answer.json["hint"]) == (507, "free some space where the hub stores its data")
    backend.capacity = None
    backend.fail_next(BackendFailed("the disk is gone"))
    answer = nobody.send("GET", "/readyz")
    assert (answer.status, answer.json["message"]) == (503, "the disk is gone")
    assert nobody.send("GET", "/readyz").status == 200


def test_a_database_that_fails_is_503(hub: Served, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Database) -> None:
        raise DatabaseError("the database failed: disk I/O error")

    monkeypatch.setattr(Database, "check", broken)
    assert caller.send("GET", "/readyz").status == 503
    assert caller.send("GET", "/healthz").status == 200


def test_a_full_disk_is_507_and_heals(hub: Served, caller: Caller, backend: MemoryBackend) -> None:
    backend.capacity = len(DATA) - 1
    href = caller.one("upload", sha256(DATA), len(DATA))["actions"]["upload"]["href"]
    answer = caller.send("PUT", href, DATA)
    assert answer.status == 507
    assert answer.json["hint"] == "free some space where the hub stores its data"
    assert backend.open_writers == 0
    assert backend.values == {}
    backend.capacity = None
    assert caller.send("PUT", href, DATA).status == 200


def test_a_failing_disk_is_503_and_heals(hub: Served, caller: Caller, backend: MemoryBackend) -> None:
    href = caller.one("upload", sha256(DATA), len(DATA))["actions"]["upload"]["href"]
    backend.fail_next(BackendFailed("the disk is gone", temporary=True))
    assert caller.send("PUT", href, DATA).status == 503
    assert backend.open_writers == 0
    assert caller.send("PUT", href, DATA).status == 200
    assert caller.download(sha256(DATA), len(DATA)) == DATA


def test_an_error_nobody_foresaw_tells_nothing_of_the_inside(
    hub: Served, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Database) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Database, "check", broken)
    answer = caller.send("GET", "/readyz")
    assert answer.status == 500
    assert answer.json["message"] == "the hub failed"
    assert answer.json["request_id"] in answer.json["hint"]
    [failure] = [line for line in lines(hub, 2) if line["level"] == "error"]
    assert failure["id"] == answer.json["request_id"]
    assert "secret detail" in str(failure["error"])


def test_a_body_that_pauses_for_ever_is_given_up(hub: Served, caller: Caller, backend: MemoryBackend) -> None:
    parts = urlsplit(caller.one("upload", sha256(DATA), len(DATA))["actions"]["upload"]["href"])
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as connection:
        head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(DATA)}\r\n\r\n"
        connection.sendall(head.encode() + DATA[:1000])
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
    assert backend.open_writers == 0


def test_the_id_of_a_request_is_everywhere(hub: Served, caller: Caller) -> None:
    answer = caller.send("GET", "/nothing/here")
    assert answer.status == 404
    assert re.fullmatch("[0-9a-f]{16}", answer.json["request_id"])
    assert answer.headers["x-request-id"] == answer.json["request_id"]
    assert lines(hub, 1)[-1]["id"] == answer.json["request_id"]


@pytest.mark.parametrize(("given", "kept"), [("proxy-1.2_3", True), ("a b", False), ("x" * 65, False), ("é", False)])
def test_a_harmless_id_of_a_proxy_is_kept(hub: Served, caller: Caller, given: str, kept: bool) -> None:
    assert (caller.send("GET", "/healthz", X_Request_Id=given).headers["x-request-id"] == given) is kept


def test_the_form_of_an_error_is_what_its_reader_reads(hub: Served) -> None:
    nobody = Caller(hub.url)
    lfs = nobody.batch("download", ("0" * 64, 5))
    assert lfs.headers["content-type"] == "application/vnd.git-lfs+json"
    assert set(lfs.json) == {"message", "request_id", "hint"}
    git = nobody.send("GET", "/team/model.git/info/refs?service=git-upload-pack")
    assert git.status == 401
    assert git.headers["content-type"].startswith("text/plain")
    assert nobody.send("GET", "/api/v1/stats").headers["content-type"] == "application/json"


def test_the_log_names_who_asked_and_never_a_secret(hub: Served, caller: Caller) -> None:
    caller.upload(DATA)
    caller.download(sha256(DATA), len(DATA))
    batch, put, _, get = lines(hub, 4)
    assert batch["method"] == "POST"
    assert (batch["user"], batch["token"], batch["status"]) == ("ada", "ada", 200)
    assert (put["user"], put["received"], put["status"]) == ("ada", len(DATA), 200)
    assert (get["bytes"], get["path"]) == (len(DATA), f"/team/model.git/info/lfs/objects/{sha256(DATA)}")
    assert set(get) == {"time", "level", "event", "id", "method", "path", "status", "bytes", "ms", "user"}
    assert caller.token not in hub.log_text
    assert "signature" not in hub.log_text


def test_metrics_count_without_naming(hub: Served, caller: Caller) -> None:
    caller.upload(DATA)
    caller.send("PUT", f"{caller.lfs}/objects/{'0' * 64}", b"wrong")
    caller.send("BREW", "/coffee")
    text = Caller(hub.url).send("GET", "/metrics").body.decode()
    assert f'cwt_hub_object_bytes_total{{direction="in"}} {float(len(DATA))}' in text
    assert 'cwt_hub_requests_total{kind="batch",method="POST",status="200"} 1.0' in text
    assert 'method="other"' in text
    assert "cwt_hub_uploads_refused_total 1.0" in text
    assert "team" not in text


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/healthz", "health"),
        ("/a/b.git/info/lfs/objects/batch", "batch"),
        ("/a/b/info/lfs/objects/" + "0" * 64, "object"),
        ("/a/b/info/lfs/locks/verify", "locks"),
        ("/a/b.git/info/refs", "git"),
        ("/a/b.git/git-receive-pack", "git"),
        ("/api/v1/stats", "api"),
        ("/anything", "other"),
    ],
)
def test_kinds_are_few(path: str, kind: str) -> None:
    assert kind_of(path) == kind


def test_a_text_log_keeps_to_its_line() -> None:
    stream = io.StringIO()
    Log("text", stream).event("hello", path="/a\nb", user="ada", odd='a "b"', empty="")
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info hello path="/a\\nb" user=ada odd="a \\"b\\"" empty=""\n',
        stream.getvalue(),
    )


def test_what_the_server_says_is_in_the_log_too() -> None:
    stream = io.StringIO()
    logger = logging.Logger("test-server")
    logger.addHandler(ServerLog(Log("json", stream)))
    logger.info("not this")
    logger.warning("slow")
    try:
        raise CwtError("boom")
    except CwtError:
        logger.exception("failed")
    slow, failed = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (slow["event"], slow["source"]) == ("slow", "test-server")
    assert (failed["level"], failed["event"]) == ("error", "failed")
    assert "boom" in failed["error"]


def test_an_error_without_a_status_is_the_hubs_fault() -> None:
    assert status_of(CwtError("x")) == 500
    assert status_of(ValueError()) == 500
