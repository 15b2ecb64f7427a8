"""Lending memory to a pipe: the reader gets what was lent, and where nothing can be lent it is copied."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from hundredweight.client.filter_stream import PIPE, FilterStream
from hundredweight.client.lending import Lender
from hundredweight.protocol.filter import take_packet
from hundredweight.protocol.pktline import FLUSH, MAX_PAYLOAD

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems copy")


def numbered(size: int) -> bytes:
    """No two blocks are equal, so that one in the place of another is seen."""
    return b"".join(hashlib.sha256(b"%d" % place).digest() * 128 for place in range(0, size, 4096))[:size]


def content_of(raw: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        packet, at = take_packet(raw, at)
        if packet is None:
            assert at == len(raw)
            return b"".join(parts)
        parts.append(packet)


class SlowReader(threading.Thread):
    """Takes one file's content as git does, and rests now and then, so that the pipe is full and frames wait for it."""

    def __init__(self, source: int, size: int) -> None:
        super().__init__()
        self._source = source
        self._length = size + 4 * -(-size // MAX_PAYLOAD) + len(FLUSH)
        self._raw = b""
        self.start()

    def run(self) -> None:
        parts = []
        while self._length:
            parts.append(os.read(self._source, min(self._length, 50_000)))
            self._length -= len(parts[-1])
            if len(parts) % 40 == 0:
                time.sleep(0.005)
        self._raw = b"".join(parts)

    def content(self) -> bytes:
        self.join()
        return content_of(self._raw)


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("piped", [True, False])
def test_a_slow_reader_gets_each_byte_of_files_that_follow_each_other(
    tmp_path: Path, hashed: bool, piped: bool
) -> None:
    ends = os.pipe() if piped else tuple(end.detach() for end in reversed(socket.socketpair()))
    stream = FilterStream(*ends)
    for size in (PIPE + 1, 9 * PIPE + 5, 5 * PIPE, 7, 3 * (PIPE - 64)):
        content = numbered(size)
        (tmp_path / "object").write_bytes(content)
        reader = SlowReader(ends[0], size)
        with (tmp_path / "object").open("rb") as source:
            answer = stream.send_file(source.fileno(), b"", hashed)
        stream.send(FLUSH)
        assert answer == (size, hashlib.sha256(content).hexdigest() if hashed else "")
        assert reader.content() == content
    for end in ends:
        os.close(end)


@linux
def test_memory_is_lent_and_not_copied() -> None:
    source, sink = os.pipe()
    memory = bytearray(b"weights")
    assert Lender(sink, PIPE).lend(memoryview(memory))
    memory[0:1] = b"W"
    assert os.read(source, 100) == b"Weights"
    os.close(source)
    with pytest.raises(BrokenPipeError):
        Lender(sink, PIPE).lend(memoryview(memory))
    os.close(sink)


def test_nothing_is_lent_to_a_pipe_that_holds_more_than_the_frames_or_to_a_file(tmp_path: Path) -> None:
    source, sink = os.pipe()
    assert not Lender(sink, 4095).lend(memoryview(bytearray(7)))
    os.close(sink)
    assert os.read(source, 100) == b""
    os.close(source)
    with (tmp_path / "file").open("wb") as file:
        assert not Lender(file.fileno(), PIPE).lend(memoryview(bytearray(7)))
    assert (tmp_path / "file").read_bytes() == b""
