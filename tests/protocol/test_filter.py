"""Git's filter protocol as values: the handshake, requests, and content in runs of full packets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hundredweight.protocol.filter import (
    PACKET,
    FilterProtocolError,
    Inbound,
    Outbound,
    answer_capabilities,
    answer_welcome,
    encode_available,
    encode_content,
    parse_request,
    take_packet,
)
from hundredweight.protocol.pktline import FLUSH, MAX_PAYLOAD, PktLineError

SIZES = st.one_of(
    st.integers(0, 3 * MAX_PAYLOAD),
    st.sampled_from([0, 1, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 4 * MAX_PAYLOAD]),
)


def pattern(size: int) -> bytes:
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


def unframe(raw: bytes) -> bytes:
    """The plain way: packet after packet."""
    parts, at = [], 0
    while at < len(raw):
        packet, at = take_packet(raw, at)
        assert packet is not None
        parts.append(packet)
    return b"".join(parts)


def test_the_welcome_wants_version_2() -> None:
    said = answer_welcome([b"git-filter-client", b"version=2", b"version=3"])
    assert said == b"0016git-filter-server\n000eversion=2\n0000"
    with pytest.raises(FilterProtocolError, match="your Git supports: \\[version=1\\]"):
        answer_welcome([b"git-filter-client", b"version=1"])
    with pytest.raises(FilterProtocolError, match="welcome message: hello"):
        answer_welcome([b"hello"])
    with pytest.raises(FilterProtocolError, match="welcome message"):
        answer_welcome([])


def test_delay_is_taken_when_offered() -> None:
    both = [b"capability=clean", b"capability=smudge"]
    assert b"delay" not in answer_capabilities(both)
    assert b"capability=delay" in answer_capabilities([*both, b"capability=delay", b"capability=tomorrow"])
    with pytest.raises(FilterProtocolError, match="capability=smudge"):
        answer_capabilities([b"capability=clean"])


def test_requests_keep_paths_as_they_are() -> None:
    request = parse_request([b"command=smudge", b"pathname=a=b \xff.bin", b"can-delay=1", b"ref=refs/heads/main", b"x"])
    assert request.command == "smudge"
    assert request.path == "a=b \udcff.bin"
    assert request.can_delay
    assert (request.ref, request.treeish, request.blob) == ("refs/heads/main", "", "")
    assert not parse_request([b"command=clean"]).can_delay
    line = b"pathname=a=b \xff.bin\n"
    assert encode_available([request.path]) == b"%04x" % (len(line) + 4) + line + b"0000" + b"0013status=success\n0000"


@pytest.mark.parametrize("header", [b"zzzz", b"0001", b"0003", b"fff1", b"ffff", b"-001"])
def test_impossible_lengths_are_refused(header: bytes) -> None:
    with pytest.raises(PktLineError):
        take_packet(header + b"x" * 70000)


def test_packets_that_are_not_there_yet() -> None:
    for raw in (b"", b"00", b"0008abc"):
        assert take_packet(raw) == (None, -1)
    assert take_packet(FLUSH) == (None, 4)
    assert take_packet(b"0004rest") == (b"", 4)


@settings(deadline=None, max_examples=50)
@given(size=SIZES)
def test_content_is_framed_and_unframed(size: int) -> None:
    data = pattern(size)
    assert unframe(encode_content(data)) == data


@settings(deadline=None, max_examples=50)
@given(size=SIZES)
def test_outbound_is_framed_content(size: int) -> None:
    data = pattern(size)
    out = Outbound(4)
    sent = kept = b""
    for start in range(0, size, out.capacity):
        piece = data[start : start + out.capacity]
        for number, slot in enumerate(out.slots):
            part = piece[number * MAX_PAYLOAD : (number + 1) * MAX_PAYLOAD]
            slot[: len(part)] = part
        sent += bytes(out.packets(len(piece)))
        kept += b"".join(out.content(len(piece)))
    assert sent == encode_content(data)
    assert kept == data


@settings(deadline=None, max_examples=50)
@given(size=SIZES, reads=st.lists(st.one_of(st.integers(1, 9), st.integers(5000, 2 * PACKET)), max_size=20))
def test_inbound_takes_headers_off_whatever_the_reads(size: int, reads: list[int]) -> None:
    """Full packets end up side by side; the rest, from the first other packet on, is the tail."""
    data = pattern(size)
    raw = encode_content(data) + FLUSH
    frame = Inbound(5)
    at, step, special = 0, 0, False
    while not special and not frame.filled:
        room = sum(len(view) for view in frame.room())
        piece = raw[at : at + min(room, reads[step] if step < len(reads) else PACKET + 1)]
        step += 1
        frame.put(piece)
        special = frame.advance(len(piece))
        at += len(piece)
    full = frame.full_packets
    assert special
    assert full == size // MAX_PAYLOAD
    assert bytes(frame.payload[: full * MAX_PAYLOAD]) == data[: full * MAX_PAYLOAD]
    assert frame.tail() + raw[at:] == raw[full * PACKET :]


def test_inbound_fills_up_and_starts_again() -> None:
    data = pattern(4 * MAX_PAYLOAD)
    frame = Inbound(2)
    for half in (data[: 2 * MAX_PAYLOAD], data[2 * MAX_PAYLOAD :]):
        frame.reset()
        frame.put(encode_content(half))
        assert not frame.advance(2 * PACKET)
        assert frame.filled
        assert bytes(frame.payload) == half
    with pytest.raises(ValueError, match="room"):
        frame.put(b"more")
