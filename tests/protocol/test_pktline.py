"""Laws of git's pkt-line framing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.protocol import pktline


@given(st.binary(max_size=3000))
def test_the_length_read_back_is_the_payloads(payload: bytes) -> None:
    packet = pktline.encode(payload)
    assert pktline.parse_length(packet[:4]) == len(payload)
    assert packet[4:] == payload


def test_flush_and_limits() -> None:
    assert pktline.parse_length(pktline.FLUSH) == -1
    assert pktline.parse_length(pktline.encode(bytes(pktline.MAX_PAYLOAD))[:4]) == pktline.MAX_PAYLOAD
    with pytest.raises(ValueError, match="65517"):
        pktline.encode(bytes(pktline.MAX_PAYLOAD + 1))


@pytest.mark.parametrize("header", [b"", b"00", b"zzzz", b"0001", b"0003", b"ffff", b"-001", b"0_1f", b"0x1f", b" 01f"])
def test_bad_headers(header: bytes) -> None:
    with pytest.raises(pktline.PktLineError):
        pktline.parse_length(header)


def test_lines_end_with_a_flush() -> None:
    assert pktline.encode_lines(["status=success", "ä"]) == b"0013status=success\n0007\xc3\xa4\n0000"
