"""Telling git's index that files of the work tree were written by us and match it.

git's own way, `update-index`, runs the clean filter over every file to see that: as much hashing and writing again as the
checkout itself. Whoever just wrote an object over its own pointer knows it, so `stamp` puts the files' sizes and times into
their entries, as git does after a checkout, under git's own lock. What it does not understand to the last bit (a split
index, an unknown version) it leaves to `refresh`. Format: git's gitformat-index(5); docs/design/index.md has the reasons.
"""

from __future__ import annotations

import hashlib
import os
import stat

from hundredweight.base.files import open_exclusive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hundredweight.git.run import Git

_SIGNATURE = b"DIRC"
_VERSIONS = (2, 3, 4)
_STAT = 40
"""Bytes of an entry before its blob id: ten 32-bit numbers, the seventh of which is the mode."""
_MODE_AT = 24
_NAME_MASK = 0x0FFF
_STAGE_MASK = 0x3000
_EXTENDED = 0x4000
_ASSUME_VALID = 0x8000
_MAX_SIZE = 1 << 26
_HASHES = {"sha1": 20, "sha256": 32}


class IndexEntry:
    """One path as the index has it: git's `mode` (0o100644, 0o100755, ...) and blob id. `stage` 0 unless in conflict."""

    __slots__ = ("blob", "mode", "stage")

    def __init__(self, mode: int, blob: str, stage: int) -> None:
        self.mode = mode
        self.blob = blob
        self.stage = stage

    @property
    def executable(self) -> bool:
        return bool(self.mode & 0o100)


class Stamp:
    """A file that was written over the pointer in `blob` (a git object name), and what `lstat` said right afterwards."""

    __slots__ = ("blob", "info")

    def __init__(self, blob: str, info: os.stat_result) -> None:
        self.blob = blob
        self.info = info


class _Unsupported(Exception):
    """This index is not one that may be changed in place."""


def entries(git: Git) -> dict[str, IndexEntry]:
    """Every path of the index; of a path in conflict the last stage. `git` runs at the top of the work tree."""
    found = {}
    for line in git.fields("ls-files", "--stage", "-z"):
        facts, _, path = line.partition("\t")
        mode, blob, stage = facts.split(" ")
        found[path] = IndexEntry(int(mode, 8), blob, int(stage))
    return found


def lists_sparsely(git: Git) -> bool:
    """Whether this git can list a sparse index as it is and filter by attributes at once (2.42)."""
    words = git.text("version").split()
    numbers = [int(part) for part in (words[2] if len(words) > 2 else "").split(".")[:2] if part.isdigit()]
    return numbers >= [2, 42]


def present_files(git: Git, *pathspecs: str) -> dict[str, IndexEntry]:
    """The files of the index (below the pathspecs) that the work tree should have: without those that a sparse checkout leaves
    out. Needs a git that `lists_sparsely`."""
    found = {}
    for line in git.fields("ls-files", "-t", "--stage", "--sparse", "--full-name", "-z", "--", *pathspecs):
        facts, _, path = line.partition("\t")
        tag, mode, blob, stage = facts.split(" ")
        if tag != "S" and mode.startswith("100"):
            found[path] = IndexEntry(int(mode, 8), blob, int(stage))
    return found


def refresh(git: Git, paths: Iterable[str]) -> None:
    """Make git look at `paths` (known to the index) again, so that `git status` is quick and silent. Raises `GitError`."""
    stdin = b"".join(os.fsencode(path) + b"\0" for path in paths)
    if stdin:
        git.output("update-index", "-q", "-z", "--stdin", stdin=stdin)


def blob_name(data: bytes, object_format: str) -> str:
    """The name that git gives a blob of `data` in a repository of that format (sha1 or sha256)."""
    return hashlib.new(object_format, b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def stamp(path: str, object_format: str, stamps: Mapping[str, Stamp]) -> set[str]:
    """Put the stamps into the index file `path`, and give the paths for which that was done.

    An entry is left alone unless it is an ordinary one whose blob is the stamp's. Nothing at all is done when somebody holds
    the index's lock, or when the file is of a kind that is not understood. Atomic; raises `OSError` when the disk is full.
    """
    lock = path + ".lock"
    try:
        descriptor = open_exclusive(lock)
    except FileExistsError:
        return set()
    try:
        changed, done = _changed(path, object_format, stamps)
        if done:
            view = memoryview(changed)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode))
            os.replace(lock, path)
        else:
            os.unlink(lock)
    except (_Unsupported, ValueError, IndexError):
        os.unlink(lock)
        return set()
    except BaseException:
        os.unlink(lock)
        raise
    finally:
        os.close(descriptor)
    return done


def _changed(path: str, object_format: str, stamps: Mapping[str, Stamp]) -> tuple[bytearray, set[str]]:
    data = _read(path)
    width = _HASHES[object_format]
    body = len(data) - width
    digest = hashlib.new(object_format, memoryview(data)[:body], usedforsecurity=False).digest()
    unhashed = not any(data[body:])  # index.skipHash
    if not unhashed and data[body:] != digest:
        raise _Unsupported
    done = set()
    at = 12
    for start, end, name in _walk(data, body, width):
        at = end
        wanted = stamps.get(os.fsdecode(name))
        if wanted is not None and _is_ordinary(data, start, width) and _blob(data, start, width) == wanted.blob:
            numbers = _stat_numbers(wanted.info)
            if numbers is not None:
                data[start : start + _MODE_AT], data[start + _MODE_AT + 4 : start + _STAT] = numbers
                done.add(os.fsdecode(name))
    if any(kind == b"link" for kind in _extensions(data, at, body)):
        raise _Unsupported
    if not unhashed:
        data[body:] = hashlib.new(object_format, memoryview(data)[:body], usedforsecurity=False).digest()
    return data, done


def _read(path: str) -> bytearray:
    info = os.lstat(path)
    if not stat.S_ISREG(info.st_mode) or info.st_size > _MAX_SIZE:
        raise _Unsupported
    with open(path, "rb") as file:
        return bytearray(file.read())


def _number(data: bytearray, at: int, width: int = 4) -> int:
    return int.from_bytes(data[at : at + width], "big")


def _walk(data: bytearray, body: int, width: int) -> Iterator[tuple[int, int, bytes]]:
    """(start, end, name) of each entry."""
    version = _number(data, 4)
    if data[:4] != _SIGNATURE or version not in _VERSIONS:
        raise _Unsupported
    start = 12
    name = b""
    for _ in range(_number(data, 8)):
        flags = _number(data, start + _STAT + width, 2)
        at = start + _STAT + width + (4 if flags & _EXTENDED else 2)
        if version == 4:
            strip, at = _variable_number(data, at)
            terminator = data.index(b"\0", at)
            name = name[: len(name) - strip] + bytes(data[at:terminator])
            end = terminator + 1
        else:
            length = flags & _NAME_MASK
            terminator = at + length if length < _NAME_MASK else data.index(b"\0", at)
            name = bytes(data[at:terminator])
            end = start + (terminator - start + 8) // 8 * 8
        if end > body:
            raise _Unsupported
        yield start, end, name
        start = end


def _variable_number(data: bytearray, at: int) -> tuple[int, int]:
    """Git's offset encoding: seven bits a byte, one added for each continuation."""
    byte = data[at]
    value = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = data[at]
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, at + 1


def _is_ordinary(data: bytearray, start: int, width: int) -> bool:
    """A regular file, not in conflict, and not one that git was told not to look at (skip-worktree, intent-to-add too)."""
    flags = _number(data, start + _STAT + width, 2)
    return _number(data, start + _MODE_AT) >> 12 == 0o10 and not flags & (_STAGE_MASK | _EXTENDED | _ASSUME_VALID)


def _blob(data: bytearray, start: int, width: int) -> str:
    return data[start + _STAT : start + _STAT + width].hex()


def _stat_numbers(info: os.stat_result) -> tuple[bytes, bytes] | None:
    """What stands before and after the mode: ctime, mtime, device, inode; owner, group, size; the low 32 bits of each. None
    for a size of which those are all zero: versions of git disagree about it."""
    if info.st_size and not info.st_size & 0xFFFFFFFF:
        return None
    billion = 1_000_000_000
    before = (
        *divmod(info.st_ctime_ns, billion),
        *divmod(info.st_mtime_ns, billion),
        info.st_dev,
        info.st_ino,
    )
    after = (info.st_uid, info.st_gid, info.st_size)
    return _pack(before), _pack(after)


def _pack(numbers: Iterable[int]) -> bytes:
    return b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in numbers)


def _extensions(data: bytearray, at: int, body: int) -> Iterator[bytes]:
    while at + 8 <= body:
        yield bytes(data[at : at + 4])
        at += 8 + _number(data, at + 4)
