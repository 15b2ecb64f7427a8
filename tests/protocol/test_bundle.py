"""Bundles of small objects: what is written is read back; what is no bundle is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base.ids import Oid
from hundredweight.protocol.bundle import HEAD, LONGEST, MOST, MOST_BYTES, BundleRequest, read_bundle, write_bundle
from hundredweight.protocol.message import BadMessage, TooMany

GOLDEN = Path(__file__).parent / "golden" / "two-and-absent.bundle"
CONTENTS = [b"first", None, b"", b"second"]


def values(found: list[memoryview | None]) -> list[bytes | None]:
    return [None if view is None else bytes(view) for view in found]


@given(st.lists(st.one_of(st.none(), st.binary(max_size=300)), max_size=MOST))
def test_what_is_written_is_read_back(contents: list[bytes | None]) -> None:
    assert values(read_bundle(write_bundle(contents), len(contents))) == contents


def test_the_format_stays() -> None:
    assert write_bundle(CONTENTS) == GOLDEN.read_bytes()
    assert values(read_bundle(GOLDEN.read_bytes(), 4)) == CONTENTS


@given(st.binary(max_size=60), st.integers(0, MOST), st.booleans())
def test_any_bytes_are_a_bundle_or_refused(data: bytes, count: int, headed: bool) -> None:
    data = HEAD + data if headed else data
    try:
        found = values(read_bundle(data, count))
    except BadMessage:
        return
    assert write_bundle(found) == data


@pytest.mark.parametrize("count", [3, 5])
def test_another_number_of_objects_is_refused(count: int) -> None:
    with pytest.raises(BadMessage):
        read_bundle(GOLDEN.read_bytes(), count)


def test_every_truncation_is_refused() -> None:
    whole = GOLDEN.read_bytes()
    for length in range(len(whole)):
        with pytest.raises(BadMessage):
            read_bundle(whole[:length], 4)


def test_a_bundle_has_its_bounds() -> None:
    assert len(write_bundle([bytes(MOST_BYTES), *[b""] * (MOST - 1)])) == LONGEST
    with pytest.raises(TooMany):
        write_bundle([bytes(MOST_BYTES), b"x"])
    with pytest.raises(TooMany):
        write_bundle([None] * (MOST + 1))


def test_a_request_is_read_back() -> None:
    request = BundleRequest((Oid("a" * 64), Oid("b" * 64)))
    assert BundleRequest.parse(request.encode()) == request


@pytest.mark.parametrize(
    "oids",
    [
        None,
        [],
        {},
        "a" * 64,
        ["a" * 64, "a" * 64],
        ["A" * 64],
        ["../" + "a" * 61],
        [7],
        [f"{n:064x}" for n in range(MOST + 1)],
    ],
)
def test_other_requests_are_refused(oids: object) -> None:
    with pytest.raises(BadMessage):
        BundleRequest.parse(json.dumps({"oids": oids}).encode())
