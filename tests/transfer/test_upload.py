"""Uploads: what the server gets, and what happens when it does not want it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hundredweight.base import trace
from hundredweight.base.ids import Oid
from hundredweight.transfer.basic import ObjectCorrupt, ObjectMissing, VerifyFailed
from hundredweight.transfer.http import HttpError
from hundredweight.transfer.queue import Item, TransferOptions
from hundredweight.transfer.retry import RetryPolicy
from tests.transfer.faulty import FaultyServer, Slow, Status
from tests.transfer.rig import FAST, Rig, item

DATA = bytes(range(256)) * 800


def test_objects_arrive(rig: Rig, faulty: FaultyServer) -> None:
    contents = [f"object {number}".encode() * (number + 1) for number in range(30)] + [b"", DATA * 100]
    for data in contents:
        rig.put(data)
    assert rig.upload(*(item(data, f"f{n}") for n, data in enumerate(contents))) == []
    assert sorted(faulty.objects.values()) == sorted(contents)
    sent = {seen.path.rpartition("/")[2]: seen.headers for seen in faulty.seen("PUT")}
    assert {oid: headers["Content-Length"] for oid, headers in sent.items()} == {
        oid: str(len(data)) for oid, data in faulty.objects.items()
    }


def test_what_the_server_has_is_not_sent(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA)
    faulty.add(DATA)
    assert rig.upload(item(DATA)) == []
    assert faulty.seen("PUT") == []


def test_an_object_that_only_the_server_has_needs_no_file(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    assert rig.upload(Item(item(DATA).oid, len(DATA), "a", missing=True)) == []


def test_a_missing_object_fails_alone(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA)
    failures = rig.upload(item(DATA, "here"), item(b"gone", "away"))
    assert [one.item.path for one in failures] == ["away"]
    assert isinstance(failures[0].error, ObjectMissing)
    assert str(failures[0].error) == f"missing object: away ({item(b'gone').oid})"
    assert list(faulty.objects.values()) == [DATA]


def test_a_missing_object_that_is_needed_stops_everything(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA)
    gone = Item(item(b"gone").oid, 4, "away", missing=True)
    failures = rig.upload(item(DATA, "here"), gone)
    assert {one.item.path for one in failures} == {"here", "away"}
    assert isinstance(failures[0].error, ObjectMissing)
    assert faulty.objects == {}


def test_an_object_of_another_size_is_not_sent(rig: Rig, faulty: FaultyServer) -> None:
    oid = rig.put(DATA)
    Path(rig.store.path(oid)).write_bytes(b"short")
    (failure,) = rig.upload(item(DATA))
    assert isinstance(failure.error, ObjectCorrupt)
    assert str(failure.error) == f"corrupt object: a.bin ({oid})"
    assert faulty.seen("PUT") == []


def test_chunked_when_the_action_says_so(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA * 10)
    faulty.wants_chunked = True
    assert rig.upload(item(DATA * 10)) == []
    headers = faulty.seen("PUT")[0].headers
    assert headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in headers


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x1f\x8b\x08rest", "application/x-gzip"),
        (b"plain text", "text/plain; charset=utf-8"),
        (b"\x00\x01binary", "application/octet-stream"),
        (b"PK\x03\x04zip", "application/zip"),
    ],
)
def test_the_content_type_is_guessed(rig: Rig, faulty: FaultyServer, head: bytes, kind: str) -> None:
    rig.put(head)
    assert rig.upload(item(head)) == []
    assert faulty.seen("PUT")[0].headers["Content-Type"] == kind


def test_the_content_type_is_not_guessed_when_told_not_to(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(b"plain text")
    rig.settings.append((f"lfs.{faulty.url.removesuffix('/lfs')}.contenttype", "0"))
    assert rig.upload(item(b"plain text")) == []
    assert faulty.seen("PUT")[0].headers["Content-Type"] == "application/octet-stream"


def test_422_tells_how_to_switch_the_guessing_off(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA)
    faulty.put.append(Status(422))
    told: list[str] = []
    trace.set_notice_sink(told.append)
    try:
        (failure,) = rig.upload(item(DATA))
    finally:
        trace.set_notice_sink(None)
    assert isinstance(failure.error, HttpError)
    assert "git config lfs.contenttype false" in told[0]
    assert len(faulty.seen("PUT")) == 1


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(rig: Rig, faulty: FaultyServer, code: int) -> None:
    rig.put(DATA * 50)
    faulty.put += [Status(code)] * 2
    assert rig.upload(item(DATA * 50)) == []
    assert faulty.objects == {item(DATA * 50).oid: DATA * 50}


@pytest.mark.parametrize("code", [404, 410, 413, 507])
def test_lasting_failures_are_not(rig: Rig, faulty: FaultyServer, code: int) -> None:
    rig.put(DATA)
    faulty.put.append(Status(code, "sorry"))
    (failure,) = rig.upload(item(DATA))
    assert str(failure.error) == "sorry"
    assert len(faulty.seen("PUT")) == 1


def test_a_verify_call_confirms(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA)
    faulty.wants_verify = True
    faulty.verify += [Status(404), Status(503)]
    assert rig.upload(item(DATA)) == []
    calls = faulty.seen("POST", "/verify")
    assert len(calls) == 3
    assert calls[0].headers["X-Check"] == "1"
    assert calls[0].body == b'{"oid":"%s","size":%d}' % (item(DATA).oid.encode(), len(DATA))


def test_an_unconfirmed_upload_fails(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA)
    faulty.wants_verify = True
    faulty.verify += [Status(503, "not here")] * 3
    (failure,) = rig.upload(item(DATA))
    assert isinstance(failure.error, VerifyFailed)
    assert "not here" in str(failure.error)
    assert len(faulty.seen("PUT")) == 1


def test_an_expired_action_is_asked_for_again(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA)
    faulty.expires_in.extend([-1, 600])
    assert rig.upload(item(DATA)) == []
    assert len(faulty.seen("POST", "/batch")) == 2


def test_one_worker_until_the_first_is_let_in_then_many(rig: Rig, faulty: FaultyServer) -> None:
    contents = [DATA + bytes([number]) for number in range(12)]
    for data in contents:
        rig.put(data)
    faulty.put += [Slow(0.15)] * 12
    options = TransferOptions(concurrency=4, retries=RetryPolicy(8, 0.01))
    assert rig.upload(*(item(data, f"f{n}") for n, data in enumerate(contents)), options=options) == []
    assert len(faulty.objects) == 12
    active = [thread for thread in threading.enumerate() if thread.name.startswith("transfer-")]
    assert active == []


def test_the_ref_and_the_transfers_are_sent(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA)
    assert rig.upload(item(DATA), options=TransferOptions(ref="refs/heads/main")) == []
    body = faulty.seen("POST", "/batch")[0].body
    assert b'"ref":{"name":"refs/heads/main"}' in body
    assert b'"transfers":["cwt-parts","basic"]' in body


def test_only_basic_is_offered_where_the_user_wants_that(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA)
    rig.settings.append(("lfs.basictransfersonly", "true"))
    assert rig.upload(item(DATA)) == []
    assert b'"transfers":["basic"]' in faulty.seen("POST", "/batch")[0].body


def test_a_file_that_shrinks_meanwhile_is_an_error(rig: Rig, faulty: FaultyServer) -> None:
    from hundredweight.transfer.pools import FileBody, FileChanged, FileSlice

    path = Path(rig.folder) / "shrinks"
    path.write_bytes(b"12345")
    with path.open("rb") as file:
        body = FileBody(file, 10, chunked=True, moved=lambda _n: None, started=lambda: None)
        with pytest.raises(FileChanged):
            list(body)
        import socket

        left, right = socket.socketpair()
        with left, right, pytest.raises(FileChanged):
            FileSlice(file, 0, 10).send(left)


def test_href_rewrite(rig: Rig, faulty: FaultyServer) -> None:
    rig.put(DATA)
    rig.settings += [
        ("lfs.transfer.enablehrefrewrite", "true"),
        (f"url.{faulty.url}/storage/.pushinsteadof", "http://unreachable.invalid/"),
        (f"url.{faulty.url}/storage/.insteadof", "http://unreachable.invalid/"),
    ]
    answer = b'{"objects":[{"oid":"%b","size":%d,"actions":{"%b":{"href":"http://unreachable.invalid/%b"}}}]}'
    oid = item(DATA).oid.encode()
    faulty.batch.append(Status(200, raw=answer % (oid, len(DATA), b"upload", oid)))
    assert rig.upload(item(DATA)) == []
    Path(rig.store.path(Oid(oid.decode()))).unlink()
    faulty.batch.append(Status(200, raw=answer % (oid, len(DATA), b"download", oid)))
    assert rig.download(item(DATA), options=FAST) == []
