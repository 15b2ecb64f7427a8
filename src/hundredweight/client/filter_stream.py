"""The pipes between git and a filter: lists, content in, content out, in few and large system calls."""

from __future__ import annotations

import hashlib
import os

from hundredweight.protocol.filter import RUN, FilterProtocolError, Inbound, Outbound, take_packet
from hundredweight.protocol.pktline import MAX_PAYLOAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.base.files import Buffer
    from hundredweight.client.lending import Lender

READ = 1 << 16
PIPE = 1 << 20
TURNS = 4
"""Frames that a large file goes through, in turns; as many as a `HashThread` works with."""


class FilterStream:
    """One long-running filter's two descriptors. Not thread-safe."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._spill = b""
        self._outbound: Outbound | None = None
        self._frames: list[Outbound] = []
        self._lender: Lender | None = None
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

    def read_short(self) -> bytes | None:
        """The content, when all of it is shorter than `READ`, as pointers are. Else None, and nothing is taken yet."""
        raw, at = self._spill, 0
        content = b""
        while True:
            packet, after = take_packet(raw, at)
            if after < 0:
                if len(raw) >= READ:
                    self._spill = raw
                    return None
                more = os.read(self._source, READ)
                if not more:
                    raise FilterProtocolError("git closed the pipe within a file's content")
                raw += more
                continue
            if packet is None:
                self._spill = raw[after:]
                return content
            content += packet
            at = after

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

    def send_file(self, descriptor: int, before: bytes, hashed: bool) -> tuple[int, str]:
        """`before`, then the content of an open file from its offset on; its end is the caller's to send. Gives the
        content's length and, if it is to be `hashed`, its SHA-256.

        Hashing comes second: git takes the bytes in the meantime, and holds them back until it has the end."""
        frame = self._outbound = self._outbound or Outbound()
        count = os.readv(descriptor, frame.slots)
        self.send(before, frame.packets(count))
        if count < frame.capacity:
            return count, hash_short(frame.content(count)) if hashed else ""
        if not hashed:
            return self._send_rest(descriptor, frame), ""
        return self._send_hashed(descriptor, frame)

    def _send_rest(self, descriptor: int, first: Outbound) -> int:
        """Go on after the first run. Gives the length of all."""
        sent = first.capacity
        while True:
            for frame in (*self._more_frames(), first):
                count = _fill(frame, descriptor)
                if count:
                    self._lend(frame.packets(count))
                    sent += count
                if count < frame.capacity:
                    return sent

    def _send_hashed(self, descriptor: int, first: Outbound) -> tuple[int, str]:
        """Go on after the first run, which is still in its frame. Frames come back in the order they were given."""
        from hundredweight.client.hashing import HashThread  # noqa: PLC0415 - threading costs 3 ms, large files only

        sent = first.capacity
        with HashThread(iter(self._more_frames()).__next__) as hasher:
            hasher.give(first, sent)
            while True:
                frame = hasher.take()
                count = _fill(frame, descriptor)
                if count:
                    hasher.give(frame, count)
                    self._lend(frame.packets(count))
                    sent += count
                if count < frame.capacity:
                    return sent, hasher.finish()

    def _more_frames(self) -> list[Outbound]:
        """Those that take turns with the first one. They stay: the end of one file is in the pipe, not copied, while the next
        thing is done; and git asks for another file only when it has the whole of this one."""
        if not self._frames:
            self._frames = [Outbound() for _ in range(TURNS - 1)]
        return self._frames

    def _lend(self, run: memoryview) -> None:
        """Send a frame's run. The frame may be filled again after all others had their turns, each with a full run."""
        if self._lender is None:
            from hundredweight.client.lending import Lender  # noqa: PLC0415 - ctypes costs some ms, large files only

            self._lender = Lender(self._sink, (TURNS - 1) * RUN * MAX_PAYLOAD)
        if not self._lender.lend(run):
            write_all(self._sink, run)


def _fill(frame: Outbound, descriptor: int) -> int:
    """Read from an open file until the frame is full or the file at its end."""
    filled = 0
    while filled < frame.capacity and (count := os.readv(descriptor, frame.room(filled))):
        filled += count
    return filled


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


def send_whole(source: int, sink: int) -> tuple[int, str]:
    """The rest of an open file, raw, to a pipe or a file. Gives the bytes sent and their SHA-256."""
    frame = Inbound()
    count = os.readv(source, [frame.payload])
    write_all(sink, frame.payload[:count])
    if count < len(frame.payload):
        return count, hash_short(frame.content(count))
    from hundredweight.client.hashing import HashThread  # noqa: PLC0415 - threading costs 3 ms, large files only

    sent = count
    with HashThread(Inbound) as hasher:
        hasher.give(frame, count)
        while True:
            frame = hasher.take()
            count = os.readv(source, [frame.payload])
            if not count:
                return sent, hasher.finish()
            hasher.give(frame, count)
            write_all(sink, frame.payload[:count])
            sent += count


def hash_short(parts: Sequence[Buffer]) -> str:
    """The SHA-256 of what is too short for a thread of its own."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def widen(descriptor: int) -> None:
    """Let a pipe hold 1 MiB instead of 64 KiB, where the system lets us; fewer switches between git and us."""
    try:
        import fcntl  # noqa: PLC0415 - absent on Windows

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE)
    except (ImportError, AttributeError, OSError):
        return
