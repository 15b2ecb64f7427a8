"""Several small objects by one request: whose they are, what a request may ask for, and who never sees any of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hundredweight.protocol.bundle import LARGEST, MOST, read_bundle
from tests.hub.serving import Answer, Caller, Served, served, sha256

SMALL = [random.Random(number).randbytes(1000 * number + 1) for number in range(5)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def caller(hub: Served, request: pytest.FixtureRequest) -> Iterator[Caller]:
    made = Caller(hub.url, hub.token(), "team/" + request.node.originalname.replace("test_", "")[:80])
    yield made
    made.close()


def offered(caller: Caller, *contents: bytes, transfers: tuple[str, ...] = ("cwt-bundle", "basic")) -> Any:
    wanted = [(sha256(content), len(content)) for content in contents]
    answer = caller.batch("download", *wanted, transfers=list(transfers))
    assert answer.status == 200
    return answer.json


def href_of(caller: Caller, *contents: bytes) -> str:
    hrefs = {item["actions"]["bundle"]["href"] for item in offered(caller, *contents)["objects"]}
    assert len(hrefs) == 1
    return str(hrefs.pop())


def ask(caller: Caller, href: str, *oids: str) -> Answer:
    return caller.send("POST", href, json.dumps({"oids": oids}).encode())


def test_small_objects_come_together(caller: Caller) -> None:
    for content in SMALL:
        caller.upload(content)
    answer = ask(caller, href_of(caller, *SMALL), *map(sha256, SMALL))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert [bytes(found or b"") for found in read_bundle(answer.body, len(SMALL))] == SMALL


def test_who_does_not_ask_for_it_never_sees_it(caller: Caller) -> None:
    caller.upload(SMALL[1])
    for transfers in (("basic",), ("unknown", "basic"), ()):
        body = offered(caller, SMALL[1], transfers=transfers)
        assert body["transfer"] == "basic"
        assert list(body["objects"][0]["actions"]) == ["download"]


def test_clients_that_take_blocks_take_bundles(caller: Caller) -> None:
    caller.upload(SMALL[1])
    body = offered(caller, SMALL[1], transfers=("cwt-blocks", "cwt-bundle", "basic"))
    assert body["transfer"] == "cwt-blocks"
    assert list(body["objects"][0]["actions"]) == ["download", "bundle"]


def test_large_objects_come_alone(caller: Caller) -> None:
    large = bytes(LARGEST + 1)
    caller.upload(large)
    caller.upload(SMALL[1])
    href = href_of(caller, SMALL[1])
    assert list(offered(caller, large)["objects"][0]["actions"]) == ["download"]
    assert ask(caller, href, sha256(large)).status == 422


def test_a_request_has_its_bounds(caller: Caller) -> None:
    contents = [bytes([number]) * LARGEST for number in range(5)]
    for content in contents:
        caller.upload(content)
    href = href_of(caller, *contents)
    assert ask(caller, href, *map(sha256, contents)).status == 422
    assert ask(caller, href, *map(sha256, contents[:4])).status == 200
    assert ask(caller, href, sha256(contents[0]), sha256(contents[0])).status == 422
    assert ask(caller, href, *(f"{number:064x}" for number in range(MOST + 1))).status == 413
    assert ask(caller, href).status == 422
    assert caller.send("POST", href, b"{").status in (400, 422)


def test_objects_of_other_repositories_are_not_there(hub: Served, caller: Caller) -> None:
    other = Caller(hub.url, hub.token("eve"), "eve/secret")
    hidden = other.upload(b"somebody else's")
    other.close()
    mine = caller.upload(SMALL[1])
    answer = ask(caller, href_of(caller, SMALL[1]), hidden, mine, "0" * 64)
    assert [found and bytes(found) for found in read_bundle(answer.body, 3)] == [None, SMALL[1], None]


def test_only_a_signature_opens_it_and_for_its_own_repository(hub: Served, caller: Caller) -> None:
    oid = caller.upload(SMALL[1])
    href = href_of(caller, SMALL[1])
    path, _, query = href.partition("?")
    assert ask(caller, path, oid).status == 403
    assert ask(caller, href.replace("signature=", "signature=0"), oid).status == 403
    assert ask(caller, path.replace("/team/", "/eve/") + "?" + query, oid).status == 403
    single = offered(caller, SMALL[1])["objects"][0]["actions"]["download"]["href"]
    assert ask(caller, path + "?" + single.partition("?")[2], oid).status == 403


def test_what_the_store_lost_is_absent(hub: Served, caller: Caller, tmp_path: Path) -> None:
    lost = caller.upload(b"lost by the store")
    kept = caller.upload(SMALL[2])
    href = href_of(caller, SMALL[2])
    path = hub.services.store.local_path(lost)  # type: ignore[arg-type]
    assert path is not None
    Path(path).unlink()
    answer = ask(caller, href, lost, kept)
    assert [found and bytes(found) for found in read_bundle(answer.body, 2)] == [None, SMALL[2]]
