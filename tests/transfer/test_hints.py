"""Whatever a server refuses or breaks, the error says what mends it; the server's own advice goes first."""

from __future__ import annotations

import json

import pytest

from tests.transfer.faulty import Announce, Corrupt, Cut, Fault, FaultyServer, Status
from tests.transfer.rig import Rig, item

REFUSALS = (400, 401, 403, 404, 409, 410, 413, 418, 422, 429, 500, 503, 507, 509)
DATA = b"weights" * 100


@pytest.mark.parametrize("status", REFUSALS)
def test_each_refusal_has_a_hint(rig: Rig, faulty: FaultyServer, status: int) -> None:
    faulty.add(DATA)
    faulty.batch.extend([Status(status, "no")] * 20)
    (failure,) = rig.download(item(DATA))
    assert failure.error.hint


@pytest.mark.parametrize(
    "fault", [Cut(10), Corrupt(), Announce(10), Status(404, html=True)], ids=lambda fault: type(fault).__name__
)
def test_each_broken_download_has_a_hint(rig: Rig, faulty: FaultyServer, fault: Fault) -> None:
    faulty.add(DATA)
    faulty.get.extend([fault] * 20)
    (failure,) = rig.download(item(DATA))
    assert failure.error.hint


def test_a_page_instead_of_json_has_a_hint(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.batch.extend([Status(200, html=True)] * 20)
    (failure,) = rig.download(item(DATA))
    assert "proxy" in failure.error.hint


def test_the_server_s_own_hint_goes_first(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    body = json.dumps({"message": "no space left", "hint": "free some space where the hub stores its data"}).encode()
    faulty.batch.append(Status(507, raw=body))
    (failure,) = rig.download(item(DATA))
    assert failure.error.hint == "free some space where the hub stores its data"


def test_for_an_object_that_the_server_lacks_the_hint_is_to_push_it(rig: Rig, faulty: FaultyServer) -> None:
    """Unknown, removed, or known with no way to it; of a server that lacks the repository that says nothing."""
    advice = "'git lfs push --all REMOTE'"
    answer = {"oid": item(DATA).oid, "size": len(DATA)}
    (failure,) = rig.download(item(DATA))
    assert advice in failure.error.hint
    for code, expected in ((410, True), (403, False)):
        refused = {"objects": [answer | {"error": {"code": code, "message": "no"}}]}
        faulty.batch.append(Status(200, raw=json.dumps(refused).encode()))
        (failure,) = rig.download(item(DATA))
        assert (advice in failure.error.hint) is expected
    faulty.batch.append(Status(200, raw=json.dumps({"objects": [answer]}).encode()))
    (failure,) = rig.download(item(DATA))
    assert "not found on the server" in str(failure.error)
    assert advice in failure.error.hint
    faulty.batch.append(Status(404, "no such repository"))
    (failure,) = rig.download(item(DATA))
    assert "check the URL" in failure.error.hint


def test_a_422_is_blamed_on_the_content_type_only_where_the_server_gives_no_reason(
    rig: Rig, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("hundredweight.transfer.queue.notice", told.append)
    rig.put(DATA)
    faulty.put.append(Status(422, raw=json.dumps({"message": "wrong bytes", "hint": "run 'git lfs fsck'"}).encode()))
    (failure,) = rig.upload(item(DATA))
    assert (failure.error.hint, told) == ("run 'git lfs fsck'", [])
    faulty.put.append(Status(422, "no"))
    rig.upload(item(DATA))
    assert "contenttype" in told[0]


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/a", "http://127.0.0.1:8417.git/info/lfs", "http://[::1/a"])
def test_what_is_no_url_is_told(rig: Rig, faulty: FaultyServer, url: str) -> None:
    faulty.add(DATA)
    faulty.public_url = url
    (failure,) = rig.download(item(DATA))
    assert "not a URL" in str(failure.error)
    assert failure.error.hint
    faulty.public_url = ""
    faulty.batch.append(Status(307, headers={"Location": url}))
    (failure,) = rig.download(item(DATA))
    assert "not a URL" in str(failure.error)
    rig.settings.append(("lfs.url", url))
    (failure,) = rig.download(item(DATA))
    assert "not a URL" in str(failure.error)
