"""Walking protobuf messages in a source: fields as numbers and ranges, nothing copied that nobody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.formats.source import BLOCK, FormatError, Window, decode_text

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_TEXT = 1 << 20
MAX_VARINT = 10


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its number and wire type; `value` of a number (varint, fixed), `[start, end)` of its content."""

    number: int
    kind: int
    value: int
    start: int
    end: int


class Walker:
    """Reads messages of one window. `visited` counts fields over all messages, bounded by `limit`."""

    def __init__(self, window: Window, limit: int) -> None:
        self._window = window
        self._limit = limit
        self._visited = 0
        self._piece = b""
        self._piece_start = 0

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message in `[start, end)`. Raises `FormatError`."""
        at = start
        while at < end:
            self._visited += 1
            if self._visited > self._limit:
                raise FormatError(f"more than {self._limit} protobuf fields", at)
            tag, content = self.varint(at, end)
            number, kind = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise FormatError("a protobuf field has an impossible number", at)
            value = 0
            if kind == VARINT:
                value, after = self.varint(content, end)
            elif kind == LENGTH:
                length, content = self.varint(content, end)
                after = content + length
            elif kind in (FIXED64, FIXED32):
                after = content + (8 if kind == FIXED64 else 4)
            else:
                raise FormatError(f"protobuf wire type {kind} is not read", at)
            if after > end:
                raise FormatError("a protobuf field reaches beyond its message", at)
            yield Field(number, kind, value, content, after)
            at = after

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """A number at `at`, and where it ends."""
        data = self._bytes(at, min(MAX_VARINT, end - at))
        value = 0
        for place, byte in enumerate(data):
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, at + place + 1
        raise FormatError("a protobuf number has no end", at)

    def text(self, field: Field) -> str:
        if field.kind != LENGTH or field.end - field.start > MAX_TEXT:
            raise FormatError(f"a protobuf text is none, or longer than {MAX_TEXT} bytes", field.start)
        return decode_text(self._window.read(field.start, field.end - field.start), field.start)

    def numbers(self, field: Field, limit: int) -> list[int]:
        """The varints of a repeated number field, packed or single, at most `limit`."""
        if field.kind == VARINT:
            return [field.value]
        found: list[int] = []
        at = field.start
        while at < field.end:
            value, at = self.varint(at, field.end)
            found.append(value)
            if len(found) > limit:
                raise FormatError(f"a list of more than {limit} numbers", field.start)
        return found

    def _bytes(self, at: int, length: int) -> bytes:
        """A few bytes, out of a piece that is kept: fields follow one another."""
        skip = at - self._piece_start
        if skip < 0 or skip + length > len(self._piece):
            self._piece = self._window.read(at, max(min(BLOCK, self._window.size - at), length))
            self._piece_start, skip = at, 0
        return self._piece[skip : skip + length]
