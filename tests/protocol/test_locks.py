"""Lock messages: round trips, foreign bodies, malformed ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.protocol.locks import (
    MAX_LIMIT,
    Lock,
    LockList,
    LockQuery,
    LockRequest,
    LockResponse,
    UnlockRequest,
    VerifyLocksRequest,
    VerifyLocksResponse,
)
from hundredweight.protocol.message import BadMessage, ErrorBody
from tests.protocol.messages import assert_parses_or_refuses, json_values

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
filled = texts.filter(bool)
limits = st.integers(0, MAX_LIMIT)
locks = st.builds(Lock, texts, texts, texts, texts)
lock_lists = st.lists(locks, max_size=4).map(tuple)


@given(
    st.one_of(
        st.builds(LockRequest, filled, texts),
        st.builds(UnlockRequest, st.booleans(), texts),
        st.builds(LockResponse, locks, st.none() | st.builds(ErrorBody, filled, texts, texts)),
        st.builds(LockResponse, st.none(), st.builds(ErrorBody, filled, texts, texts)),
        st.builds(LockList, lock_lists, texts),
        st.builds(VerifyLocksRequest, texts, texts, limits),
        st.builds(VerifyLocksResponse, lock_lists, lock_lists, texts),
    )
)
def test_messages_round_trip(
    message: LockRequest | UnlockRequest | LockResponse | LockList | VerifyLocksRequest | VerifyLocksResponse,
) -> None:
    assert type(message).parse(message.encode()) == message


@given(st.builds(LockQuery, texts, texts, texts, limits, texts))
def test_queries_round_trip(query: LockQuery) -> None:
    assert LockQuery.parse(query.parameters()) == query


KINDS = (LockRequest, UnlockRequest, LockResponse, LockList, VerifyLocksRequest, VerifyLocksResponse)


@given(st.binary(max_size=100))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    for kind in KINDS:
        assert_parses_or_refuses(kind.parse, data)


@given(
    json_values("lock", "locks", "ours", "theirs", "path", "id", "locked_at", "owner", "name", "force", "ref", "limit")
)
def test_any_json_parses_or_is_refused(value: object) -> None:
    data = json.dumps(value).encode()
    for kind in KINDS:
        assert_parses_or_refuses(kind.parse, data)


def test_a_lock_as_servers_send_it() -> None:
    data = (
        b'{"locks":[{"id":"1","path":"a b","locked_at":"2016-05-17T15:49:06+00:00","owner":null}],"next_cursor":null}'
    )
    assert LockList.parse(data) == LockList((Lock("1", "a b", "", "2016-05-17T15:49:06+00:00"),))
    assert LockList.parse(b'{"message":"x"}') == LockList(())


def test_the_order_of_fields_is_git_lfs_s() -> None:
    text = json.dumps(Lock("1", "a", "ann", "now").fields())
    assert text == '{"id": "1", "path": "a", "owner": {"name": "ann"}, "locked_at": "now"}'


@pytest.mark.parametrize(
    "data", [b"{}", b'{"path":""}', b'{"path":7}', b'{"path":"%s"}' % (b"x" * 5000), b'{"path":"\\ud800"}']
)
def test_malformed_lock_requests(data: bytes) -> None:
    with pytest.raises(BadMessage):
        LockRequest.parse(data)


def test_an_answer_without_lock_and_message() -> None:
    with pytest.raises(BadMessage, match="invalid server response"):
        LockResponse.parse(b"{}")


@pytest.mark.parametrize("limit", ["-1", "x", "1.5", "9" * 20, "٣"])
def test_malformed_limits(limit: str) -> None:
    with pytest.raises(BadMessage):
        LockQuery.parse({"limit": limit})


def test_limits_are_bounded() -> None:
    assert LockQuery.parse({"limit": "99999999"}).limit == MAX_LIMIT
    assert VerifyLocksRequest.parse(b'{"limit":99999999}').limit == MAX_LIMIT
