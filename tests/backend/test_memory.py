"""The backend in memory: the contract, room that ends, scripted faults."""

from __future__ import annotations

import pytest

from hundredweight.backend.interface import Backend, BackendFailed, BackendFull
from hundredweight.backend.memory import MemoryBackend
from tests.backend.contract import BackendContract


class TestMemoryBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()


def test_room_ends_and_comes_back() -> None:
    backend = MemoryBackend(capacity=10)
    backend.put("a", b"12345")
    with backend.writer() as writer:
        writer.write([b"1234"])
        with pytest.raises(BackendFull) as caught:
            writer.write([b"12"])
        assert caught.value.temporary
    assert backend.open_writers == 0
    backend.check()
    backend.put("b", b"12345")
    with pytest.raises(BackendFull):
        backend.check()
    backend.delete("a")
    assert backend.put("c", b"12345")


def test_losing_a_race_gives_the_room_back() -> None:
    backend = MemoryBackend(capacity=10)
    backend.put("a", b"12345")
    assert not backend.put("a", b"54321")
    assert backend.put("b", b"12345")


def test_a_scripted_fault_comes_once() -> None:
    backend = MemoryBackend()
    for call in (lambda: backend.put("k", b"x"), backend.check, lambda: backend.stat("k"), lambda: backend.read("k")):
        backend.fail_next(BackendFailed("the disk is gone"))
        with pytest.raises(BackendFailed, match="the disk is gone"):
            call()
    assert backend.put("k", b"x")
    assert backend.open_writers == 0
