"""The process: first start, one hub a folder, stopping with and without hurry, dying at any moment."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hundredweight.hub.tokens.secret import is_wellformed
from tests.hub.serving import Caller, sha256, wait_for
from tests.people import PROGRAMS, isolated
from tests.running_hub import RunningHub


def command(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`cwt hub serve` that is expected to give up at once."""
    return subprocess.run(
        [str(PROGRAMS / "cwt"), "hub", "serve", "--data", str(folder / "hub"), *options],
        env=isolated(folder / "home"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def objects_in(hub: RunningHub) -> list[Path]:
    return sorted(path for path in (hub.data / "objects").rglob("*") if path.is_file())


def temps_in(hub: RunningHub) -> list[Path]:
    return [path for path in (hub.data / "tmp").rglob("*") if path.is_file()]


@pytest.fixture
def slow_upload(own_hub: RunningHub) -> Iterator[tuple[socket.socket, bytes]]:
    """An upload that has begun: its connection, and the bytes that are still to be sent."""
    data = random.Random(5).randbytes(400_000)
    caller = Caller(own_hub.url, own_hub.token)
    parts = urlsplit(caller.one("upload", sha256(data), len(data))["actions"]["upload"]["href"])
    connection = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)
    head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data[:300_000])
    wait_for(lambda: temps_in(own_hub) != [])
    yield connection, data[300_000:]
    connection.close()


def test_the_first_start_shows_the_admin_token_once(tmp_path: Path) -> None:
    def start() -> tuple[list[bytes], str]:
        process = subprocess.Popen(
            [str(PROGRAMS / "cwt"), "hub", "serve", "--data", str(tmp_path / "hub"), "--port", "0"],
            env=isolated(tmp_path / "home"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while not lines[-1].startswith(b"listening on "):
            lines.append(process.stdout.readline())
        url = lines[-1].split()[-1].decode()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
        return lines, url

    lines, url = start()
    token = (tmp_path / "hub" / "admin-token").read_text().strip()
    assert lines == [f"admin token: {token}\n".encode(), f"listening on {url}\n".encode()]
    assert is_wellformed(token)
    assert (tmp_path / "hub" / "admin-token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "hub").stat().st_mode & 0o777 == 0o700
    (tmp_path / "hub" / "admin-token").unlink()
    lines, _ = start()
    assert len(lines) == 1
    assert not (tmp_path / "hub" / "admin-token").exists()


def test_a_second_hub_on_the_folder_is_refused(own_hub: RunningHub) -> None:
    assert own_hub.process is not None
    refused = command(own_hub.folder, "--port", "0")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert f"error: a hub with process id {own_hub.process.pid} serves '{own_hub.data}'" in refused.stderr
    assert "hint: stop that process first" in refused.stderr
    assert Caller(own_hub.url).send("GET", "/readyz").status == 200


def test_a_taken_port_is_refused(hub: RunningHub, tmp_path: Path) -> None:
    port = str(urlsplit(hub.url).port)
    refused = command(tmp_path, "--port", port)
    assert refused.returncode == 1
    assert f"error: cannot listen on '127.0.0.1' port {port}: Address already in use" in refused.stderr
    refused = command(tmp_path, "--host", "no.such.host.invalid")
    assert "error: cannot listen on 'no.such.host.invalid'" in refused.stderr


@pytest.mark.parametrize(
    "options", [("--port", "x"), ("--max-blob", "huge"), ("--no-such-option",), ("--log-format", "xml")]
)
def test_a_wrong_command_line_makes_nothing(tmp_path: Path, options: tuple[str, ...]) -> None:
    refused = command(tmp_path, *options)
    assert refused.returncode == 2
    assert "error: " in refused.stderr
    assert not (tmp_path / "hub").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file")
    refused = command(tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: cannot use the data folder '{tmp_path}/hub': ")
    assert "Traceback" not in refused.stderr


def test_sigterm_lets_a_running_upload_finish(own_hub: RunningHub, slow_upload: tuple[socket.socket, bytes]) -> None:
    connection, rest = slow_upload
    assert own_hub.process is not None
    own_hub.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert own_hub.process.poll() is None
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", urlsplit(own_hub.url).port or 0), timeout=1)
    connection.sendall(rest)
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert own_hub.stop() == 0
    assert len(objects_in(own_hub)) == 1
    assert temps_in(own_hub) == []


def test_the_grace_period_ends(tmp_path: Path) -> None:
    hub = RunningHub(tmp_path, "--grace-seconds", "1").start()
    caller = Caller(hub.url, hub.token)
    parts = urlsplit(caller.one("upload", "1" * 64, 500_000)["actions"]["upload"]["href"])
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall(
            f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n".encode()
            + b"x" * 300_000
        )
        wait_for(lambda: temps_in(hub) != [])
        begun = time.monotonic()
        assert hub.stop() == 0
        assert 0.9 < time.monotonic() - begun < 10
    assert temps_in(hub) == []
    assert "ended requests that were still running" in hub.log
    assert "Traceback" not in hub.log


def test_a_second_signal_does_not_wait(own_hub: RunningHub, slow_upload: tuple[socket.socket, bytes]) -> None:
    assert own_hub.process is not None
    own_hub.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    begun = time.monotonic()
    assert own_hub.stop() == 0
    assert time.monotonic() - begun < 10
    assert "Traceback" not in own_hub.log


@pytest.mark.parametrize("pause", [0.0005, 0.003, 0.02])
def test_signals_at_any_moment_of_the_end_are_no_failure(own_hub: RunningHub, pause: float) -> None:
    """Somebody impatient, or a supervisor that does not wait: what has finished its work was not killed."""
    Caller(own_hub.url, own_hub.token).upload(b"kept")
    process = own_hub.process
    assert process is not None
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        process.send_signal(signal.SIGTERM)
        time.sleep(pause)
    assert own_hub.stop() == 0
    assert "Traceback" not in own_hub.log
    own_hub.start()
    caller = Caller(own_hub.url, own_hub.token)
    assert caller.download(sha256(b"kept"), 4) == b"kept"


def test_a_killed_upload_is_removed_at_the_next_start(
    own_hub: RunningHub, slow_upload: tuple[socket.socket, bytes]
) -> None:
    assert own_hub.process is not None
    own_hub.process.kill()
    own_hub.process.wait()
    own_hub.stop()
    assert len(temps_in(own_hub)) == 1
    own_hub.start()
    assert temps_in(own_hub) == []
    assert objects_in(own_hub) == []
    assert "removed what unfinished requests left files=1" in own_hub.log


@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
def test_a_hub_killed_under_load_never_shows_a_wrong_object(tmp_path: Path, rounds: int) -> None:
    """Uploads run all the time; the hub dies at a random moment, again and again. What it said yes to stays."""
    chance = random.Random(rounds)
    hub = RunningHub(tmp_path).start()
    token = hub.token
    Caller(hub.url, token).upload(b"the repository exists")
    accepted: dict[str, int] = {}
    stopping = threading.Event()

    def upload(number: int) -> None:
        source = random.Random(number)
        while not stopping.is_set():
            data = source.randbytes(source.choice((100, 70_000, 900_000)))
            caller = Caller(hub.url, token)
            try:
                accepted[caller.upload(data)] = len(data)
            except Exception:  # noqa: BLE001 - the hub is being killed; what counts is what it accepted
                time.sleep(0.02)
            finally:
                caller.close()

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(rounds):
            before = len(accepted)
            wait_for(lambda before=before: len(accepted) > before, 30)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.1))
            assert hub.process is not None
            hub.process.kill()
            hub.stop()
            for path in objects_in(hub):
                assert sha256(path.read_bytes()) == path.name
            hub.start()
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
        hub.stop()
    hub.start()
    try:
        caller = Caller(hub.url, token)
        for oid, size in accepted.items():
            assert sha256(caller.download(oid, size)) == oid
        assert caller.upload(b"and it still works") == sha256(b"and it still works")
        assert temps_in(hub) == []
    finally:
        assert hub.stop() == 0


def test_the_data_folder_holds_what_the_page_says(own_hub: RunningHub) -> None:
    Caller(own_hub.url, own_hub.token).upload(b"x")
    page = (Path(__file__).parents[2] / "docs" / "hub.md").read_text(encoding="utf-8")
    for name in os.listdir(own_hub.data):
        assert f"`{name}`" in page or f"`{name}/" in page, name
