"""The directory of a zip file, bounded, and its members as ranges: what PyTorch checkpoints and npz files are made of."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.formats.source import Cursor, FormatError, Source, Window
from hundredweight.formats.tensors import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL, CENTRAL, END, END64, LOCATOR64 = b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7"
DESCRIPTOR = b"PK\x07\x08"
MAX_MEMBERS = 1 << 20
MAX_DIRECTORY = 1 << 28
STORED, DEFLATED = 0, 8
_CHUNK = 1 << 20
_FULL = 0xFFFFFFFF


@dataclass(frozen=True)
class Member:
    """One file of the archive; its (packed) bytes are `[start, start + packed)` of the file, its header is at `local`, its
    record in the directory at `record`."""

    name: str
    method: int
    packed: int
    size: int
    start: int
    local: int
    record: int


def matches(source: Source) -> bool:
    return source.size >= 22 and source.read(0, 4) in (LOCAL, END)


def members(window: Window) -> dict[str, Member]:
    """All members by name. Raises `FormatError` for what is not a plain, unencrypted archive within its file."""
    offset, length, count = _directory(window)
    if count > MAX_MEMBERS or length > MAX_DIRECTORY or count * 46 > length:
        raise FormatError(f"a zip directory of {count} members in {length} bytes", offset)
    cursor = Cursor(window, offset, offset + length)
    found: dict[str, Member] = {}
    for _ in range(count):
        member = _entry(cursor, window)
        if member.name in found:
            raise FormatError(f"two members are called '{shorten(member.name)}'", member.start)
        found[member.name] = member
    return found


def inflate(source: Source, start: int, packed: int, size: int) -> Iterator[bytes]:
    """The content of a deflated member in pieces of at most 1 MiB. More than `size` bytes, or fewer, raise `FormatError`."""
    machine = zlib.decompressobj(-15)
    left = size
    at = start
    pending = b""
    try:
        while not machine.eof:
            if not pending and at < start + packed:
                pending = source.read(at, min(_CHUNK, start + packed - at))
                at += len(pending)
            data = machine.decompress(pending, _CHUNK)
            pending = machine.unconsumed_tail
            if not data and not pending and at >= start + packed and not machine.eof:
                raise FormatError("a compressed member ends early", at)
            left -= len(data)
            if left < 0:
                raise FormatError(f"a compressed member inflates to more than its {size} bytes", start)
            if data:
                yield data
    except zlib.error as error:
        raise FormatError("a compressed member is damaged", at) from error
    if left:
        raise FormatError(f"a compressed member inflates to {size - left} bytes instead of {size}", start)


def content(source: Source, member: Member, limit: int) -> bytes:
    """A small member, whole. Raises `FormatError` where it has more than `limit` bytes."""
    if member.size > limit:
        raise FormatError(f"'{shorten(member.name)}' has {member.size} bytes, at most {limit} are read", member.start)
    if member.method == STORED:
        return source.read(member.start, member.size)
    return b"".join(inflate(source, member.start, member.packed, member.size))


def checksum_places(source: Source, member: Member) -> tuple[int, ...]:
    """Where the file keeps the CRC-32 of a member's content: in the directory, and in its header or behind its bytes."""
    header = source.read(member.local, 30)
    if not header[6] & 8:
        return member.record + 16, member.local + 14
    behind = member.start + member.packed
    return member.record + 16, behind + (4 if source.read(behind, 4) == DESCRIPTOR else 0)


def _directory(window: Window) -> tuple[int, int, int]:
    """Offset, length and number of members of the central directory."""
    tail_start = max(window.size - (1 << 16) - 22, 0)
    half = min(window.size - tail_start, 1 << 16)
    tail = window.read(tail_start, half) + window.read(tail_start + half, window.size - tail_start - half)
    place = tail.rfind(END)
    if place < 0 or len(tail) - place < 22:
        raise FormatError("the zip directory is missing: the file is cut short", window.size)
    cursor = Cursor(window, tail_start + place + 10, window.size)
    count, length, offset = cursor.unsigned(2), cursor.unsigned(4), cursor.unsigned(4)
    locator = tail_start + place - 20
    if (count == 0xFFFF or _FULL in (length, offset)) and locator >= 0:
        cursor = Cursor(window, locator, window.size)
        if cursor.take(4) == LOCATOR64:
            cursor.skip(4)
            record = cursor.unsigned(8)
            cursor = Cursor(window, record, window.size)
            if cursor.take(4) != END64:
                raise FormatError("the zip64 directory is damaged", record)
            cursor.skip(28)
            count, length, offset = cursor.unsigned(8), cursor.unsigned(8), cursor.unsigned(8)
    if offset + length > window.size:
        raise FormatError(f"the zip directory reaches beyond the end of the file ({window.size})", offset)
    return offset, length, count


def _entry(cursor: Cursor, window: Window) -> Member:
    at = cursor.offset
    if cursor.take(4) != CENTRAL:
        raise FormatError("the zip directory is damaged", at)
    cursor.skip(4)
    flags, method = cursor.unsigned(2), cursor.unsigned(2)
    cursor.skip(8)
    packed, size = cursor.unsigned(4), cursor.unsigned(4)
    name_length, extra_length, comment_length = cursor.unsigned(2), cursor.unsigned(2), cursor.unsigned(2)
    cursor.skip(8)
    local = cursor.unsigned(4)
    name = cursor.take(name_length).decode("utf-8", "replace")
    extra = cursor.take(extra_length)
    cursor.skip(comment_length)
    size, packed, local = _wide(extra, size, packed, local, at)
    if flags & 1:
        raise FormatError(f"'{shorten(name)}' is encrypted", at)
    if method not in (STORED, DEFLATED):
        raise FormatError(f"'{shorten(name)}' is compressed by method {method}, which is not read", at)
    if method == STORED and packed != size:
        raise FormatError(f"'{shorten(name)}' is stored in {packed} bytes, its size is {size}", at)
    start = _data_start(window, local, name)
    if start + packed > window.size:
        raise FormatError(f"'{shorten(name)}' reaches beyond the end of the file", start)
    return Member(name, method, packed, size, start, local, at)


def _wide(extra: bytes, size: int, packed: int, local: int, at: int) -> tuple[int, int, int]:
    """Zip64 values stand in an extra field, those alone that did not fit, in this order."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = (
            int.from_bytes(extra[place : place + 2], "little"),
            int.from_bytes(extra[place + 2 : place + 4], "little"),
        )
        if kind == 1:
            numbers = iter(
                [int.from_bytes(extra[i : i + 8], "little") for i in range(place + 4, place + 4 + length - 7, 8)]
            )
            size = next(numbers, -1) if size == _FULL else size
            packed = next(numbers, -1) if packed == _FULL else packed
            local = next(numbers, -1) if local == _FULL else local
            break
        place += 4 + length
    if min(size, packed, local) < 0:
        raise FormatError("a zip64 field is cut short", at)
    return size, packed, local


def _data_start(window: Window, local: int, name: str) -> int:
    cursor = Cursor(window, local, window.size)
    if cursor.take(4) != LOCAL:
        raise FormatError(f"'{shorten(name)}' has no header where the zip directory says", local)
    cursor.skip(22)
    name_length, extra_length = cursor.unsigned(2), cursor.unsigned(2)
    return cursor.offset + name_length + extra_length
