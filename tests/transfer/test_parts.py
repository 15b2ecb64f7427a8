"""Uploads in parts by the client, against the real hub: resumed after every cut, shared by two, whole where parts are refused."""

from __future__ import annotations

import hashlib
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hundredweight.base import trace
from hundredweight.base.errors import CwtError
from hundredweight.base.ids import Oid
from hundredweight.hub.objects import staging
from hundredweight.store import staged
from hundredweight.transfer import actions
from hundredweight.transfer import parts as adapter
from hundredweight.transfer.basic import ObjectCorrupt
from hundredweight.transfer.http import ConnectionFailed
from hundredweight.transfer.pools import FileBody
from hundredweight.transfer.queue import TransferOptions
from hundredweight.transfer.retry import RetryPolicy
from hundredweight.transfer.upload_session import UploadSession
from tests.hub.serving import Served, served
from tests.transfer.rig import FAST, Rig, item

PART = 64 << 10
DATA = random.Random(11).randbytes(PART * 9 + 77)
OID = Oid(hashlib.sha256(DATA).hexdigest())
NO_RETRY = TransferOptions(retries=RetryPolicy(0, 0.01))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "hub", part_size=PART) as found:
        yield found


@pytest.fixture
def rig(hub: Served, tmp_path: Path, git_env: dict[str, str]) -> Rig:
    return clone(hub, tmp_path / "clone", git_env, hub.token())


def clone(hub: Served, folder: Path, env: dict[str, str], token: str) -> Rig:
    subprocess.run(["git", "init", "-q", str(folder)], check=True, env=env)
    made = Rig(folder, env, f"{hub.url}/team/model.git/info/lfs")
    made.settings.append((f"http.{hub.url}.extraheader", f"Authorization: Bearer {token}"))
    return made


def stored(hub: Served, oid: Oid = OID) -> bytes | None:
    store = hub.services.store
    return b"".join(store.read(oid)) if store.size(oid) >= 0 else None


def part_requests(hub: Served, status: int = 200) -> int:
    lines = [line for line in hub.log_text.splitlines() if "method=PUT" in line and "/parts/" in line]
    return sum(f"status={status}" in line for line in lines)


class Cutting:
    """Fails the put of parts by number, before (`after` False) or once they arrived."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *numbers: int, after: bool = False) -> None:
        self.left = set(numbers)
        self.lock = threading.Lock()
        real = UploadSession.put

        def put(session: UploadSession, number: int, body: FileBody) -> None:
            with self.lock:
                due = number in self.left
                self.left.discard(number)
            if due and not after:
                raise ConnectionFailed("PUT", "http://hub/part", "cut", established=True)
            real(session, number, body)
            if due:
                raise ConnectionFailed("PUT", "http://hub/part", "cut", established=True)

        monkeypatch.setattr(UploadSession, "put", put)


def test_large_objects_go_in_parts_and_small_ones_whole(hub: Served, rig: Rig) -> None:
    contents = [DATA, DATA[:PART], b"", DATA[1:], b"tiny"]
    for data in contents:
        rig.put(data)
    assert rig.upload(*(item(data, f"f{n}") for n, data in enumerate(contents))) == []
    for data in contents:
        if data:
            assert stored(hub, Oid(hashlib.sha256(data).hexdigest())) == data
    assert part_requests(hub) == 20
    assert hub.services.store.backend.stages() == ()


def test_basic_only_is_basic_only(hub: Served, rig: Rig) -> None:
    rig.put(DATA)
    rig.settings.append(("lfs.basictransfersonly", "true"))
    assert rig.upload(item(DATA)) == []
    assert stored(hub) == DATA
    assert part_requests(hub) == 0


@pytest.mark.parametrize("after", [False, True], ids=["cut before", "answer lost"])
def test_a_cut_costs_one_part(hub: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    rig.put(DATA)
    Cutting(monkeypatch, 0, 4, 9, after=after)
    assert rig.upload(item(DATA)) == []
    assert stored(hub) == DATA
    assert part_requests(hub) <= 10


def test_the_next_run_sends_what_is_missing(hub: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put(DATA)
    Cutting(monkeypatch, 6)
    [failure] = rig.upload(item(DATA), options=NO_RETRY)
    assert isinstance(failure.error, ConnectionFailed)
    assert stored(hub) is None
    sent = part_requests(hub)
    assert 5 <= sent <= 9
    monkeypatch.undo()
    assert rig.upload(item(DATA)) == []
    assert stored(hub) == DATA
    assert part_requests(hub) == 10


def test_the_network_breaks_within_a_part(hub: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put(DATA)
    real = FileBody.__iter__
    broken = threading.Event()

    def breaking(body: FileBody) -> Iterator[Any]:
        for piece in real(body):
            if body.start == 3 * PART and not broken.is_set():
                broken.set()
                raise ConnectionResetError("cut")
            yield piece

    monkeypatch.setattr(FileBody, "__iter__", breaking)
    assert rig.upload(item(DATA)) == []
    assert broken.is_set()
    assert stored(hub) == DATA


def test_two_clients_share_one_object(
    hub: Served, rig: Rig, tmp_path: Path, git_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "TAKEN_PAUSE", 0.02)
    rigs = [rig, *(clone(hub, tmp_path / f"c{n}", git_env, hub.token()) for n in range(3))]
    for one in rigs:
        one.put(DATA)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda one: one.upload(item(DATA)), rigs)) == [[]] * 4
    assert stored(hub) == DATA
    assert hub.services.store.backend.stages() == ()


def test_a_part_that_somebody_else_never_ends_is_given_up(
    hub: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(DATA)
    monkeypatch.setattr(adapter, "TAKEN_PAUSE", 0.02)
    monkeypatch.setattr(adapter, "TAKEN_PATIENCE", 0.1)
    real = staged.StagedStream.begin

    def begin(stream: staged.StagedStream, number: int) -> Any:
        if number == 2:
            raise staged.PartBusy(number)
        return real(stream, number)

    monkeypatch.setattr(staged.StagedStream, "begin", begin)
    [failure] = rig.upload(item(DATA), options=NO_RETRY)
    assert "part 2 is being sent" in str(failure.error)
    assert part_requests(hub) == 9
    monkeypatch.setattr(staged.StagedStream, "begin", real)
    assert rig.upload(item(DATA)) == []
    assert stored(hub) == DATA


def test_what_an_earlier_run_damaged_is_sent_again(hub: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put(DATA)
    Cutting(monkeypatch, 9)
    assert len(rig.upload(item(DATA), options=NO_RETRY)) == 1
    monkeypatch.undo()
    [stat] = hub.services.store.backend.stages()
    stage = hub.services.store.backend.stage(stat.key, create=False)
    assert stage is not None
    for upload in list(hub.services.staging._uploads.values()):
        hub.services.staging._uploads.pop(upload.stage.name)
    stage.write_at(5, [b"damage"])
    assert rig.upload(item(DATA)) == []
    assert stored(hub) == DATA


def test_a_damaged_local_object_is_refused_for_good(hub: Served, rig: Rig) -> None:
    rig.put(DATA)
    path = Path(rig.store.path(OID))
    path.chmod(0o600)
    path.write_bytes(DATA[:-1] + b"?")
    [failure] = rig.upload(item(DATA))
    assert OID in str(failure.error)
    assert stored(hub) is None
    path.write_bytes(DATA[:-1])
    [failure] = rig.upload(item(DATA))
    assert isinstance(failure.error, ObjectCorrupt)


@pytest.mark.parametrize("refusal", ["too many", "unknown"])
def test_where_parts_are_refused_the_object_goes_whole(
    hub: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    rig.put(DATA)
    if refusal == "too many":
        monkeypatch.setattr(staging, "MAX_UPLOADS", 0)
    else:
        monkeypatch.setattr(
            staging.Staging, "open", lambda *_: (_ for _ in ()).throw(staging.UploadUnknown("no such thing"))
        )
    told: list[str] = []
    trace.set_sink(told.append)
    try:
        assert rig.upload(item(DATA)) == []
    finally:
        trace.set_sink(None)
    assert any("sending it whole" in line for line in told)
    assert stored(hub) == DATA
    assert part_requests(hub) == 0


def test_an_expired_action_is_renewed(hub: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put(DATA)
    expired = threading.Event()
    real = actions.Job.action

    def action(job: actions.Job, name: str, now: float) -> Any:
        if job.moved > 3 * PART and not expired.is_set():
            expired.set()
            raise actions.ActionExpired(name, now)
        return real(job, name, now)

    monkeypatch.setattr(actions.Job, "action", action)
    assert rig.upload(item(DATA)) == []
    assert expired.is_set()
    assert stored(hub) == DATA
    assert part_requests(hub) == 10


def test_a_check_that_takes_long_is_waited_for(hub: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put(DATA)
    real = staged.StagedObject.finish
    asked: list[float] = []

    def finish(upload: staged.StagedObject, seconds: float) -> bool:
        asked.append(seconds)
        return real(upload, seconds) if len(asked) > 2 else False

    monkeypatch.setattr(staged.StagedObject, "finish", finish)
    assert rig.upload(item(DATA)) == []
    assert len(asked) == 3
    assert stored(hub) == DATA


def test_connections_are_few(hub: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [DATA[n:] for n in range(4)]
    for data in contents:
        rig.put(data)
    running = most = 0
    lock = threading.Lock()
    real = UploadSession.put

    def put(session: UploadSession, number: int, body: FileBody) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        real(session, number, body)
        with lock:
            running -= 1

    monkeypatch.setattr(UploadSession, "put", put)
    assert rig.upload(item(contents[0], "one"), options=FAST) == []
    assert most == adapter.CONNECTIONS
    most = 0
    one = TransferOptions(concurrency=1, retries=RetryPolicy(8, 0.01))
    assert rig.upload(*(item(data, f"f{n}") for n, data in enumerate(contents[1:])), options=one) == []
    assert most == 1


def test_an_upload_that_is_abandoned_stops(hub: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put(DATA)

    def put(_session: UploadSession, _number: int, _body: FileBody) -> None:
        raise CwtError("stop")

    monkeypatch.setattr(UploadSession, "put", put)
    [failure] = rig.upload(item(DATA))
    assert str(failure.error) == "stop"
    assert stored(hub) is None
