"""What every JSON message of the LFS API shares: its media type, its bounds, checked fields, the error body.

Spec: git-lfs docs/api. Reading is strict about types and sizes, since either side may be hostile, and tolerant of unknown
keys and of `null` for an absent field, since servers in the field send both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hundredweight.base.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = dict[str, Any]

MEDIA_TYPE = "application/vnd.git-lfs+json"
MAX_BODY = 64 << 20
"""No message of this API is longer: 1000 objects with presigned URLs are about 4 MiB."""
MAX_TEXT = 64 << 10
MAX_SIZE = (1 << 63) - 1


class BadMessage(RemoteError):
    """The other side's message breaks the schema; `where` names the field."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"invalid message: {where}: {reason}")
        self.where = where
        self.reason = reason


class TooMany(BadMessage):
    """A list in the other side's message is longer than its bound: in parts it may pass."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a refused request carries: a message, an id to quote to the server's owner, a page to read; our hub also says what
    mends it (`hint`)."""

    message: str
    documentation_url: str = ""
    request_id: str = ""
    hint: str = ""

    def fields(self) -> Json:
        return present(
            message=self.message, documentation_url=self.documentation_url, request_id=self.request_id, hint=self.hint
        )

    def encode(self) -> bytes:
        return encode(self.fields() or {"message": ""})


def parse_error(data: bytes) -> ErrorBody | None:
    """The error body in `data`, None where it is none: HTML pages and empty bodies are common."""
    try:
        fields = Fields.parse(data, "error")
        body = ErrorBody(*(fields.text(key) for key in ("message", "documentation_url", "request_id", "hint")))
    except BadMessage:
        return None
    return body if body.message else None


class Fields:
    """One JSON object whose fields are read by type. `where` is its place in the message, for errors."""

    __slots__ = ("_values", "where")

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            raise BadMessage(where, "expected an object")
        self._values: Mapping[str, object] = values
        self.where = where

    @classmethod
    def parse(cls, data: bytes, where: str) -> Fields:
        """Raises `BadMessage` for what is longer than `MAX_BODY`, not JSON, nested too deeply, or no object."""
        if len(data) > MAX_BODY:
            raise BadMessage(where, f"{len(data)} bytes are too many")
        try:
            return cls(json.loads(data), where)
        except (ValueError, RecursionError) as error:
            raise BadMessage(where, "not JSON") from error

    def text(self, key: str, default: str | None = "", limit: int = MAX_TEXT) -> str:
        """A string; absent or null gives `default`, and is an error when that is None."""
        value = self._values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self._bad(key, "expected a string")
        if len(value) > limit:
            raise self._bad(key, f"longer than {limit} characters")
        if not value.isascii() and any(0xD800 <= ord(char) < 0xE000 for char in value):
            raise self._bad(key, "not Unicode")
        return value

    def integer(self, key: str, default: int | None = 0, low: int = 0, high: int = MAX_SIZE) -> int:
        """A whole number, `5` or `5.0`, within bounds; absent or null gives `default`, an error when that is None."""
        value = self._values.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._bad(key, "expected a whole number")
        if not low <= value <= high:
            raise self._bad(key, f"{value} is out of range")
        return value

    def flag(self, key: str) -> bool:
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._bad(key, "expected true or false")
        return bool(value)

    def child(self, key: str) -> Fields | None:
        """A nested object, None when it is absent or null."""
        value = self._values.get(key)
        return None if value is None else Fields(value, f"{self.where}.{key}")

    def children(self, key: str, limit: int, *, required: bool = True) -> list[Fields]:
        """The objects of an array of at most `limit`."""
        return [Fields(item, f"{self.where}.{key}[{n}]") for n, item in enumerate(self._array(key, limit, required))]

    def texts(self, key: str, limit: int) -> tuple[str, ...]:
        """The strings of an optional array of at most `limit`."""
        items = self._array(key, limit, required=False)
        return tuple(Fields({"": item}, f"{self.where}.{key}[{n}]").text("", None) for n, item in enumerate(items))

    def names(self) -> list[str]:
        return list(self._values)

    def raw(self, key: str) -> object:
        return self._values.get(key)

    def _array(self, key: str, limit: int, required: bool) -> list[object]:
        value = self._values.get(key)
        if value is None and not required:
            return []
        if not isinstance(value, list):
            raise self._bad(key, "expected an array")
        if len(value) > limit:
            raise TooMany(f"{self.where}.{key}", f"more than {limit} entries")
        return value

    def _bad(self, key: str, reason: str) -> BadMessage:
        return BadMessage(f"{self.where}.{key}" if key else self.where, reason)


def present(**fields: object) -> Json:
    """The fields that say something: not None, not empty."""
    return {key: value for key, value in fields.items() if value not in (None, "", [], {})}


def ref_field(name: str) -> Json | None:
    return {"name": name} if name else None


def read_ref(fields: Fields) -> str:
    ref = fields.child("ref")
    return ref.text("name") if ref is not None else ""


def encode(fields: Json) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
