"""Possession: bytes are shared on disk, never in authority. Over HTTP, as an attacker with a token would try it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hundredweight.base.ids import Oid, RepoName
from hundredweight.hub.objects.download import SENT_AT_ONCE
from hundredweight.hub.tokens.service import Scope
from hundredweight.protocol.pointer import EMPTY_OID
from tests.hub.serving import Caller, Served, served, sha256

SECRET = b"the weights of another team" * 100
OID = sha256(SECRET)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "hub") as running:
        yield running


def caller(hub: Served, name: str, bound: str, scope: Scope = Scope.WRITE) -> Caller:
    return Caller(hub.url, hub.token(bound, scope, bound), name)


def test_knowing_a_hash_gives_nothing(hub: Served) -> None:
    """Eve knows the id of an object that she may not read: she gets neither the bytes nor its existence."""
    assert caller(hub, "team/model", "team").upload(SECRET) == OID
    eve = caller(hub, "eve/model", "eve")
    eve.upload(b"something of her own")
    assert "upload" in eve.one("upload", OID, len(SECRET))["actions"]
    assert eve.one("download", OID, len(SECRET))["error"]["code"] == 404
    assert eve.send("GET", f"{eve.lfs}/objects/{OID}").status == 404
    # An announced size that is wrong is not corrected either: the answer is that for any unknown object.
    assert "upload" in eve.one("upload", OID, 5)["actions"]


def test_who_sends_the_bytes_comes_to_possess_them_and_they_are_stored_once(hub: Served) -> None:
    caller(hub, "team/model", "team").upload(SECRET)
    bob = caller(hub, "bob/copy", "bob")
    href = bob.one("upload", OID, len(SECRET))["actions"]["upload"]["href"]
    assert bob.send("PUT", href, SECRET[::-1]).status == 422
    assert bob.one("download", OID, len(SECRET))["error"]["code"] == 404
    assert bob.send("PUT", href, SECRET).status == 200
    assert bob.download(OID, len(SECRET)) == SECRET
    stats = hub.services.objects.stats()
    assert (stats.objects, stats.stored, stats.logical) == (1, len(SECRET), 2 * len(SECRET))


def test_possession_of_one_is_as_possession_of_many(hub: Served) -> None:
    ada = caller(hub, "team/model", "team")
    ada.upload(SECRET)
    caller(hub, "eve/model", "eve").upload(b"something of her own")
    objects = hub.services.objects
    for name in ("team/model", "eve/model"):
        repository = hub.services.repositories.get(RepoName.parse(name))
        for oid in (Oid(OID), EMPTY_OID, Oid("0" * 64)):
            assert objects.size(repository, oid) == objects.possessed(repository, [oid]).get(oid, -1)


@pytest.mark.parametrize("size", [1, SENT_AT_ONCE, SENT_AT_ONCE + 1])
def test_short_and_long_objects_are_answered_alike(hub: Served, size: int) -> None:
    ada = caller(hub, "team/model", "team")
    data = random.Random(size).randbytes(size)
    url = f"{ada.lfs}/objects/{ada.upload(data)}"
    for method, body in (("GET", data), ("HEAD", b"")):
        answer = ada.send(method, url)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, body, str(size))
    answer = ada.send("GET", url, Range="bytes=-1")
    assert answer.body == data[-1:]


def test_who_may_read_both_need_not_send_again(hub: Served) -> None:
    ada = caller(hub, "team/model", "team")
    ada.upload(SECRET)
    ada.lfs = ada.lfs.replace("team/model", "team/fine-tune")
    assert "actions" not in ada.one("upload", OID, len(SECRET))
    assert ada.download(OID, len(SECRET)) == SECRET
    fork = hub.services.repositories.get(RepoName.parse("team/fine-tune"))
    assert hub.services.objects.possessed(fork, []) == {}


def test_a_public_repository_lends_to_everybody(hub: Served) -> None:
    hub.services.repositories.create(RepoName.parse("open/model"), public=True)
    caller(hub, "open/model", "open").upload(SECRET)
    assert "actions" not in caller(hub, "bob/copy", "bob").one("upload", OID, len(SECRET))


def test_asking_for_a_download_claims_nothing(hub: Served) -> None:
    ada = caller(hub, "team/model", "team")
    ada.upload(SECRET)
    hub.services.repositories.create(RepoName.parse("team/other"))
    ada.lfs = ada.lfs.replace("team/model", "team/other")
    assert ada.one("download", OID, len(SECRET))["error"]["code"] == 404


def test_a_claim_of_many_objects_is_one_answer(hub: Served) -> None:
    ada = caller(hub, "team/model", "team")
    oids = [ada.upload(bytes([number]) * 10) for number in range(30)]
    ada.lfs = ada.lfs.replace("team/model", "team/next")
    answer = ada.batch("upload", *((oid, 10) for oid in oids), *((f"{number:064}", 10) for number in range(700)))
    assert ["actions" in item for item in answer.json["objects"]] == [False] * 30 + [True] * 700


@pytest.mark.parametrize(
    ("token", "anonymous_read", "public", "exists", "read", "write"),
    [
        ("none", False, False, True, 401, 401),
        ("none", False, False, False, 401, 401),
        ("none", False, True, True, 200, 401),
        ("none", True, False, True, 200, 401),
        ("none", True, False, False, 404, 401),
        ("stranger", False, False, True, 404, 404),
        ("stranger", False, False, False, 404, 404),
        ("stranger", False, True, True, 200, 403),
        ("stranger", True, False, True, 200, 403),
        ("reader", False, False, True, 200, 403),
        ("reader", False, False, False, 404, 404),
        ("writer", False, False, True, 200, 200),
        ("writer", False, False, False, 404, 200),
    ],
)
def test_who_may_do_what(
    tmp_path: Path, token: str, anonymous_read: bool, public: bool, exists: bool, read: int, write: int
) -> None:
    """404 where a repository may not be read, whether it exists or not; 401 for everybody without a token."""
    with served(tmp_path / "hub", anonymous_read=anonymous_read) as hub:
        if exists:
            hub.services.repositories.create(RepoName.parse("team/model"), public=public)
        texts = {
            "none": "",
            "stranger": hub.token("eve", Scope.ADMIN, "eve"),
            "reader": hub.token("rob", Scope.READ, "team"),
            "writer": hub.token("ada", Scope.WRITE, "team/model"),
        }
        sender = Caller(hub.url, texts[token])
        assert sender.batch("download", (OID, 5)).status == read
        answer = sender.batch("upload", (OID, 5))
        assert answer.status == write
        if write == 401:
            assert answer.headers["www-authenticate"].startswith("Basic ")
            assert answer.headers["lfs-authenticate"].startswith("Basic ")
        if write >= 400:
            assert answer.json["message"]
            assert "team/model" not in answer.json["message"] or token != "none"


def test_a_revoked_token_opens_nothing_from_then_on(hub: Served) -> None:
    token, text = hub.services.tokens.create("ada", Scope.WRITE)
    sender = Caller(hub.url, text)
    sender.upload(SECRET)
    hub.services.tokens.revoke(str(token.id))
    answer = sender.batch("download", (OID, len(SECRET)))
    assert answer.status == 401
    assert answer.json["message"] == "the token was revoked"


def test_a_signed_url_ends_with_its_time_and_its_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path / "hub", action_seconds=10) as hub:
        sender = Caller(hub.url, hub.token())
        sender.upload(SECRET)
        href = sender.one("download", OID, len(SECRET))["actions"]["download"]["href"]
        hub.services.repositories.delete(RepoName.parse("team/model"))
        assert sender.send("GET", href).status == 404
        sender.upload(SECRET)
        assert sender.send("GET", href).status == 404
        href = sender.one("download", OID, len(SECRET))["actions"]["download"]["href"]
        monkeypatch.setattr("hundredweight.hub.objects.signing.time.time", lambda: 4e9)
        answer = sender.send("GET", href)
        assert (answer.status, answer.json["message"]) == (403, "the URL has expired")
