"""Messages of `cwt-blocks`: what is written is read, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base.ids import Oid
from hundredweight.protocol.blocks import (
    MAX_BASES,
    MAX_RANGES,
    Bases,
    Request,
    StreamName,
    Terms,
    recipe_url,
    segments_url,
    stream_url,
)
from hundredweight.protocol.message import BadMessage

HREF = "https://hub.example/team/model.git/info/lfs/objects/OID/blocks?size=5&signature=abc"
OIDS = st.binary(min_size=32, max_size=32).map(lambda data: Oid(data.hex()))
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
BASES = st.dictionaries(OIDS, DIGESTS, max_size=MAX_BASES).map(Bases)
OID, DIGEST = "a" * 64, "b" * 64


def ranges(numbers: list[int]) -> tuple[tuple[int, int], ...]:
    ordered = sorted(set(numbers))
    return tuple(zip(ordered[::2], ordered[1::2], strict=False))


def test_urls_hang_below_the_action() -> None:
    stem = "https://hub.example/team/model.git/info/lfs/objects/OID/blocks"
    query = "?size=5&signature=abc"
    assert recipe_url(HREF) == f"{stem}/recipe{query}"
    assert segments_url(HREF) == f"{stem}/segments{query}"
    assert stream_url(HREF, StreamName(DIGEST, 12)) == f"{stem}/{DIGEST}-12{query}"
    assert recipe_url(stem) == f"{stem}/recipe"


@given(BASES)
def test_bases_come_back(bases: Bases) -> None:
    assert Bases.parse(bases.encode()) == bases


@given(st.dictionaries(OIDS, st.text("0123456789", max_size=50), max_size=MAX_BASES).map(Terms))
def test_terms_come_back(terms: Terms) -> None:
    assert Terms.parse(terms.encode()) == terms


@given(st.lists(st.integers(0, 1 << 32), max_size=40).map(ranges), BASES)
def test_requests_come_back(want: tuple[tuple[int, int], ...], have: Bases) -> None:
    request = Request(want, have)
    assert Request.parse(request.encode()) == request


@given(DIGESTS, st.integers(1, 10**15 - 1))
def test_names_of_streams_come_back(digest: str, size: int) -> None:
    assert StreamName.parse(str(StreamName(digest, size))) == StreamName(digest, size)


@given(st.text(max_size=80))
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        StreamName.parse(text)


@pytest.mark.parametrize("size", ["", "0", "-1", "1" * 16, "1.0", "٣", " 1", "1-1"])
def test_other_sizes_are_refused(size: str) -> None:
    with pytest.raises(BadMessage):
        StreamName.parse(f"{DIGEST}-{size}")


@pytest.mark.parametrize("parse", [Bases.parse, Terms.parse, Request.parse])
@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"5", b"{", b"{}", b'{"bases": null}', b'{"bases": []}', b'{"bases": "x"}', b"[" * 100_000, b"\xff"],
)
def test_what_is_no_message_is_refused(parse: Callable[[bytes], Any], data: bytes) -> None:
    with pytest.raises(BadMessage):
        parse(data)


@pytest.mark.parametrize(
    "bases",
    [
        {OID: 5},
        {OID: None},
        {OID: ""},
        {OID: DIGEST.upper()},
        {OID: DIGEST + "\n"},
        {"": DIGEST},
        {"A" * 64: DIGEST},
        {f"{number:064x}": DIGEST for number in range(MAX_BASES + 1)},
    ],
)
def test_other_bases_are_refused(bases: dict[str, object]) -> None:
    with pytest.raises(BadMessage):
        Bases.parse(json.dumps({"bases": bases}).encode())
    with pytest.raises(BadMessage):
        Request.parse(json.dumps({"want": [[0, 1]], "bases": bases}).encode())


@pytest.mark.parametrize("depths", [{OID: "a"}, {OID: 0}, {OID: "0 "}, {OID: "٣"}, {"x": "0"}, {OID: "-1"}])
def test_other_terms_are_refused(depths: dict[str, object]) -> None:
    with pytest.raises(BadMessage):
        Terms.parse(json.dumps({"bases": depths}).encode())


@pytest.mark.parametrize(
    "want",
    [
        None,
        5,
        [5],
        [[]],
        [[0]],
        [[0, 1, 2]],
        [[1, 1]],
        [[2, 1]],
        [[-1, 1]],
        [[0, 2], [1, 3]],
        [[3, 4], [0, 1]],
        [[0.0, 1]],
        [[False, True]],
        [["0", "1"]],
        [[0, (1 << 32) + 1]],
        [[2 * number, 2 * number + 1] for number in range(MAX_RANGES + 1)],
    ],
)
def test_other_ranges_are_refused(want: object) -> None:
    with pytest.raises(BadMessage):
        Request.parse(json.dumps({"want": want, "bases": {}}).encode())


def test_ranges_may_touch() -> None:
    assert Request.parse(b'{"want": [[0, 2], [2, 3]], "bases": {}}').want == ((0, 2), (2, 3))
