"""Git's long-running filter protocol, version 2, as values. Source: gitattributes(5), "Long Running Filter Process".

git speaks first: a welcome, its versions, its capabilities; then one request after another: a list of `key=value` lines, for
`clean` and `smudge` followed by content; the answer is a status, content, and a status again. This module parses and
builds the messages; `client/filter_stream.py` moves the bytes.

Content is many full packets and one short one. `Inbound` and `Outbound` lay such runs out so that one scattering read takes
the headers off, and one write puts them on, without copying a byte in Python.
"""

from __future__ import annotations

import os

from hundredweight.protocol.pktline import FLUSH, MAX_PAYLOAD, PktLineError, encode, encode_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = 4
PACKET = MAX_PAYLOAD + HEADER
_FULL = b"%04x" % PACKET
RUN = 16
"""Full packets in one run: with headers 20 bytes less than 1 MiB, the largest pipe a plain user may ask for."""

WELCOME = ["git-filter-server", "version=2"]
SUCCESS = encode_lines(["status=success"])
ERROR = encode_lines(["status=error"])
DELAYED = encode_lines(["status=delayed"])
END = FLUSH + FLUSH
"""After content: its end, and an empty second status, by which the first one holds."""
FAILED = FLUSH + ERROR
"""After content that turned out wrong: its end, and a second status by which git forgets it and fails the file."""


class FilterProtocolError(PktLineError):
    """git said what the protocol does not allow here."""


class Request:
    """One command with its keys. `path` is decoded as file names are; `treeish`, `ref` and `blob` are empty unless git
    told them; `can_delay` says that the answer may be `DELAYED`."""

    __slots__ = ("blob", "can_delay", "command", "path", "ref", "treeish")

    def __init__(self, keys: dict[str, str]) -> None:
        self.command = keys.get("command", "")
        self.path = keys.get("pathname", "")
        self.can_delay = keys.get("can-delay") == "1"
        self.ref = keys.get("ref", "")
        self.treeish = keys.get("treeish", "")
        self.blob = keys.get("blob", "")


def parse_request(lines: list[bytes]) -> Request:
    """Unknown keys are passed over, as the protocol wants."""
    pairs = (os.fsdecode(line).partition("=") for line in lines)
    return Request({key: value for key, _, value in pairs})


def answer_welcome(lines: list[bytes]) -> bytes:
    """The reply to git's first list, the welcome and its versions. Raises `FilterProtocolError`."""
    if not lines or lines[0] != b"git-filter-client":
        said = lines[0][:80].decode("utf-8", "replace") if lines else ""
        raise FilterProtocolError(f"invalid filter-process pkt-line welcome message: {said}")
    if b"version=2" not in lines:
        offered = b" ".join(lines[1:]).decode("utf-8", "replace")
        raise FilterProtocolError(f"filter 'version=2' not supported (your Git supports: [{offered}])")
    return encode_lines(WELCOME)


def answer_capabilities(lines: list[bytes]) -> bytes:
    """The reply to git's capabilities: clean and smudge, and delay when git has it. Raises `FilterProtocolError`."""
    for wanted in (b"capability=clean", b"capability=smudge"):
        if wanted not in lines:
            offered = b" ".join(lines).decode("utf-8", "replace")
            raise FilterProtocolError(f"filter '{wanted.decode()}' not supported (your Git supports: [{offered}])")
    chosen = ["capability=clean", "capability=smudge"]
    if b"capability=delay" in lines:
        chosen.append("capability=delay")
    return encode_lines(chosen)


def encode_available(paths: Iterable[str]) -> bytes:
    """The answer to `list_available_blobs`; empty means that nothing more is to come."""
    return encode_lines(f"pathname={path}" for path in paths) + SUCCESS


def encode_content(data: bytes) -> bytes:
    """The packets of a short content, without its end."""
    return b"".join(encode(data[at : at + MAX_PAYLOAD]) for at in range(0, len(data), MAX_PAYLOAD))


def take_packet(raw: bytes, start: int = 0) -> tuple[bytes | None, int]:
    """The packet that begins at `start` (None for a flush), and where the next one begins; that is -1 when it is not
    there in full yet. Raises `PktLineError`."""
    header = raw[start : start + HEADER]
    if len(header) < HEADER:
        return None, -1
    if header == FLUSH:
        return None, start + HEADER
    try:
        length = int(header, 16)
    except ValueError as error:
        raise PktLineError(f"bad pkt-line header {header!r}") from error
    if length < HEADER or length > PACKET:
        raise PktLineError(f"bad pkt-line header {header!r}")
    if len(raw) < start + length:
        return None, -1
    return raw[start + HEADER : start + length], start + length


class Inbound:
    """Room for one run of content. Raw bytes come in, by `put` or a scattering read into `room`; as long as each packet is
    a full one, the payloads lie side by side in `payload` at once, and the headers elsewhere."""

    __slots__ = ("_headers", "_views", "full_packets", "payload", "received")

    def __init__(self, packets: int = RUN) -> None:
        self.payload = memoryview(bytearray(packets * MAX_PAYLOAD))
        self._headers = memoryview(bytearray(packets * HEADER))
        self._views: list[memoryview] = []
        for number in range(packets):
            self._views.append(self._headers[number * HEADER : (number + 1) * HEADER])
            self._views.append(self.payload[number * MAX_PAYLOAD : (number + 1) * MAX_PAYLOAD])
        self.received = 0
        self.full_packets = 0

    def reset(self) -> None:
        self.received = 0
        self.full_packets = 0

    @property
    def filled(self) -> bool:
        return self.received == len(self._views) // 2 * PACKET

    def room(self) -> list[memoryview]:
        """Where the next raw bytes belong, in order; for `os.readv`, to be followed by `advance`."""
        number, offset = divmod(self.received, PACKET)
        if offset == 0:
            return self._views[2 * number :]
        if offset < HEADER:
            return [self._views[2 * number][offset:], *self._views[2 * number + 1 :]]
        return [self._views[2 * number + 1][offset - HEADER :], *self._views[2 * number + 2 :]]

    def put(self, raw: bytes) -> None:
        """Copy raw bytes in that were read already; to be followed by `advance`. There must be room."""
        start = 0
        for view in self.room():
            part = raw[start : start + len(view)]
            view[: len(part)] = part
            start += len(part)
            if start == len(raw):
                return
        raise ValueError("more bytes than there is room for")

    def advance(self, count: int) -> bool:
        """`count` more raw bytes are in. True when a packet showed up that is not a full one: `tail` goes on from it."""
        self.received += count
        begun = (self.received + MAX_PAYLOAD) // PACKET
        while self.full_packets < begun:
            at = self.full_packets * HEADER
            if self._headers[at : at + HEADER] != _FULL:
                return True
            self.full_packets += 1
        return False

    def content(self, length: int) -> list[memoryview]:
        """The first `length` bytes of the payload, in order."""
        return [self.payload[:length]]

    def tail(self) -> bytes:
        """The raw bytes from the first packet on that is not a full one."""
        parts = []
        left = self.received - self.full_packets * PACKET
        for view in self._views[2 * self.full_packets :]:
            parts.append(view[:left])
            left -= len(view)
            if left <= 0:
                break
        return b"".join(parts)


class Outbound:
    """Room for one run of content to send: read into `slots`, then send `packets(count)`, which hold `content(count)`."""

    __slots__ = ("_frame", "capacity", "slots")

    def __init__(self, packets: int = RUN) -> None:
        self._frame = memoryview(bytearray(_FULL.ljust(PACKET, b"\0") * packets))
        self.slots = [self._frame[at + HEADER : at + PACKET] for at in range(0, len(self._frame), PACKET)]
        self.capacity = packets * MAX_PAYLOAD

    def content(self, count: int) -> list[memoryview]:
        """The first `count` bytes of the slots, in order."""
        whole, rest = divmod(count, MAX_PAYLOAD)
        return [*self.slots[:whole], self.slots[whole][:rest]] if rest else self.slots[:whole]

    def room(self, filled: int) -> list[memoryview]:
        """Where the content goes on after its first `filled` bytes, to the end of the slots."""
        whole, rest = divmod(filled, MAX_PAYLOAD)
        return [self.slots[whole][rest:], *self.slots[whole + 1 :]]

    def packets(self, count: int) -> memoryview:
        """The packets that hold the first `count` bytes of the slots; valid until the next call."""
        whole, rest = divmod(count, MAX_PAYLOAD)
        for number in range(whole):
            self._frame[number * PACKET : number * PACKET + HEADER] = _FULL
        if not rest:
            return self._frame[: whole * PACKET]
        start = whole * PACKET
        self._frame[start : start + HEADER] = b"%04x" % (rest + HEADER)
        return self._frame[: start + HEADER + rest]
