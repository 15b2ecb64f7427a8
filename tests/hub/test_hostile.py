"""Clients that mean no good, or do no good, against a running hub, byte by byte."""

from __future__ import annotations

import hashlib
import json
import random
import re
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.hub.serving import wait_for
from tests.running_hub import RunningHub

DATA = b"some bytes of an object"
OID = hashlib.sha256(DATA).hexdigest()


@contextmanager
def connected(hub: RunningHub) -> Iterator[socket.socket]:
    parts = urlsplit(hub.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as connection:
        yield connection


def talk(hub: RunningHub, data: bytes) -> bytes:
    """Send, and read until the hub closes."""
    with connected(hub) as connection:
        connection.sendall(data)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        return b"".join(parts)


def head(hub: RunningHub, method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: hub", f"Authorization: Bearer {hub.token}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3})", answer)]


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd.git/info/refs?service=git-upload-pack",
        "/%2e%2e/%2e%2e.git/info/refs?service=git-upload-pack",
        "/team/..%2f..%2fhub.db/info/refs?service=git-upload-pack",
        "/te%00am/m.git/info/refs?service=git-receive-pack",
        "/te%ffam/m.git/info/refs?service=git-receive-pack",
        "/te%0aam/m.git/info/refs?service=git-receive-pack",
        f"/{'a' * 300}/m.git/info/refs?service=git-receive-pack",
        "/team/m.git.git/info/refs?service=git-receive-pack",
        "/team/-m.git/info/refs?service=git-receive-pack",
        "/team/.m.git/info/refs?service=git-receive-pack",
        "/team/m.lock.git/info/refs?service=git-receive-pack",
        "//team/m.git/info/refs?service=git-receive-pack",
        "/team/m.git/info/lfs/objects/../../../../hub.db",
        "/team/m.git/info/lfs/objects/%2e%2e%2f%2e%2e%2fhub.db",
        f"/team/m.git/info/lfs/objects/{'A' * 64}",
        f"/team/m.git/info/lfs/objects/{'a' * 63}%00",
        f"/team/m.git/info/lfs/objects/{'a' * 64}?signature=%ff&size=1&user=&repository=x&expires=x",
        "/team/m.git/config",
        "/team/m.git/HEAD",
        "*",
    ],
)
def test_no_path_leads_out_or_makes_anything(target: RunningHub, path: str) -> None:
    before = sorted(path.name for path in (target.data / "repositories").rglob("*"))
    answer = talk(target, head(target, "GET", path, "Connection: close"))
    assert statuses(answer)[0] in (403, 404, 422), answer
    assert sorted(path.name for path in (target.data / "repositories").rglob("*")) == before
    log = target.log
    assert "\x00" not in log
    assert all(line.startswith("20") for line in log.splitlines()), "one line a request, whatever its path"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = RunningHub(tmp_path_factory.mktemp("hostile"), "--idle-seconds", "2").start()
    yield running
    assert running.stop() == 0, running.log


NEXT = b"GET /healthz HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"
PATH = f"/team/smuggled.git/info/lfs/objects/{OID}"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (["Content-Length: 23", "Content-Length: 23"], DATA, [200, 200]),
        (["Content-Length: 23", "Content-Length: 3"], DATA, [400]),
        (["Content-Length: 23, 23"], DATA, [400]),
        (["Content-Length: +23"], DATA, [400]),
        (["Content-Length: -1"], DATA, [400]),
        (["Content-Length: 99999999999999999999"], DATA, [400]),
        (["Content-Length : 23"], DATA, [400]),
        (["Transfer-Encoding: xchunked"], DATA, [400]),
        (["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n", [400]),
        (["Transfer-Encoding: identity", "Content-Length: 23"], DATA, [400]),
        (["Content-Length: 23", "Transfer-Encoding: chunked"], b"0\r\n\r\n", [411]),
        (["Transfer-Encoding: chunked"], b"FFFFFFFFFFFFFFFFF\r\n" + DATA, [411]),
        (["Content-Length: 5"], DATA, [422, 400]),
        (["X-Folded: a\r\n b", "Content-Length: 23"], DATA, [400]),
    ],
)
def test_lengths_that_disagree_smuggle_nothing(
    target: RunningHub, headers: list[str], body: bytes, expected: list[int]
) -> None:
    """What follows a request whose end is in doubt is never taken for another request."""
    answer = talk(target, head(target, "PUT", PATH, *headers) + body + NEXT)
    assert statuses(answer) == expected, answer


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"null", 422),
        (b"[" * 100_000, 422),
        (b'{"a":' * 50_000, 422),
        (b"\xff\xfe\xfd", 422),
        (b'{"operation":"delete","objects":[]}', 422),
        (b'{"operation":"upload","objects":{"a":1}}', 422),
        (b'{"operation":"upload","objects":[{"oid":"%s","size":%s}]}' % (OID.encode(), b"9" * 5000), 422),
        (b'{"operation":"upload","ref":{"name":"\\ud800"},"objects":[]}', 422),
        (json.dumps({"operation": "upload", "objects": [{"oid": f"{n:064x}", "size": 5} for n in range(1001)]}), 413),
        (json.dumps({"operation": "upload", "objects": [{"oid": f"{n:064x}", "size": 5} for n in range(10_001)]}), 413),
        (b"x" * (9 << 20), 413),
        (b'{"operation":"upload","transfers":["tus"],"objects":[{"oid":"%s","size":5}]}' % OID.encode(), 409),
        (b'{"operation":"upload","hash_algo":"md5","objects":[{"oid":"%s","size":5}]}' % OID.encode(), 409),
        (b'{"operation":"upload","objects":[{"oid":"../../etc/passwd","size":5},{"oid":"%s"}]}' % OID.encode(), 404),
    ],
)
def test_malformed_batches_are_refused_and_make_nothing(target: RunningHub, body: bytes | str, status: int) -> None:
    data = body.encode() if isinstance(body, str) else body
    found, told = target.refused("POST", "/team/never.git/info/lfs/objects/batch", data)
    assert (found, bool(told["message"]), len(told["request_id"])) == (status, True, 16)
    assert "team/never" not in [one["name"] for one in target.api("GET", "/repositories")["repositories"]]


def test_a_malformed_question_for_locks_makes_nothing(target: RunningHub) -> None:
    for body in (b"{", b"[]", b'{"limit":"x"}'):
        assert target.refused("POST", "/team/never.git/info/lfs/locks/verify", body)[0] == 422
    assert "team/never" not in [one["name"] for one in target.api("GET", "/repositories")["repositories"]]


@pytest.mark.parametrize("size", ["NaN", "1e400", "-1", "true", '"5"', "null", "1.5", "[]", "9223372036854775808"])
def test_one_malformed_object_does_not_harm_the_others(target: RunningHub, size: str) -> None:
    body = f'{{"operation":"upload","objects":[{{"oid":"{OID}","size":{size}}},{{"oid":"{"c" * 64}","size":7}}]}}'
    _, _, content = target.request("POST", "/team/m.git/info/lfs/objects/batch", body.encode())
    found = {one["oid"]: one for one in json.loads(content)["objects"]}
    assert found[OID]["error"]["code"] == 422
    assert "upload" in found["c" * 64]["actions"]


@pytest.mark.parametrize(
    "value",
    [
        "Basic eA==",
        "Basic !!!",
        "Basic /zr/",
        "Bearer",
        "Bearer \xff\xfe",
        "Bearer " + "x" * 50_000,
        "Digest x",
        "cwt_",
    ],
)
def test_wrong_tokens_are_401(target: RunningHub, value: str) -> None:
    message = f"GET /api/v1/repositories HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nAuthorization: {value}\r\n\r\n"
    answer = talk(target, message.encode("latin-1"))
    assert statuses(answer) == [401]
    assert b"no token of a hub" in answer


def range_of(hub: RunningHub, data: bytes) -> bytes:
    """A request for all of an object but its first byte, which goes out in pieces."""
    hub.upload("team/slow", data)
    path = f"/team/slow.git/info/lfs/objects/{hashlib.sha256(data).hexdigest()}"
    return head(hub, "GET", path, f"Range: bytes=1-{len(data)}", "X-Request-Id: slow")


def outcomes(hub: RunningHub) -> list[str]:
    return [line for line in hub.log.splitlines() if "id=slow " in line]


def test_a_client_that_does_not_read_is_left(target: RunningHub) -> None:
    request = range_of(target, random.Random(2).randbytes(40 << 20))
    seen = len(outcomes(target))
    with connected(target) as connection:
        connection.sendall(request)
        wait_for(lambda: len(outcomes(target)) > seen, 20)
    assert any("status=408" in line for line in outcomes(target)[seen:])


def test_the_hub_stops_reading_for_a_client_that_left(target: RunningHub) -> None:
    request = range_of(target, random.Random(3).randbytes(40 << 20))
    seen = len(outcomes(target))
    with connected(target) as connection:
        connection.sendall(request)
        assert connection.recv(100)
    wait_for(lambda: len(outcomes(target)) > seen, 10)
    [line] = outcomes(target)[seen:]
    assert "status=499" in line
    assert int(line.partition("bytes=")[2].split()[0]) < 40 << 20


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="asks the kernel about another process")
def test_many_connections_may_be_open(target: RunningHub) -> None:
    soft, hard = resource.prlimit(target.pid, resource.RLIMIT_NOFILE)
    assert soft == (65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)) or soft > 65536
