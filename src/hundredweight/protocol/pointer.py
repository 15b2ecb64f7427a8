"""The LFS pointer: what stands in git for an object. Spec: git-lfs docs/spec.md, version 1.

Canonical form: `version` line, `ext-N-NAME` lines by N, `oid`, `size`; `key SP value LF`; shorter than 1024 bytes; an
empty file is its own pointer. Parsing tolerates white space around, CRLF, and the two historic version names;
such a pointer is valid but not canonical (`Pointer.canonical` is False).
"""

from __future__ import annotations

from hundredweight.base.errors import CwtError
from hundredweight.base.ids import InvalidId, Oid

CUTOFF = 1024
"""A blob of this many bytes or more is never a pointer."""
VERSION = "https://git-lfs.github.com/spec/v1"
ALIASES = ("http://git-media.io/v/2", "https://hawser.github.com/spec/v1", VERSION)
EMPTY_OID = Oid("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
_MAGIC = (b"git-media", b"hawser", b"git-lfs")


class NotAPointer(CwtError):
    """The bytes are no pointer at all; they are content."""


class BadPointer(NotAPointer):
    """The bytes look like a pointer and break the spec; `reason` says where."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid pointer: {reason}")
        self.reason = reason


class Extension:
    """One `ext-N-NAME sha256:OID` line: content went through filter NAME, whose input was OID."""

    __slots__ = ("name", "oid", "priority")

    def __init__(self, name: str, priority: int, oid: Oid) -> None:
        self.name = name
        self.priority = priority
        self.oid = oid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extension) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[int, str, str]:
        return self.priority, self.name, self.oid


class Pointer:
    """An object's name: `oid`, `size` in bytes, and the extensions its content passed through, by priority."""

    __slots__ = ("canonical", "extensions", "oid", "size", "version")

    def __init__(
        self,
        oid: Oid,
        size: int,
        extensions: tuple[Extension, ...] = (),
        *,
        version: str = VERSION,
        canonical: bool = True,
    ) -> None:
        self.oid = oid
        self.size = size
        self.extensions = extensions
        self.version = version
        self.canonical = canonical

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pointer) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Pointer({self.oid}, {self.size})"

    def _key(self) -> tuple[str, int, tuple[Extension, ...]]:
        return self.oid, self.size, self.extensions

    def encode(self) -> bytes:
        """The canonical bytes; empty for the empty object."""
        if self.size == 0:
            return b""
        lines = [f"version {VERSION}"]
        lines += [f"ext-{e.priority}-{e.name} sha256:{e.oid}" for e in self.extensions]
        lines += [f"oid sha256:{self.oid}", f"size {self.size}", ""]
        return "\n".join(lines).encode()


def parse(data: bytes) -> Pointer:
    """The pointer in `data`, a whole blob. Raises `NotAPointer`, or `BadPointer` where it broke the spec."""
    if not data:
        return Pointer(EMPTY_OID, 0)
    if len(data) >= CUTOFF or not any(word in data for word in _MAGIC):
        raise NotAPointer("not a pointer")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotAPointer("not a pointer") from error
    pointer = _parse_lines(text.strip().replace("\r\n", "\n").split("\n"))
    pointer.canonical = pointer.encode() == data
    return pointer


def try_parse(data: bytes) -> Pointer | None:
    """Like `parse`, None instead of an error."""
    try:
        return parse(data)
    except NotAPointer:
        return None


def _parse_lines(lines: list[str]) -> Pointer:
    key, _, version = lines[0].partition(" ")
    if key != "version":
        raise NotAPointer("not a pointer")
    if version not in ALIASES:
        raise BadPointer(f"unknown version '{version[:80]}'")
    extensions, rest = _take_extensions(lines[1:])
    if len(rest) != 2 or not rest[0].startswith("oid ") or not rest[1].startswith("size "):
        raise BadPointer("expected one 'oid' line, then one 'size' line")
    return Pointer(_parse_oid(rest[0][4:]), _parse_size(rest[1][5:]), extensions, version=version)


def _take_extensions(lines: list[str]) -> tuple[tuple[Extension, ...], list[str]]:
    found: dict[int, Extension] = {}
    count = 0
    for line in lines:
        if not line.startswith("ext-"):
            break
        count += 1
        key, _, value = line.partition(" ")
        priority, dash, name = key[4:5], key[5:6], key[6:]
        if not (priority.isascii() and priority.isdigit()) or dash != "-" or not _is_word(name):
            raise BadPointer(f"malformed extension '{key[:80]}'")
        if int(priority) in found:
            raise BadPointer(f"duplicate extension priority {priority}")
        found[int(priority)] = Extension(name, int(priority), _parse_oid(value))
    return tuple(found[number] for number in sorted(found)), lines[count:]


def _is_word(name: str) -> bool:
    return bool(name) and (name[0].isalnum() or name[0] == "_")


def _parse_oid(value: str) -> Oid:
    kind, _, digits = value.partition(":")
    if kind != "sha256":
        raise BadPointer(f"unknown oid type '{kind[:40]}'")
    try:
        return Oid.parse(digits)
    except InvalidId as error:
        raise BadPointer(str(error)) from error


def _parse_size(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 19 or int(value) >= 1 << 63:
        raise BadPointer(f"invalid size '{value[:40]}'")
    return int(value)
