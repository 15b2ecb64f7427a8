"""A link of a given speed: a TCP proxy that all connections of a measurement share.

Each direction has a token bucket of its own, as a full-duplex line has, and counts the bytes that pass. Latency comes on top,
once each way. `python -m bench.weights.shaping HOST:PORT --mbit 100` runs it by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK = 128 * 1024
# The system's own buffer on either side; its default, several MiB, would take in a whole small transfer at once.
SOCKET_BUFFER = 256 * 1024
# A line never idle while data waits; but a timer wakes us up to this late, and that must not cost the line its time.
LATENESS = 0.004


class Line:
    """One direction of the link: `passed` bytes so far, and when the next may leave."""

    def __init__(self, bytes_a_second: float) -> None:
        """`bytes_a_second` 0 is without a limit."""
        self.bytes_a_second = bytes_a_second
        self.passed = 0
        self._free_at = 0.0

    def book(self, count: int, now: float) -> float:
        """Take the line for `count` bytes that are there `now`. Gives the time when the last of them has left."""
        self.passed += count
        if not self.bytes_a_second:
            return now
        self._free_at = max(self._free_at, now - LATENESS) + count / self.bytes_a_second
        return self._free_at


class ShapedLink:
    """The proxy to `host`:`port`, with `mbit` each way (0: no limit) and `latency` seconds each way."""

    def __init__(self, host: str, port: int, mbit: float = 0, latency: float = 0) -> None:
        self.up = Line(mbit * 1e6 / 8)
        self.down = Line(mbit * 1e6 / 8)
        self._target = (host, port)
        self._latency = latency
        self._flows: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections until cancelled; then all that are open end."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                near, _ = await loop.sock_accept(listener)
                flow = asyncio.create_task(self._connection(near))
                self._flows.add(flow)
                flow.add_done_callback(self._flows.discard)
        finally:
            for flow in self._flows:
                flow.cancel()
            await asyncio.gather(*self._flows, return_exceptions=True)

    async def _connection(self, near: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        far = socket.socket()
        with near, far:
            for end in (near, far):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
            try:
                await loop.sock_connect(far, self._target)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._flow(near, far, self.up))
                    both.create_task(self._flow(far, near, self.down))
            except* ConnectionError:
                pass  # an end that resets or is not there ends the other: both are closed here

    async def _flow(self, source: socket.socket, target: socket.socket, line: Line) -> None:
        """Read ahead of the line by what the latency holds, deliver in order, and hand on the end of the stream."""
        ahead = 1 + math.ceil(self._latency * line.bytes_a_second / CHUNK)
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(ahead)
        delivery = asyncio.create_task(self._deliver(queue, target))
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(source, CHUNK):
                left = line.book(len(data), loop.time())
                await queue.put((left + self._latency, data))
                await asyncio.sleep(left - loop.time())
            await queue.put((0.0, b""))
            await delivery
        finally:
            delivery.cancel()

    async def _deliver(self, queue: asyncio.Queue[tuple[float, bytes]], target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            if not data:
                with contextlib.suppress(OSError):
                    target.shutdown(socket.SHUT_WR)
                return
            await asyncio.sleep(due - loop.time())
            await loop.sock_sendall(target, data)


@contextmanager
def shaped_link(host: str, port: int, mbit: float = 0, latency: float = 0) -> Iterator[tuple[ShapedLink, str]]:
    """A link in a thread of its own, and its address as `http://127.0.0.1:PORT`. Open connections end with the block."""
    link = ShapedLink(host, port, mbit, latency)
    loop = asyncio.new_event_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        task = loop.create_task(link.serve(listener))
        thread = threading.Thread(target=_run, args=(loop, task))
        thread.start()
        try:
            yield link, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join()
            loop.close()


def _run(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.weights.shaping", description=__doc__)
    parser.add_argument("target", help="HOST:PORT")
    parser.add_argument("--mbit", type=float, default=0, help="speed each way in Mbit/s (default: no limit)")
    parser.add_argument("--latency", type=float, default=0, help="milliseconds each way")
    options = parser.parse_args()
    host, port = options.target.rsplit(":", 1)
    with (
        shaped_link(host, int(port), options.mbit, options.latency / 1000) as (link, url),
        contextlib.suppress(KeyboardInterrupt),
    ):
        print(f"{url}, until interrupted", flush=True)
        threading.Event().wait()
    print(f"{link.up.passed:,} bytes up, {link.down.passed:,} down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
