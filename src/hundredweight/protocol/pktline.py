"""Git's pkt-line framing: four hex digits of length (header included), then the payload; `0000` ends a list.

Source: git Documentation/gitprotocol-common. Pure: the caller moves the bytes.
"""

from __future__ import annotations

from hundredweight.base.errors import RemoteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PAYLOAD = 65516
FLUSH = b"0000"
_HEX = b"0123456789abcdefABCDEF"


class PktLineError(RemoteError):
    """The other side broke the framing; the stream cannot be used any further."""


def encode(payload: bytes) -> bytes:
    """One packet. Raises `ValueError` over `MAX_PAYLOAD` bytes."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"pkt-line payload of {len(payload)} bytes")
    return b"%04x%b" % (len(payload) + 4, payload)


def encode_lines(lines: Iterable[str]) -> bytes:
    """A list of text packets, each with its line feed, and the flush that ends it."""
    return b"".join([*(encode(line.encode("utf-8", "surrogateescape") + b"\n") for line in lines), FLUSH])


def parse_length(header: bytes) -> int:
    """The payload's length from the four header bytes; -1 for a flush. Raises `PktLineError`."""
    if len(header) != 4 or header.strip(_HEX):
        raise PktLineError(f"bad pkt-line header {header!r}")
    length = int(header, 16)
    if length > MAX_PAYLOAD + 4 or 0 < length < 4:
        raise PktLineError(f"bad pkt-line header {header!r}")
    return length - 4 if length else -1
