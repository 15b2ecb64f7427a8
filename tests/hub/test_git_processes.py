"""Git children under the hub: bounded in number and time, and never left behind."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from hundredweight.git.run import Git
from hundredweight.hub.errors import Busy
from hundredweight.hub.smarthttp.body import BadBody, decoded
from hundredweight.hub.smarthttp.service import GitCall, GitFailed, GitProcesses, is_protocol, wants_version_2
from tests.running_hub import git_children

LS_REFS = b"0014command=ls-refs\n00010000"


@pytest.fixture
def bare(tmp_path: Path) -> str:
    Git().output("init", "-q", "--bare", str(tmp_path / "bare"))
    return str(tmp_path / "bare")


async def nothing(_data: bytes) -> None:
    """Drops git's output."""


async def body(*parts: bytes, forever: bool = False) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if forever:
        await asyncio.sleep(1000)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def upload(folder: str) -> GitCall:
    return GitCall("upload-pack", folder, protocol="version=2")


def test_git_that_stands_still_is_ended(bare: str) -> None:
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        run(GitProcesses(idle=0.2).run(upload(bare), body(b"00", forever=True), nothing))
    assert time.monotonic() - begin < 5
    assert not git_children(os.getpid())


def test_cancelling_ends_git(bare: str) -> None:
    async def start_and_cancel() -> None:
        processes = GitProcesses()
        task = asyncio.create_task(processes.run(upload(bare), body(b"00", forever=True), nothing))
        while not processes.running or not git_children(os.getpid()):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert processes.running == 0

    run(start_and_cancel())
    assert not git_children(os.getpid())


def test_a_failing_body_or_client_ends_git(bare: str) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"00"
        raise BadBody("broken")

    async def gone(_data: bytes) -> None:
        raise ConnectionResetError

    with pytest.raises(BadBody):
        run(GitProcesses().run(upload(bare), broken(), nothing))
    with pytest.raises(ConnectionResetError):
        run(GitProcesses().run(upload(bare), body(LS_REFS), gone))
    assert not git_children(os.getpid())


def test_a_full_queue_says_so(bare: str) -> None:
    async def crowd() -> None:
        processes = GitProcesses(limit=1, queue=1)
        first = [asyncio.create_task(processes.run(upload(bare), body(b"00", forever=True), nothing)) for _ in range(2)]
        while processes.running != 1 or processes.waiting != 1:
            await asyncio.sleep(0.01)
        with pytest.raises(Busy, match="1 requests wait"):
            await processes.run(upload(bare), body(), nothing)
        for task in first:
            task.cancel()
        await asyncio.gather(*first, return_exceptions=True)
        assert (processes.running, processes.waiting) == (0, 0)
        await processes.run(upload(bare), body(LS_REFS), nothing)

    run(crowd())


def test_git_that_fails_before_a_word(bare: str) -> None:
    with pytest.raises(GitFailed) as caught:
        run(GitProcesses().run(upload(bare + "-missing"), body(LS_REFS), nothing))
    assert (caught.value.code, caught.value.status) == (128, 500)
    assert "does not appear to be a git repository" in caught.value.stderr


def test_a_client_that_sends_on_after_git_has_ended_is_heard_out(bare: str) -> None:
    """Cut off while it sends it would never read the answer."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(300):
            read += 1
            yield b"garbage!" * 1000
            await asyncio.sleep(0)

    with pytest.raises(GitFailed):
        run(GitProcesses().run(upload(bare), endless(), nothing))
    assert read == 300


def test_the_environment_is_gits_own(bare: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("SECRET", "x")
    environment = GitCall("upload-pack", bare, protocol="version=2:x", variables={"A": "b"}).environment()
    assert environment["GIT_PROTOCOL"] == "version=2:x"
    assert environment["A"] == "b"
    assert environment["GIT_CONFIG_GLOBAL"] == os.devnull
    assert not {"GIT_DIR", "SECRET", "HOME"} & set(environment)
    assert "GIT_PROTOCOL" not in GitCall("upload-pack", bare, protocol="version=2\nX: y").environment()


@pytest.mark.parametrize(
    ("header", "good", "version_2"),
    [("version=2", True, True), ("version=1:object-format=sha256", True, False), ("", False, False), ("a" * 201, False, False),
     ("version=2:version=1", True, True), ("version=22", True, False), ("x y", False, False), ("é", False, False)],
)  # fmt: skip
def test_the_protocol_header(header: str, good: bool, version_2: bool) -> None:
    assert is_protocol(header) is good
    assert wants_version_2(header) is version_2


def test_a_gzip_bomb_stays_small_in_memory_and_is_stopped() -> None:
    import gzip

    bomb = gzip.compress(b"\0" * (64 << 20))

    async def inflate() -> int:
        most = 0
        async for part in decoded(body(*(bomb[i : i + 1000] for i in range(0, len(bomb), 1000))), "gzip", 16 << 20):
            most = max(most, len(part))
        return most

    with pytest.raises(BadBody) as caught:
        run(inflate())
    assert caught.value.status == 413
