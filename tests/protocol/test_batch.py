"""Batch messages: what is encoded parses back, foreign bodies are read, malformed ones are refused."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base.ids import Oid
from hundredweight.protocol.batch import (
    MAX_OBJECTS,
    Action,
    BatchObject,
    BatchRequest,
    BatchResponse,
    ObjectError,
    VerifyRequest,
    Wanted,
)
from hundredweight.protocol.message import MAX_BODY, BadMessage, ErrorBody, parse_error
from tests.protocol.messages import assert_parses_or_refuses, json_values

OID = "a" * 64
oids = st.integers(0, (1 << 256) - 1).map(lambda number: Oid(f"{number:064x}"))
sizes = st.integers(0, (1 << 63) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
header_texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
actions = st.builds(
    Action,
    texts,
    st.dictionaries(header_texts, header_texts, max_size=3),
    st.none() | st.integers(-(1 << 31) + 1, (1 << 31) - 1).filter(bool),
    st.none() | st.integers(0, 4_000_000_000).map(float),
)
errors = st.builds(ObjectError, st.integers(400, 599), texts)
answers = st.builds(
    BatchObject,
    oids,
    sizes,
    st.dictionaries(st.sampled_from(["download", "upload", "verify"]), actions),
    st.none() | errors,
    st.booleans(),
)
ACTION = {
    "type": "object",
    "properties": {
        "href": {"type": "string"},
        "header": {"type": "object", "additionalProperties": {"type": "string"}},
        "expires_in": {"type": "integer", "minimum": -2147483647, "maximum": 2147483647},
        "expires_at": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
    },
    "required": ["href"],
    "additionalProperties": False,
}
RESPONSE_SCHEMA = {
    "type": "object",
    "properties": {
        "transfer": {"type": "string"},
        "hash_algo": {"const": "sha256"},
        "objects": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "oid": {"type": "string"},
                    "size": {"type": "integer", "minimum": 0},
                    "authenticated": {"type": "boolean"},
                    "actions": {
                        "type": "object",
                        "properties": {"download": ACTION, "upload": ACTION, "verify": ACTION},
                        "additionalProperties": False,
                    },
                    "error": {
                        "type": "object",
                        "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
                        "required": ["code", "message"],
                        "additionalProperties": False,
                    },
                },
                "required": ["oid", "size"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["objects"],
    "additionalProperties": False,
}


SCHEMA = jsonschema.Draft202012Validator(RESPONSE_SCHEMA)


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@given(
    st.builds(
        BatchRequest,
        st.sampled_from(["download", "upload"]),
        st.lists(st.builds(Wanted, oids, sizes), max_size=5).map(tuple),
        st.lists(texts, max_size=3).map(tuple),
        texts,
        texts.filter(bool),
    )
)
def test_requests_round_trip(request: BatchRequest) -> None:
    assert BatchRequest.parse(request.encode()) == request


@given(st.builds(BatchResponse, st.lists(answers, max_size=5).map(tuple), texts.filter(bool)))
def test_responses_round_trip_and_keep_to_the_schema(response: BatchResponse) -> None:
    SCHEMA.validate(json.loads(response.encode()))
    assert BatchResponse.parse(response.encode()) == response


@given(oids, sizes)
def test_verify_requests_round_trip(oid: Oid, size: int) -> None:
    request = VerifyRequest(oid, size)
    assert VerifyRequest.parse(request.encode()) == request


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    for parse in (BatchRequest.parse, BatchResponse.parse, VerifyRequest.parse):
        assert_parses_or_refuses(parse, data)


@given(json_values("objects", "oid", "size", "actions", "_links", "download", "href", "header", "operation", "ref"))
def test_any_json_parses_or_is_refused(value: object) -> None:
    data = json.dumps(value).encode()
    for parse in (BatchRequest.parse, BatchResponse.parse, VerifyRequest.parse):
        assert_parses_or_refuses(parse, data)


def test_what_the_request_may_leave_out() -> None:
    request = BatchRequest.parse(body(operation="download", objects=[], ref=None, transfers=None, unknown=1))
    assert (request.transfers, request.ref, request.hash_algorithm) == ((), "", "sha256")


def test_impossible_objects_get_their_own_answers() -> None:
    items = [
        {"oid": OID, "size": 1},
        {"oid": "../../etc/passwd", "size": 1},
        {"oid": OID.upper(), "size": 1},
        {"oid": OID, "size": -1},
        {"oid": OID, "size": "big"},
        {"oid": OID, "size": True},
        {"oid": OID, "size": 1 << 63},
        {"oid": 7, "size": 1},
        {"oid": "\ud800", "size": 1},
        {},
    ]
    request = BatchRequest.parse(body(operation="upload", objects=items))
    assert request.objects == (Wanted(Oid(OID), 1),)
    assert len(request.rejected) == len(items) - 1
    assert {answer.error.code for answer in request.rejected if answer.error} == {422}
    answer = BatchResponse(request.rejected).encode()
    SCHEMA.validate(json.loads(answer))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"objects":[]}',
        b'{"operation":"delete","objects":[]}',
        b'{"operation":"upload"}',
        b'{"operation":"upload","objects":{}}',
        b'{"operation":"upload","objects":[1]}',
        b'{"operation":"upload","objects":[],"transfers":"basic"}',
        b'{"operation":"upload","objects":[],"transfers":[1]}',
        b'{"operation":"upload","objects":[],"ref":"main"}',
        b"[" * 100_000,
        b'{"operation":"upload","objects":[' + b"{}," * MAX_OBJECTS + b"{}]}",
        b" " * (MAX_BODY + 1),
    ],
)
def test_malformed_requests(data: bytes) -> None:
    with pytest.raises(BadMessage):
        BatchRequest.parse(data)


def test_foreign_answers() -> None:
    """What servers in the field send: links, nulls, Go's zero time, whole floats, numeric header values."""
    data = body(
        objects=[
            {
                "oid": OID,
                "size": 5.0,
                "actions": None,
                "error": None,
                "_links": {
                    "download": {
                        "href": "h",
                        "header": {"X": 1},
                        "expires_at": "0001-01-01T00:00:00Z",
                        "expires_in": 0,
                    },
                    "verify": None,
                },
            }
        ]
    )
    response = BatchResponse.parse(data)
    assert response.transfer == "basic"
    (found,) = response.objects
    assert found.size == 5
    assert found.actions == {"download": Action("h", {"X": "1"})}
    assert found.actions["download"].expiry(1000.0) is None


@pytest.mark.parametrize(
    ("fields", "expiry"),
    [
        ({"expires_in": 60}, 1060.0),
        ({"expires_in": -60}, 940.0),
        ({"expires_at": "1970-01-01T00:10:00Z"}, 600.0),
        ({"expires_at": "1970-01-01T02:10:00+02:00"}, 600.0),
        ({"expires_at": "1970-01-01T00:10:00.5"}, 600.5),
        ({"expires_at": "1970-01-01T00:10:00Z", "expires_in": 60}, 1060.0),
        ({}, None),
    ],
)
def test_expiry(fields: dict[str, Any], expiry: float | None) -> None:
    data = body(objects=[{"oid": OID, "size": 1, "actions": {"upload": {"href": "h", **fields}}}])
    assert BatchResponse.parse(data).objects[0].actions["upload"].expiry(1000.0) == expiry


@pytest.mark.parametrize(
    "action",
    [
        {},
        {"href": 1},
        {"href": "h", "header": {"X": "a\r\nEvil: 1"}},
        {"href": "h", "header": {"X\n": "a"}},
        {"href": "h", "header": {"": "a"}},
        {"href": "h", "header": {"X": True}},
        {"href": "h", "header": []},
        {"href": "h", "expires_in": 1 << 40},
        {"href": "h", "expires_in": "soon"},
        {"href": "h", "expires_at": "tomorrow"},
        {"href": "x" * 70_000},
    ],
)
def test_malformed_actions(action: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        BatchResponse.parse(body(objects=[{"oid": OID, "size": 1, "actions": {"upload": action}}]))


@pytest.mark.parametrize(
    "data", [b'{"oid":"x","size":1}', b'{"oid":"%s"}' % OID.encode(), b'{"oid":"%s","size":-1}' % OID.encode()]
)
def test_malformed_verify_requests(data: bytes) -> None:
    with pytest.raises(BadMessage):
        VerifyRequest.parse(data)


def test_malformed_flags() -> None:
    with pytest.raises(BadMessage, match="true or false"):
        BatchResponse.parse(body(objects=[{"oid": OID, "size": 1, "authenticated": "yes"}]))


def test_error_bodies() -> None:
    error = ErrorBody("no", "http://docs", "r1")
    assert parse_error(error.encode()) == error
    assert parse_error(b"<html>") is None
    assert parse_error(b'{"message":""}') is None
    assert parse_error(b'{"message":5}') is None
    assert ErrorBody("").encode() == b'{"message":""}'
