"""LFS objects over HTTP, on both servers: granian as `cwt hub serve` runs it, and uvicorn."""

from __future__ import annotations

import base64
import http.client
import json
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.hub.serving import Caller, served, sha256, wait_for
from tests.running_hub import RunningHub

DATA = random.Random(7).randbytes(3_000_000)
OID = sha256(DATA)
EMPTY = sha256(b"")


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """(URL, admin token, data folder)."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "granian":
        running = RunningHub(folder, "--max-batch", "50", "--max-object", "8M").start()
        yield running.url, running.token, running.data
        assert running.stop() == 0
        return
    with served(folder / "hub", max_batch=50, max_object=8 << 20) as hub:
        yield hub.url, hub.token(), folder / "hub"


@pytest.fixture
def caller(place: tuple[str, str, Path], request: pytest.FixtureRequest) -> Iterator[Caller]:
    made = Caller(place[0], place[1], "team/" + request.node.originalname.replace("test_", "")[:80])
    yield made
    made.close()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_batch_answer_follows_the_api(caller: Caller) -> None:
    answer = caller.batch(
        "upload", (OID, len(DATA)), transfers=["unknown", "basic"], ref={"name": "refs/heads/main"}, hash_algo="sha256"
    )
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/vnd.git-lfs+json"
    body = answer.json
    assert body["transfer"] == "basic"
    assert body["hash_algo"] == "sha256"
    [found] = body["objects"]
    assert (found["oid"], found["size"], found["authenticated"]) == (OID, len(DATA), True)
    action = found["actions"]["upload"]
    assert list(found["actions"]) == ["upload"]
    assert action["href"].startswith(caller.lfs + "/objects/" + OID + "?")
    assert action["expires_in"] == 3600


def test_what_was_uploaded_comes_back(caller: Caller) -> None:
    found = caller.one("upload", OID, len(DATA))
    answer = caller.send("PUT", found["actions"]["upload"]["href"], DATA)
    assert (answer.status, answer.body) == (200, b"")
    assert "actions" not in caller.one("upload", OID, len(DATA))
    href = caller.one("download", OID, len(DATA))["actions"]["download"]["href"]
    answer = caller.send("GET", href)
    assert answer.status == 200
    assert answer.body == DATA
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["etag"] == f'"{OID}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "application/octet-stream"


def test_the_path_works_without_git_at_its_end(caller: Caller) -> None:
    caller.lfs = caller.lfs.replace(".git/", "/")
    oid = caller.upload(b"short url")
    assert caller.download(oid, 9) == b"short url"


def test_a_token_does_where_no_signature_is(caller: Caller) -> None:
    assert caller.send("PUT", f"{caller.lfs}/objects/{OID}", DATA).status == 200
    assert caller.send("GET", f"{caller.lfs}/objects/{OID}").body == DATA
    basic = "Basic " + base64.b64encode(f"anybody:{caller.token}".encode()).decode()
    assert caller.send("GET", f"{caller.lfs}/objects/{OID}", Authorization=basic).status == 200


def test_a_chunked_upload_needs_the_size_of_the_batch(caller: Caller) -> None:
    data = random.Random("chunked").randbytes(500_000)
    href = caller.one("upload", sha256(data), len(data))["actions"]["upload"]["href"]
    assert caller.send("PUT", href, iter([data[:1000], data[1000:]])).status == 200
    assert caller.download(sha256(data), len(data)) == data
    refused = caller.send("PUT", f"{caller.lfs}/objects/{OID}", iter([b"x"]))
    assert refused.status == 411
    assert refused.json["hint"] == "send a Content-Length header"


@pytest.mark.parametrize(
    ("wanted", "status", "expected", "content_range"),
    [
        ("bytes=0-", 200, DATA, None),
        ("bytes=0-9", 206, DATA[:10], f"bytes 0-9/{len(DATA)}"),
        ("bytes=2000000-", 206, DATA[2_000_000:], f"bytes 2000000-{len(DATA) - 1}/{len(DATA)}"),
        ("bytes=-5", 206, DATA[-5:], f"bytes {len(DATA) - 5}-{len(DATA) - 1}/{len(DATA)}"),
        ("bytes=10-99999999999", 206, DATA[10:], f"bytes 10-{len(DATA) - 1}/{len(DATA)}"),
        (f"bytes={len(DATA)}-", 416, b"", f"bytes */{len(DATA)}"),
        ("bytes=-0", 416, b"", f"bytes */{len(DATA)}"),
        ("bytes=9-3", 200, DATA, None),
        ("bytes=0-1,5-6", 200, DATA, None),
        ("bytes=-", 200, DATA, None),
        ("lines=1-2", 200, DATA, None),
        ("bytes=99999999999999999999-", 200, DATA, None),
    ],
)
def test_ranges(caller: Caller, wanted: str, status: int, expected: bytes, content_range: str | None) -> None:
    caller.upload(DATA)
    href = caller.one("download", OID, len(DATA))["actions"]["download"]["href"]
    answer = caller.send("GET", href, Range=wanted)
    assert answer.status == status
    assert answer.body == expected
    assert answer.headers.get("content-range") == content_range
    assert answer.headers["content-length"] == str(len(expected))
    head = caller.send("HEAD", href, Range=wanted)
    assert (head.status, head.body) == (status, b"")
    assert head.headers["content-length"] == str(len(expected))


def test_if_range_decides_whether_a_range_still_fits(caller: Caller) -> None:
    caller.upload(DATA)
    href = caller.one("download", OID, len(DATA))["actions"]["download"]["href"]
    same = caller.send("GET", href, Range="bytes=5-9", If_Range=f'"{OID}"')
    assert (same.status, same.body) == (206, DATA[5:10])
    other = caller.send("GET", href, Range="bytes=5-9", If_Range='"another"')
    assert (other.status, other.body) == (200, DATA)


def test_the_empty_object_is_everywhere(caller: Caller) -> None:
    assert "actions" not in caller.one("upload", EMPTY, 0)
    href = caller.one("download", EMPTY, 0)["actions"]["download"]["href"]
    answer = caller.send("GET", href)
    assert (answer.status, answer.body) == (200, b"")
    assert caller.one("upload", EMPTY, 5)["error"]["code"] == 422
    assert caller.one("upload", OID, 0)["error"]["code"] == 422
    assert caller.send("PUT", f"{caller.lfs}/objects/{EMPTY}", b"").status == 200


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        (DATA[:-1] + b"x", 422, "SHA-256"),
        (DATA[:-1], 422, "the request has 2999999 bytes for an object of 3000000"),
        (DATA + b"x", 422, "the request has 3000001 bytes for an object of 3000000"),
    ],
)
def test_wrong_bytes_never_show(
    caller: Caller, place: tuple[str, str, Path], sent: bytes, status: int, message: str
) -> None:
    data = random.Random(message).randbytes(len(DATA))
    oid, wrong = sha256(data), data[: len(sent)] + b"x" * (len(sent) - len(data))
    wrong = wrong if len(wrong) != len(data) else wrong[:-1] + bytes([wrong[-1] ^ 1])
    href = caller.one("upload", oid, len(data))["actions"]["upload"]["href"]
    answer = caller.send("PUT", href, wrong)
    assert answer.status == status
    assert message in answer.json["message"]
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert "actions" in caller.one("upload", oid, len(data))
    assert caller.one("download", oid, len(data))["error"]["code"] == 404
    assert files_in(place[2] / "tmp") == []
    assert caller.send("PUT", href, data).status == 200


def test_a_client_that_leaves_half_way_leaves_nothing(caller: Caller, place: tuple[str, str, Path]) -> None:
    data = random.Random("leaves").randbytes(2_000_000)
    oid = sha256(data)
    parts = urlsplit(caller.one("upload", oid, len(data))["actions"]["upload"]["href"])
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        request = (
            f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        connection.sendall(request.encode() + data[:-1])
        wait_for(lambda: files_in(place[2] / "tmp") != [])
    wait_for(lambda: files_in(place[2] / "tmp") == [])
    assert caller.one("download", oid, len(data))["error"]["code"] == 404
    assert caller.upload(data) == oid


def test_a_client_that_wants_leave_to_continue_gets_it(caller: Caller) -> None:
    data = random.Random("continue").randbytes(500_000)
    parts = urlsplit(caller.one("upload", sha256(data), len(data))["actions"]["upload"]["href"])
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Length", str(len(data)))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    connection.send(data)
    with connection.getresponse() as response:
        assert response.status == 200
    connection.close()


def test_batch_errors_are_told_per_object(caller: Caller) -> None:
    caller.upload(DATA)
    answer = caller.batch("download", (OID, len(DATA)), (OID, 5), ("0" * 64, 5), ("../../etc/passwd", 5), ("A" * 64, 5))
    assert answer.status == 200
    objects = answer.json["objects"]
    assert "download" in objects[0]["actions"]
    assert [item["error"]["code"] for item in objects[1:]] == [422, 404, 422, 422]
    assert "has no such object" in objects[2]["error"]["message"]
    big = caller.one("upload", "1" * 64, (8 << 20) + 1)
    assert big["error"]["code"] == 422
    assert "at most 8388608" in big["error"]["message"]


def test_an_object_that_the_disk_lost_is_gone_and_welcome(caller: Caller, place: tuple[str, str, Path]) -> None:
    data = random.Random("lost").randbytes(5000)
    oid = caller.upload(data)
    [path] = [path for path in files_in(place[2] / "objects") if path.name == oid]
    path.unlink()
    assert caller.one("download", oid, len(data))["error"]["code"] == 410
    assert caller.send("GET", f"{caller.lfs}/objects/{oid}").status == 410
    assert caller.upload(data) == oid
    assert caller.download(oid, len(data)) == data


def test_a_file_put_there_by_hand_is_not_believed(caller: Caller, place: tuple[str, str, Path]) -> None:
    data = random.Random("by hand").randbytes(5000)
    oid = sha256(data)
    path = place[2] / "objects" / oid[:2] / oid[2:4] / oid
    path.parent.mkdir(parents=True)
    path.write_bytes(data[::-1])
    caller.upload(b"the repository exists")
    assert caller.one("download", oid, len(data))["error"]["code"] == 404
    caller.upload(data)
    assert caller.download(oid, len(data)) == data


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b'{"operation": "delete", "objects": []}', 422),
        (b'{"operation": "download"}', 422),
        (b'{"operation": "download", "objects": {}}', 422),
        (b"[" * 100_000, 422),
        (b'{"operation": "download", "objects": [], "hash_algo": "md5"}', 409),
        (b'{"operation": "download", "objects": [], "transfers": ["tus"]}', 409),
        (b" " * (9 << 20), 413),
    ],
)
def test_a_bad_batch_request_is_refused_as_a_whole(caller: Caller, body: bytes, status: int) -> None:
    caller.upload(b"the repository exists")
    answer = caller.send("POST", caller.lfs + "/objects/batch", body)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/vnd.git-lfs+json"
    assert set(answer.json) >= {"message", "request_id"}


def test_too_many_objects_are_refused_with_what_mends_it(caller: Caller) -> None:
    answer = caller.batch("upload", *(("0" * 64, number) for number in range(51)))
    assert answer.status == 413
    assert answer.json["hint"] == "run 'git config lfs.transfer.batchSize 50'"


def test_verify_tells_what_the_repository_has(caller: Caller) -> None:
    oid = caller.upload(b"verified")

    def verify(oid: str, size: int) -> int:
        return caller.send(
            "POST", caller.lfs + "/objects/verify", json.dumps({"oid": oid, "size": size}).encode()
        ).status

    assert verify(oid, 8) == 200
    assert verify(oid, 9) == 422
    assert verify("0" * 64, 8) == 404
    assert verify("nonsense", 8) == 422


def test_a_signed_url_is_good_for_one_thing(caller: Caller) -> None:
    oid = caller.upload(b"signed")
    upload = caller.one("upload", "1" * 64, 10)["actions"]["upload"]["href"]
    download = caller.one("download", oid, 6)["actions"]["download"]["href"]
    for method, url in [
        ("PUT", download),
        ("GET", upload),
        ("GET", download.replace(oid, "1" * 64)),
        ("GET", download.replace("/team/", "/other/")),
        ("GET", download.replace("expires=", "expires=9")),
        ("GET", download.replace("user=", "user=x")),
        ("GET", download[:-1]),
        ("GET", download.split("?")[0] + "?signature=0"),
        ("GET", download.split("?")[0] + "?signature=%C3%A9&size=x&expires=y"),
    ]:
        answer = caller.send(method, url, b"x" * 10 if method == "PUT" else None)
        assert answer.status == 403, url
        assert answer.json["message"] == "the URL's signature is wrong"


def test_the_same_object_by_many_at_once(caller: Caller) -> None:
    data = random.Random("crowd").randbytes(1_000_000)
    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(lambda _: caller.upload(data), range(24))) == {sha256(data)}
    assert caller.download(sha256(data), len(data)) == data


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/team/..%2f..%2fetc/info/lfs/objects/" + OID,
        "/%2e%2e/%2e%2e/info/lfs/objects/" + OID,
        "/team/.hidden/info/lfs/objects/" + OID,
        "/team/x.lock/info/lfs/objects/" + OID,
        "/team/a.git.git/info/lfs/objects/" + OID,
        "/team/%00/info/lfs/objects/" + OID,
        "/team/sub/repo/info/lfs/objects/" + OID,
        "/team/" + "x" * 200 + "/info/lfs/objects/" + OID,
    ],
)
def test_a_name_that_could_leave_its_folder_is_not_found(caller: Caller, path: str) -> None:
    assert caller.send("GET", path).status == 404
    assert caller.send("PUT", path, b"x").status in (404, 405)


@pytest.mark.parametrize("oid", ["..%2f..%2fhub.db", "../hub.db", "A" * 64, "0" * 63, "0" * 65, "%00"])
def test_an_impossible_oid_is_not_looked_for(caller: Caller, oid: str) -> None:
    assert caller.send("GET", f"{caller.lfs}/objects/{oid}").status in (404, 422)


def test_a_malformed_content_length_is_refused(caller: Caller) -> None:
    parts = urlsplit(caller.lfs)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as connection:
        connection.sendall(
            f"PUT {parts.path}/objects/{OID} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {caller.token}\r\n"
            "Content-Length: 1e5\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_hrefs_lead_where_the_client_came_from(caller: Caller) -> None:
    body = json.dumps({"operation": "upload", "objects": [{"oid": "2" * 64, "size": 5}]}).encode()

    def href(**headers: str) -> str:
        answer = caller.send("POST", caller.lfs + "/objects/batch", body, **headers)
        found: str = answer.json["objects"][0]["actions"]["upload"]["href"]
        return found.partition("/team/")[0]

    assert href() == caller.url
    assert href(Host="weights.example:8080") == "http://weights.example:8080"
    assert href(Host="weights.example", X_Forwarded_Proto="https") == "https://weights.example"
    assert href(X_Forwarded_Host="outside.example", X_Forwarded_Proto="https") == "https://outside.example"
    answer = caller.send("POST", caller.lfs + "/objects/batch", body, Host='evil"<x>')
    assert answer.status in (400, 422)
