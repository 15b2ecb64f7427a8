"""The locking API over HTTP: its statuses, bodies, pages and rules."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.running_hub import RunningHub


class Locker:
    """One user at one repository's locks."""

    def __init__(self, hub: RunningHub, name: str, user: str, scope: str = "write") -> None:
        self.hub = hub
        self.base = f"/{name}.git/info/lfs/locks"
        self.token = hub.new_token(user, scope)

    def lock(self, path: str) -> dict[str, Any]:
        status, headers, body = self.hub.request("POST", self.base, {"path": path}, token=self.token)
        assert (status, headers["content-type"]) == (201, "application/vnd.git-lfs+json")
        made: dict[str, Any] = json.loads(body)["lock"]
        return made

    def list(self, **query: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.hub.request("GET", f"{self.base}?{urlencode(query)}", token=self.token)[2]
        )
        return found

    def verify(self, **fields: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.hub.request("POST", f"{self.base}/verify", fields, token=self.token)[2])
        return found

    def unlock(self, lock_id: str, **fields: object) -> dict[str, Any]:
        path = f"{self.base}/{lock_id}/unlock"
        gone: dict[str, Any] = json.loads(self.hub.request("POST", path, fields, token=self.token)[2])["lock"]
        return gone

    def refused(self, method: str, suffix: str, fields: dict[str, Any] | bytes | None = None) -> tuple[int, Any]:
        return self.hub.refused(method, self.base + suffix, fields, token=self.token)


@pytest.fixture
def name(hub: RunningHub) -> str:
    name = hub.new_name()
    hub.api("POST", "/repositories", {"name": name})
    return name


@pytest.fixture
def ada(hub: RunningHub, name: str) -> Locker:
    return Locker(hub, name, "ada")


@pytest.fixture
def bob(hub: RunningHub, name: str) -> Locker:
    return Locker(hub, name, "bob")


def test_a_lock_has_an_owner_a_time_and_one_holder(ada: Locker, bob: Locker) -> None:
    made = ada.lock("a/b.safetensors")
    assert made["path"] == "a/b.safetensors"
    assert made["owner"] == {"name": "ada"}
    assert made["locked_at"].endswith("Z")
    for user in (ada, bob):
        status, body = user.refused("POST", "", {"path": "a/b.safetensors", "ref": {"name": "refs/heads/other"}})
        assert status == 409
        assert body["lock"] == made
        assert body["message"] == "'a/b.safetensors' is already locked by ada"
        assert body["request_id"]
        assert "git lfs unlock --force" in body["hint"]
    assert ada.list() == {"locks": [made]}
    assert bob.list(path="a/b.safetensors") == {"locks": [made]}
    assert bob.list(id=made["id"]) == {"locks": [made]}
    assert bob.list(path="other") == {"locks": []}
    assert bob.list(refspec="refs/heads/anything") == {"locks": [made]}, "locks hold on all branches"


def test_ours_and_theirs(ada: Locker, bob: Locker) -> None:
    mine, other = ada.lock("mine"), bob.lock("other")
    assert ada.verify(ref={"name": "refs/heads/main"}) == {"ours": [mine], "theirs": [other]}
    assert bob.verify() == {"ours": [other], "theirs": [mine]}


def test_only_force_releases_anothers_lock(ada: Locker, bob: Locker) -> None:
    made = ada.lock("x")
    status, body = bob.refused("POST", f"/{made['id']}/unlock", {"force": False})
    assert (status, body["message"]) == (403, "'x' is locked by ada")
    assert bob.unlock(made["id"], force=True) == made
    assert ada.refused("POST", f"/{made['id']}/unlock", {})[0] == 404
    again = ada.lock("x")
    assert ada.unlock(again["id"]) == again
    assert ada.list() == {"locks": []}


@pytest.mark.parametrize(
    ("path", "kept"),
    [("a//b/./c", "a/b/c"), ("./x", "x"), ("with space/ü", "with space/ü"), ("line\nfeed", "line\nfeed")],
)
def test_paths_have_one_spelling(ada: Locker, path: str, kept: str) -> None:
    assert ada.lock(path)["path"] == kept
    assert ada.refused("POST", "", {"path": kept})[0] == 409
    assert len(ada.list(path=path)["locks"]) == 1


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a/..", ".git/config", "a/.GIT/x", "nul\0", ".", "//", "x" * 5000]
)
def test_paths_that_git_cannot_hold(ada: Locker, path: str) -> None:
    status, body = ada.refused("POST", "", {"path": path})
    assert status == 422
    assert "message" in body


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"path": 5}', b'{"path": "x", "ref": []}', b"[" * 5000])
def test_malformed_requests(ada: Locker, body: bytes) -> None:
    status, answer = ada.refused("POST", "", body)
    assert (status, "message" in answer) == (422, True)
    assert ada.list() == {"locks": []}


def test_pages(ada: Locker, bob: Locker) -> None:
    made = [(ada if number % 2 else bob).lock(f"file {number}") for number in range(7)]
    seen, cursor = [], ""
    while True:
        page = ada.list(limit=3, cursor=cursor)
        seen.append(page["locks"])
        cursor = page.get("next_cursor", "")
        if len(seen) == 1:
            bob.unlock(made[2]["id"]), ada.lock("meanwhile")
        if not cursor:
            break
    assert [len(page) for page in seen] == [3, 3, 2]
    assert [lock["path"] for page in seen for lock in page] == [f"file {n}" for n in range(7)] + ["meanwhile"]
    assert ada.verify(limit=4)["next_cursor"]
    rest = ada.verify(limit=4, cursor=ada.verify(limit=4)["next_cursor"])
    assert len(rest["ours"]) + len(rest["theirs"]) == 3
    assert len(ada.list(cursor="nonsense")["locks"]) == 7
    assert ada.refused("GET", "?limit=many")[0] == 422


def test_of_many_who_lock_at_once_one_gets_it(hub: RunningHub, name: str) -> None:
    lockers = [Locker(hub, name, f"user{number}") for number in range(8)]

    def attempt(locker: Locker) -> int:
        try:
            locker.lock("wanted")
        except OSError as error:  # urllib's HTTPError
            return int(getattr(error, "code", 0))
        return 201

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, lockers)) == [201] + [409] * 7


def test_scopes(hub: RunningHub, name: str, ada: Locker) -> None:
    made = ada.lock("x")
    reader = Locker(hub, name, "reader", "read")
    assert reader.list() == {"locks": [made]}
    assert reader.refused("POST", "", {"path": "y"})[0] == 403
    assert reader.refused("POST", "/verify", {})[0] == 403
    assert reader.refused("POST", f"/{made['id']}/unlock", {"force": True})[0] == 403
    assert hub.refused("GET", reader.base, token="")[0] == 401
    assert Locker(hub, "no/such", "ada").refused("GET", "")[0] == 404


def test_a_push_to_a_repository_yet_to_be_made_finds_no_locks(hub: RunningHub) -> None:
    name = hub.new_name()
    assert Locker(hub, name, "reader", "read").refused("POST", "/verify", {})[0] == 404
    assert Locker(hub, name, "ada").verify() == {"ours": [], "theirs": []}


def test_locks_stay_within_their_repository(hub: RunningHub, ada: Locker) -> None:
    made = ada.lock("x")
    other = hub.new_name()
    hub.api("POST", "/repositories", {"name": other})
    elsewhere = Locker(hub, other, "ada")
    assert elsewhere.list() == {"locks": []}
    assert elsewhere.refused("POST", f"/{made['id']}/unlock", {})[0] == 404
    assert elsewhere.lock("x")["id"] != made["id"]


def test_locks_outlive_the_hub(own_hub: RunningHub) -> None:
    own_hub.api("POST", "/repositories", {"name": "a/b"})
    ada = Locker(own_hub, "a/b", "ada")
    made = ada.lock("x")
    assert own_hub.stop() == 0
    own_hub.start()
    assert ada.list() == {"locks": [made]}
