"""The shaped link passes bytes unchanged, counts them, and is as fast as it says however many connections share it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.weights.shaping import LATENESS, Line, shaped_link


@contextmanager
def echo_server() -> Iterator[int]:
    """Sends back what it got, once the sender has ended."""

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.sendall(everything(connection))

    def accept() -> None:
        for _ in range(64):
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def exchange(url: str, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return everything(connection)


def test_bytes_pass_unchanged_and_are_counted_each_way() -> None:
    data = os.urandom(3_000_001)
    with echo_server() as port, shaped_link("127.0.0.1", port) as (link, url):
        assert exchange(url, data) == data
    assert (link.up.passed, link.down.passed) == (len(data), len(data))


def test_a_connection_to_nowhere_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        shaped_link("127.0.0.1", port) as (_, url),
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as near,
    ):
        near.settimeout(10)
        assert near.recv(1) == b""


@pytest.mark.parametrize("connections", [1, 4])
def test_no_faster_than_it_says_however_many_share_it(connections: int) -> None:
    size = 2_000_000 // connections
    results: list[bytes] = []
    with echo_server() as port, shaped_link("127.0.0.1", port, mbit=80) as (_, url):
        begin = time.monotonic()
        threads = [
            threading.Thread(target=lambda: results.append(exchange(url, bytes(size)))) for _ in range(connections)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - begin
    assert [len(result) for result in results] == [size] * connections
    # 2 MB at 10 MB/s up, and down again; several connections may overlap the two directions but for the first and the last.
    assert seconds >= (0.4 if connections == 1 else 0.2) - 2 * LATENESS


def test_latency_is_paid_once_each_way() -> None:
    with echo_server() as port, shaped_link("127.0.0.1", port, mbit=1000, latency=0.1) as (_, url):
        begin = time.monotonic()
        assert exchange(url, bytes(500_000)) == bytes(500_000)
        assert time.monotonic() - begin >= 0.2


def test_a_booked_line_is_exact_over_time_and_forgives_only_lateness() -> None:
    line = Line(1000.0)
    now = line.book(100, 50.0)
    assert now == pytest.approx(50.1 - LATENESS)
    assert line.book(100, now) == pytest.approx(50.2 - LATENESS)
    assert line.book(100, 60.0) == pytest.approx(60.1 - LATENESS)
    assert line.passed == 300
