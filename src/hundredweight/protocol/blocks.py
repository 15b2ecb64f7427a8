"""Messages of the transfer adapter `cwt-blocks`: recipes, and the blocks that the other side lacks, as deltas against
what it has.

Spec: docs/formats/blocks.md. Everything hangs on the URL of the action `blocks` of a batch answer. Streams of blocks are pack
streams (docs/formats/pack.md). `parse` raises `BadMessage`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.base.ids import InvalidId, Oid
from hundredweight.protocol.message import BadMessage, Fields, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

TRANSFER = "cwt-blocks"
BLOCKS = "blocks"
"""The action, of uploads and of downloads; beside it stand those of `cwt-parts` and `basic` for the whole object."""
SMALLEST = 64 << 10
"""Bytes of the smallest object that has the action."""
MAX_BASES = 16
MAX_RECIPE = 32 << 20
MAX_RANGES = 100_000
PROBE, LONG_PROBE = 1 << 20, 8 << 20
"""Bytes that are timed on their way to the server, where it matters how fast the link is."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RECIPE = "the digest of a recipe"
_DEPTHS = re.compile(r"[0-9]*")


def recipe_url(href: str) -> str:
    """GET gives the recipe of an object that the server has packed; POST an `Offer` asks what may serve as base."""
    return _below(href, "recipe")


def segments_url(href: str) -> str:
    """POST a `Request` gives a pack stream."""
    return _below(href, "segments")


def probe_url(href: str) -> str:
    """POST takes up to `LONG_PROBE` bytes of anything and forgets them."""
    return _below(href, "probe")


def stream_url(href: str, stream: StreamName) -> str:
    """An upload in parts (docs/formats/parts.md) of that pack stream; it is opened with a `Bases`."""
    return _below(href, str(stream))


@dataclass(frozen=True, slots=True)
class StreamName:
    """A pack stream on its way up: BLAKE3-256 of its bytes in hexadecimal digits, and how many they are."""

    digest: str
    size: int

    def __str__(self) -> str:
        return f"{self.digest}-{self.size}"

    @classmethod
    def parse(cls, text: str) -> StreamName:
        digest, _, size = text.partition("-")
        if not _DIGEST.fullmatch(digest) or not (
            size.isascii() and size.isdigit() and 0 < len(size) < 16 and int(size)
        ):
            raise BadMessage("stream", "not a digest and a size")
        return cls(digest, int(size))


@dataclass(frozen=True, slots=True)
class Bases:
    """Objects that blocks may be deltas against: object id -> BLAKE3-256 of the object's encoded recipe, so that both
    sides mean the same segments."""

    recipes: Mapping[Oid, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        return encode({"bases": dict(self.recipes)})

    @classmethod
    def parse(cls, data: bytes) -> Bases:
        return cls(_bases(Fields.parse(data, "bases"), _DIGEST, _RECIPE))


@dataclass(frozen=True, slots=True)
class Terms:
    """Which of the offered bases the server accepts: object id -> for each segment of its recipe, in order, how many
    deltas lead to it there, one digit each."""

    depths: Mapping[Oid, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        return encode({"bases": dict(self.depths)})

    @classmethod
    def parse(cls, data: bytes) -> Terms:
        return cls(_bases(Fields.parse(data, "terms"), _DEPTHS, "one digit a segment"))


@dataclass(frozen=True, slots=True)
class Request:
    """Which segments of an object are wanted, by their numbers in its recipe, as ascending (first, after last); and what
    the client holds."""

    want: tuple[tuple[int, int], ...]
    have: Bases = Bases()

    def encode(self) -> bytes:
        return encode({"want": [list(pair) for pair in self.want], "bases": dict(self.have.recipes)})

    @classmethod
    def parse(cls, data: bytes) -> Request:
        fields = Fields.parse(data, "segments")
        value = fields.raw("want")
        if not isinstance(value, list) or len(value) > MAX_RANGES:
            raise BadMessage("segments.want", "expected an array of ranges")
        found: list[tuple[int, int]] = []
        for pair in value:
            if not isinstance(pair, list) or len(pair) != 2 or not all(type(number) is int for number in pair):
                raise BadMessage("segments.want", "expected pairs of whole numbers")
            first, end = pair
            if not (found[-1][1] if found else 0) <= first < end <= 1 << 32:
                raise BadMessage("segments.want", "ranges must ascend")
            found.append((first, end))
        return cls(tuple(found), Bases(_bases(fields, _DIGEST, _RECIPE)))


def _bases(fields: Fields, form: re.Pattern[str], expected: str) -> dict[Oid, str]:
    """The field `bases`: object id -> a text of that form."""
    raw = fields.raw("bases")
    if not isinstance(raw, dict) or len(raw) > MAX_BASES:
        raise BadMessage("bases", f"expected at most {MAX_BASES} objects")
    found: dict[Oid, str] = {}
    for key, value in raw.items():
        if not isinstance(value, str) or not form.fullmatch(value):
            raise BadMessage("bases", f"expected {expected}")
        try:
            found[Oid.parse(key)] = value
        except InvalidId as error:
            raise BadMessage("bases", "not an object id") from error
    return found


def _below(href: str, name: str) -> str:
    path, mark, query = href.partition("?")
    return f"{path}/{name}{mark}{query}"
