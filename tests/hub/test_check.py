"""`cwt hub check`, on a data folder and on a running hub: damage is found, moved aside, and healed by the next push."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hundredweight.backend.memory import MemoryBackend
from hundredweight.git import config
from hundredweight.git.run import Git
from hundredweight.hub.admin.interface import CheckEvent, CheckReport
from hundredweight.hub.admin.remote import HubRefused, RemoteAdministration
from hundredweight.hub.tokens.service import Scope
from tests.cli.test_hub_administration import WAYS, run_hub, where
from tests.hub.serving import Caller, served, wait_for
from tests.hub.test_packing import Packing, weights
from tests.people import PROGRAMS, Person
from tests.running_hub import RunningHub

GOOD = b"good weights " * 100


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    return Person("ada", tmp_path / "ada")


def stored(hub: RunningHub, oid: str) -> Path:
    return hub.data / "objects" / oid[:2] / oid[2:4] / oid


def oid_in(pointer: str) -> str:
    return pointer.partition("sha256:")[2][:64]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_wrong_is_told_and_repaired(own_hub: RunningHub, ada: Person, way: str) -> None:
    flipped, short, lost, good = (oid_in(own_hub.upload("a/one", GOOD + bytes([number]))) for number in range(4))
    own_hub.upload("a/two", GOOD + b"\0")
    done = run_hub(ada, "check", *where(own_hub, way))
    assert (done.returncode, done.stdout) == (0, "4 objects, 5.2 KB: all good\n")
    assert done.stderr == "Checking objects: 100% (4/4), 5.2 KB, done.\n"

    flip(stored(own_hub, flipped))
    stored(own_hub, short).chmod(0o644)
    os.truncate(stored(own_hub, short), 5)
    stored(own_hub, lost).unlink()
    (own_hub.data / "objects" / "README").write_text("what?")
    done = run_hub(ada, "check", *where(own_hub, way))
    assert done.returncode == 1
    *lines, result, hint, hint_2 = done.stdout.splitlines()
    assert sorted(line.partition(" (")[0] for line in lines) == sorted(
        [f"damaged: {flipped}", f"damaged: {short}", f"missing: {lost}", "stray: README"]
    )
    assert any(" of a/one, a/two: the stored bytes have the SHA-256 " in line for line in lines)
    assert any(" of a/one: 5 bytes are stored where 1301 are recorded" in line for line in lines)
    assert result.endswith(": 2 damaged, 1 missing, 1 stray")
    assert "'cwt hub check --repair'" in hint
    assert "'git lfs push --all REMOTE'" in hint_2

    done = run_hub(ada, "check", "--repair", "--json", *where(own_hub, way))
    assert done.returncode == 1
    *found, end = map(json.loads, done.stdout.splitlines())
    assert {key: end[key] for key in ("event", "ok", "objects", "damaged", "missing", "stray", "quarantined")} == {
        "event": "end", "ok": False, "objects": 4, "damaged": 2, "missing": 1, "stray": 1, "quarantined": 2,
    }  # fmt: skip
    places = {one["name"]: one["place"] for one in found if one["kind"] == "damaged"}
    assert set(places) == {flipped, short}
    assert all((own_hub.data / "objects" / place).is_file() for place in places.values())
    assert stored(own_hub, good).exists()
    assert not stored(own_hub, flipped).exists()

    for number in range(4):
        own_hub.upload("a/one", GOOD + bytes([number]))
    (own_hub.data / "objects" / "README").unlink()
    assert run_hub(ada, "check", *where(own_hub, way)).stdout == "4 objects, 5.2 KB: all good\n"


def test_an_object_that_no_repository_has_is_not_missed(own_hub: RunningHub, ada: Person) -> None:
    oid = oid_in(own_hub.upload("a/one", GOOD))
    assert run_hub(ada, "repo", "delete", "--yes", "a/one", *where(own_hub, "hub")).returncode == 0
    stored(own_hub, oid).unlink()
    assert run_hub(ada, "check", *where(own_hub, "hub")).stdout.endswith(": all good\n")


@pytest.mark.peer
@pytest.mark.parametrize("client", ["ours", "stock"])
def test_the_next_push_of_either_client_heals(
    own_hub: RunningHub, ada: Person, tmp_path: Path, stock_git_lfs: Path, client: str
) -> None:
    bob = own_hub.person(tmp_path / "bob", "bob", programs=PROGRAMS if client == "ours" else stock_git_lfs)
    bob.git("lfs", "install", "--skip-repo")
    folder = bob.repository("work")
    bob.git("lfs", "track", "*.safetensors", cwd=folder)
    weights = {f"{number}.safetensors": random.Random(number).randbytes(200_000) for number in range(3)}
    bob.commit(folder, weights)
    bob.git("remote", "add", "origin", own_hub.remote("team/model"), cwd=folder)
    bob.git("push", "-q", "-u", "origin", "main", cwd=folder)
    objects = [path for path in (own_hub.data / "objects").rglob("*") if path.is_file()]
    assert len(objects) == 3
    flip(objects[0])
    objects[1].chmod(0o644)
    os.truncate(objects[1], 7)
    assert "failed" in bob.git("clone", own_hub.remote("team/model"), "broken", check=False)

    assert run_hub(ada, "check", "--repair", *where(own_hub, "hub")).returncode == 1
    bob.git("lfs", "push", "--all", "origin", cwd=folder)
    assert run_hub(ada, "check", *where(own_hub, "hub")).returncode == 0
    bob.git("clone", "-q", own_hub.remote("team/model"), "whole")
    assert {name: (bob.home / "whole" / name).read_bytes() for name in weights} == weights


def test_only_an_administrator_may_check(hub: RunningHub) -> None:
    assert hub.refused("POST", "/api/v1/check", {}, token=hub.new_token("eve", "write"))[0] == 403
    assert hub.refused("POST", "/api/v1/check", {}, token=hub.new_token("eve", "admin", "eve"))[0] == 403
    assert hub.refused("POST", "/api/v1/check", {}, token="")[0] == 401
    assert hub.refused("POST", "/api/v1/check", b"[]")[0] == 422


def remote(url: str, token: str) -> RemoteAdministration:
    git = Git()
    return RemoteAdministration(url, token, config.load(git), git, {})


def test_what_fails_on_the_way_is_told_in_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the answer has begun its status cannot change: the last line tells, and the client raises it."""
    monkeypatch.setattr("hundredweight.store.check.REPORT_SECONDS", 0.0)

    class Stopping(MemoryBackend):
        reads = 0

        def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
            self.reads += 1
            if self.reads == 3:
                hub.services.stopping.set()
            return super().read(key, start, end)

    with served(tmp_path / "hub", backend=Stopping()) as hub:
        sender = Caller(hub.url, hub.token())
        for number in range(5):
            sender.upload(bytes([number]))
        sender.close()
        admin = remote(hub.url, hub.token("root", Scope.ADMIN))
        seen: list[CheckEvent] = []
        with pytest.raises(HubRefused) as caught:
            seen.extend(admin.check(repair=True))
        assert (len(seen), caught.value.message) == (2, "the hub is stopping; the check is not finished")
        with pytest.raises(HubRefused) as caught:
            list(admin.check(repair=True))
        assert (caught.value.status, caught.value.message) == (503, "the hub is stopping; the check is not finished")
        admin.close()


def test_a_client_that_leaves_ends_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hundredweight.store.check.REPORT_SECONDS", 0.0)
    with served(tmp_path / "hub") as hub:
        sender = Caller(hub.url, hub.token())
        for number in range(3):
            sender.upload(bytes([number]) * 10)
        sender.close()
        admin = remote(hub.url, hub.token("root", Scope.ADMIN))
        events = admin.check(repair=False)
        assert next(events)["event"] == "progress"
        events.close()
        admin.close()
        wait_for(lambda: "/api/v1/check" in hub.log_text)


def test_a_hub_that_is_told_to_stop_ends_the_check(own_hub: RunningHub, ada: Person) -> None:
    """The object is a hole of 256 GiB, which takes minutes to read; the hub would wait half a minute for it."""
    oid = oid_in(own_hub.upload("a/one", GOOD))
    stored(own_hub, oid).chmod(0o644)
    os.truncate(stored(own_hub, oid), 256 << 30)
    with ThreadPoolExecutor(1) as pool:
        checking = pool.submit(run_hub, ada, "check", "--repair", *where(own_hub, "hub"))
        wait_for(lambda: "cwt_hub_requests_running 2" in own_hub.request("GET", "/metrics")[2].decode())
        began = time.monotonic()
        assert own_hub.stop() == 0
        done = checking.result(20)
    assert time.monotonic() - began < 15
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: the hub is stopping; the check is not finished\n")


def test_packed_objects_are_checked_and_healed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack stays where it is; what is damaged in it is forgotten, so that it can be sent and packed again."""
    monkeypatch.setattr("hundredweight.store.reader.KEPT", 0)
    with served(tmp_path / "hub") as hub:
        packing = Packing(hub)
        versions = [weights(number) for number in range(4)]
        oids = [packing.caller.upload(data) for data in versions]
        packing.pack_all()
        admin = remote(hub.url, hub.token("root", Scope.ADMIN))

        def end(*, repair: bool = False) -> CheckReport:
            *findings, last = (event for event in admin.check(repair=repair) if event["event"] != "progress")
            assert last["event"] == "end"
            assert {one["name"] for one in findings if one["event"] == "finding"} <= set(oids)
            return last

        assert (end()["ok"], end()["objects"]) == (True, 4)
        for path in packing.packs()[:1]:
            flip(path)
        found = end()
        assert (found["ok"], found["damaged"] > 0) == (False, True)
        fixed = end(repair=True)
        assert fixed["quarantined"] == found["damaged"]
        assert len(packing.packs()) == 4
        assert end()["missing"] == found["damaged"]

        packing.packs()[-1].unlink()
        end(repair=True)
        for data in versions:
            packing.caller.upload(data)
        assert end()["ok"]
        packing.pack_all()
        assert not any(packing.loose(oid) for oid in oids)
        assert end()["ok"]
        for oid, data in zip(oids, versions, strict=True):
            assert packing.caller.download(oid, len(data)) == data
        admin.close()
        packing.caller.close()
