"""Messages of the transfer adapter `cwt-bundle`: several small objects by one request.

Spec: docs/formats/bundle.md. The URL of the action `bundle` of a batch answer takes a request for any small objects of the
repository. `parse` and `read_bundle` raise `BadMessage`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.ids import InvalidId, Oid
from hundredweight.protocol.message import BadMessage, Fields, TooMany, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hundredweight.protocol.message import Json

TRANSFER = "cwt-bundle"
BUNDLE = "bundle"
"""The action of an object that may come in a bundle. Beside it stands `download`, as in `basic`, for the object alone."""
LARGEST = 128 << 10
"""Bytes of the largest object that has the action."""
MOST = 64
"""Objects of one bundle."""
MOST_BYTES = 512 << 10
"""Bytes of all its objects."""
HEAD = b"CWTB\x01\x00\x00\x00"
_SIZE = struct.Struct("<Q")
_ABSENT = (1 << 64) - 1
LONGEST = len(HEAD) + MOST * _SIZE.size + MOST_BYTES
"""Bytes of the longest bundle."""


@dataclass(frozen=True, slots=True)
class BundleRequest:
    """The objects that are wanted, each once."""

    oids: tuple[Oid, ...]

    def encode(self) -> bytes:
        fields: Json = {"oids": list(self.oids)}
        return encode(fields)

    @classmethod
    def parse(cls, data: bytes) -> BundleRequest:
        texts = Fields.parse(data, "bundle").texts("oids", MOST)
        try:
            oids = tuple(Oid.parse(text) for text in texts)
        except InvalidId as error:
            raise BadMessage("bundle.oids", error.message) from error
        if not oids or len(set(oids)) != len(oids):
            raise BadMessage("bundle.oids", "expected one object or more, each once")
        return cls(oids)


def write_bundle(contents: Sequence[bytes | None]) -> bytes:
    """The objects in the order in which they were asked for; None is one that the server cannot give. Raises `TooMany` for more
    than fits in a bundle."""
    if len(contents) > MOST or sum(len(content) for content in contents if content) > MOST_BYTES:
        raise TooMany("bundle", f"more than {MOST} objects or {MOST_BYTES} bytes")
    return b"".join((HEAD, *_pieces(contents)))


def _pieces(contents: Iterable[bytes | None]) -> Iterator[bytes]:
    for content in contents:
        yield _SIZE.pack(_ABSENT if content is None else len(content))
        yield content or b""


def read_bundle(data: bytes, count: int) -> list[memoryview | None]:
    """The `count` objects of a bundle, as `write_bundle` got them."""
    view = memoryview(data)
    if view[: len(HEAD)] != HEAD:
        raise BadMessage("bundle", "not a bundle of a known version")
    found: list[memoryview | None] = []
    at = len(HEAD)
    for _ in range(count):
        if at + _SIZE.size > len(view):
            raise BadMessage("bundle", "ends too early")
        (size,) = _SIZE.unpack_from(view, at)
        at += _SIZE.size
        if size == _ABSENT:
            found.append(None)
            continue
        if size > len(view) - at:
            raise BadMessage("bundle", "ends too early")
        found.append(view[at : at + size])
        at += size
    if at != len(view):
        raise BadMessage("bundle", f"{len(view) - at} bytes after its end")
    return found
