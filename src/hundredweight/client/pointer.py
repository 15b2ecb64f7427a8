"""`git lfs pointer`: make a file's pointer, and read pointers that others made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.base.ids import Oid
from hundredweight.protocol.pointer import CUTOFF, BadPointer, NotAPointer, Pointer, parse

if TYPE_CHECKING:
    from typing import BinaryIO

    from hundredweight.git.run import Git


class Unreadable(CwtError):
    """A file that was named cannot be read."""

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(f"open {path}: {(error.strerror or str(error)).lower()}")
        self.path = path


@dataclass(frozen=True)
class Reading:
    """What a pointer file holds: its bytes (no more than a pointer may have), and the pointer or why it is none."""

    data: bytes
    pointer: Pointer | None
    problem: str = ""


def build(path: str) -> Pointer:
    """The pointer of the file's content. Raises `Unreadable`."""
    try:
        with open(path, "rb") as file:
            oid = Oid(hashlib.file_digest(file, "sha256").hexdigest())
            return Pointer(oid, file.tell())
    except OSError as error:
        raise Unreadable(path, error) from error


def read(stream: BinaryIO) -> Reading:
    """At most `CUTOFF` bytes are read: what has more is no pointer."""
    data = stream.read(CUTOFF)
    try:
        return Reading(data, parse(data))
    except BadPointer as error:
        return Reading(data, None, f"Pointer file error: {error.reason}")
    except NotAPointer:
        return Reading(data, None, "Pointer file error: invalid header")


def read_file(path: str) -> Reading:
    """`read` of a file. Raises `Unreadable`."""
    try:
        with open(path, "rb") as file:
            return read(file)
    except OSError as error:
        raise Unreadable(path, error) from error


def blob_id(git: Git, data: bytes) -> str:
    """The name that git gives `data`; works outside of repositories, too."""
    return git.text("hash-object", "--stdin", stdin=data)
