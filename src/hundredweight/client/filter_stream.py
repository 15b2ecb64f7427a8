"""The pipes between git and a filter: lists, content in, content out, in few and large system calls."""

from __future__ import annotations

import os

from hundredweight.protocol.filter import (
    FilterProtocolError,
    Inbound,
    Outbound,
    take_packet,
)
from hundredweight.protocol.pktline import MAX_PAYLOAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.base.files import Buffer

READ = 1 << 16
PIPE = 1 << 20


class FilterStream:
    """One long-running filter's two descriptors. Not thread-safe."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._spill = b""
        self._outbound: Outbound | None = None
        widen(source)
        widen(sink)

    def read_list(self) -> list[bytes] | None:
        """The text packets up to a flush, without their line ends; None when git has closed the pipe."""
        lines: list[bytes] = []
        raw, at = self._spill, 0
        while True:
            packet, after = take_packet(raw, at)
            if after < 0:
                more = os.read(self._source, READ)
                if not more:
                    if lines or raw[at:]:
                        raise FilterProtocolError("git closed the pipe within a request")
                    return None
                raw, at = raw[at:] + more, 0
                continue
            at = after
            if packet is None:
                self._spill = raw[at:]
                return lines
            lines.append(packet.removesuffix(b"\n"))

    def read_block(self, frame: Inbound) -> tuple[int, bool]:
        """Fill `frame.payload` with the next bytes of the content: how many, and whether that was the end of it."""
        frame.reset()
        special = False
        if self._spill:
            frame.put(self._spill)
            special = frame.advance(len(self._spill))
            self._spill = b""
        while not special and not frame.filled:
            count = os.readv(self._source, frame.room())
            if not count:
                raise FilterProtocolError("git closed the pipe within a file's content")
            special = frame.advance(count)
        if not special:
            return len(frame.payload), False
        return self._read_rest(frame)

    def _read_rest(self, frame: Inbound) -> tuple[int, bool]:
        """Go on packet by packet, of any length, to the end of the content or of the frame."""
        length = frame.full_packets * MAX_PAYLOAD
        raw, at = frame.tail(), 0
        while True:
            packet, after = take_packet(raw, at)
            if after < 0:
                more = os.read(self._source, READ)
                if not more:
                    raise FilterProtocolError("git closed the pipe within a file's content")
                raw, at = raw[at:] + more, 0
                continue
            if packet is None:
                self._spill = raw[after:]
                return length, True
            if length + len(packet) > len(frame.payload):
                self._spill = raw[at:]
                return length, False
            frame.payload[length : length + len(packet)] = packet
            length += len(packet)
            at = after

    def send(self, *parts: Buffer) -> None:
        """All of the parts, raw, in one system call where the pipe has room."""
        if len(parts) > 1:
            total = sum(map(len, parts))
            count = os.writev(self._sink, parts)
            if count == total:
                return
            parts = (b"".join(parts)[count:],)
        write_all(self._sink, parts[0])

    def send_file(self, descriptor: int, before: bytes, after: bytes) -> int:
        """`before`, the content of an open file from its offset on, `after`. Gives the content's length."""
        outbound = self._outbound = self._outbound or Outbound()
        count = os.readv(descriptor, outbound.slots)
        if count < outbound.capacity:
            self.send(before, outbound.packets(count), after)
            return count
        self.send(before)
        sent = 0
        while count:
            self.send(outbound.packets(count))
            sent += count
            count = os.readv(descriptor, outbound.slots)
        self.send(after)
        return sent


class RawStream:
    """Content without framing, as the one-shot `clean` filter reads it."""

    def __init__(self, source: int) -> None:
        self._source = source
        widen(source)

    def read_block(self, frame: Inbound) -> tuple[int, bool]:
        """As `FilterStream.read_block`."""
        length = 0
        while length < len(frame.payload):
            count = os.readv(self._source, [frame.payload[length:]])
            if not count:
                return length, True
            length += count
        return length, False


def write_all(descriptor: int, data: Buffer) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def send_whole(source: int, sink: int) -> int:
    """The rest of an open file, raw, to a pipe or a file. Gives the bytes sent."""
    buffer = memoryview(bytearray(PIPE))
    sent = 0
    while count := os.readv(source, [buffer]):
        write_all(sink, buffer[:count])
        sent += count
    return sent


def widen(descriptor: int) -> None:
    """Let a pipe hold 1 MiB instead of 64 KiB, where the system lets us; fewer switches between git and us."""
    try:
        import fcntl  # noqa: PLC0415 - absent on Windows

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE)
    except (ImportError, AttributeError, OSError):
        return
