"""The hub's objects: whole, verified, under `objects/aa/bb/OID` of a backend (git-lfs's own layout in a folder), or packed.

An object shows under its name only after its length and its SHA-256 were found right, and stays as it is from then on. One that
is found damaged later is moved to `quarantine/`, where nobody takes it for the object. Which repository possesses it is the
hub's record, not known here. All calls block.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from hundredweight.backend.interface import KeyMissing
from hundredweight.base.errors import DamageError
from hundredweight.base.ids import InvalidId, Oid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hundredweight.backend.interface import Backend, Buffer

__all__ = ["ObjectMismatch", "ObjectStore", "ObjectWriter", "Packed", "Stored"]

QUARANTINE = "quarantine/"
PACKS = "packs/"


class ObjectMismatch(DamageError):
    """Bytes that came for an object are not that object. Nothing was stored."""

    status = 422
    hint = "send the object again; 'git lfs fsck' tells whether the local copy is damaged"

    def __init__(self, oid: Oid, reason: str) -> None:
        super().__init__(f"object '{oid}' was refused: {reason}")
        self.oid = oid
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Stored:
    """Something that lies in the store: an object, or, where `oid` is None, what is no object of it. `name` says where,
    `modified` since when (seconds since 1970)."""

    name: str
    size: int
    modified: float
    oid: Oid | None


class Packed(Protocol):
    """Objects that are kept in packs. Thread-safe."""

    def size(self, oid: Oid) -> int:
        """Bytes of the object, -1 when it is not packed."""

    def content(self, oid: Oid, start: int = 0, end: int | None = None) -> Iterator[Buffer]:
        """As `Backend.read`, decoded and verified as it is taken. Raises `KeyMissing`, `PackMissing`, `DamageError`."""

    def set_aside(self, oid: Oid) -> str:
        """Let a damaged object count as missing; where its bytes are, empty for one that is not packed. Deletes no bytes."""


class ObjectStore:
    """Verified objects on `backend`, loose or `packed`. A loose copy is taken first: reading it costs nothing. Thread-safe."""

    def __init__(self, backend: Backend, packed: Packed | None = None) -> None:
        self.backend = backend
        self._packed = packed

    @staticmethod
    def key(oid: Oid) -> str:
        return f"{oid[:2]}/{oid[2:4]}/{oid}"

    def size(self, oid: Oid) -> int:
        """Bytes of the stored object, -1 when it is not here."""
        found = self.backend.stat(self.key(oid))
        if found is not None:
            return found.size
        return -1 if self._packed is None else self._packed.size(oid)

    def writer(self, oid: Oid, size: int) -> ObjectWriter:
        """Takes in an object of that id and size."""
        return ObjectWriter(self, oid, size)

    def read(self, oid: Oid, start: int = 0, end: int | None = None) -> Iterator[Buffer]:
        """See `Backend.read`. A loose object is not verified: what is stored was verified when it came."""
        if self._packed is not None and self.backend.stat(self.key(oid)) is None:
            return self._packed.content(oid, start, end)
        return self._read_loose(oid, start, end)

    def local_path(self, oid: Oid) -> str | None:
        """The loose object as a file, where the backend has files; it may go while nobody has it open."""
        return self.backend.local_path(self.key(oid))

    def remove_loose(self, oid: Oid) -> bool:
        """Forget the loose copy of an object that is packed; False when there was none. Who reads it reads it to its end."""
        return self.backend.delete(self.key(oid))

    def _read_loose(self, oid: Oid, start: int, end: int | None) -> Iterator[Buffer]:
        """The loose copy may go between the look and the reading: the packer has packed the object then."""
        if self._packed is None:
            return self.backend.read(self.key(oid), start, end)
        try:
            pieces = self.backend.read(self.key(oid), start, end)
            first = next(pieces, b"")
        except KeyMissing:
            return self._packed.content(oid, start, end)
        return chain((first,), pieces)

    def contents(self) -> Iterator[Stored]:
        """Everything that is stored, objects in order of id; without packs and what was quarantined."""
        for stat in self.backend.list():
            if not stat.key.startswith((QUARANTINE, PACKS)):
                yield Stored(stat.key, stat.size, stat.modified, self._oid_of(stat.key))

    def ids(self) -> Iterator[tuple[Oid, int]]:
        """Every stored object with its size, in order of id."""
        for found in self.contents():
            if found.oid is not None:
                yield found.oid, found.size

    def quarantine(self, oid: Oid) -> str:
        """Move damaged bytes aside, so that the object counts as missing; where they are now. Empty, with nothing changed, when
        loose ones are the object's after all (an upload replaced them just now), or gone. Packed ones stay, and are forgotten.
        Never deletes.

        Raises `BackendFull`, `BackendFailed`.
        """
        place = f"{QUARANTINE}{oid}.{os.urandom(4).hex()}"
        if not self.backend.move(self.key(oid), place):
            return "" if self._packed is None else self._packed.set_aside(oid)
        digest = hashlib.sha256()
        for piece in self.backend.read(place):
            digest.update(piece)
        if digest.hexdigest() == oid:
            self.backend.move(place, self.key(oid))
            return ""
        return place

    def _oid_of(self, key: str) -> Oid | None:
        try:
            oid = Oid.parse(key.rpartition("/")[2])
        except InvalidId:
            return None
        return oid if key == self.key(oid) else None


class ObjectWriter:
    """One object coming in. `write` and `hash` take the same bytes, each in order; they may run in two threads at
    once, since both
    leave the interpreter's lock. `finish` then checks and publishes. As a context: leaving it unfinished forgets everything."""

    def __init__(self, store: ObjectStore, oid: Oid, size: int) -> None:
        """Raises `BackendFull`, `BackendFailed`."""
        self.oid = oid
        self.size = size
        self._store = store
        self._hash = hashlib.sha256()
        self._target = store.backend.writer()

    def write(self, parts: Sequence[Buffer]) -> None:
        """Raises `ObjectMismatch` as soon as there are too many bytes; `BackendFull`, `BackendFailed`."""
        if self._target.size + sum(len(part) for part in parts) > self.size:
            raise ObjectMismatch(self.oid, f"more than {self.size} bytes came")
        self._target.write(parts)

    def hash(self, parts: Sequence[Buffer]) -> None:
        for part in parts:
            self._hash.update(part)

    def finish(self) -> None:
        """Publish. Raises `ObjectMismatch`, `BackendFull`, `BackendFailed`.

        What lies under the name already is replaced: it is the same bytes or damaged ones, and telling which costs reading it,
        where these bytes are verified and at hand. Who reads the old file reads it to its end.
        """
        if self._target.size != self.size:
            raise ObjectMismatch(self.oid, f"{self._target.size} bytes came where {self.size} were announced")
        if self._hash.hexdigest() != self.oid:
            raise ObjectMismatch(self.oid, f"the bytes that came have the SHA-256 '{self._hash.hexdigest()}'")
        self._target.commit(self._store.key(self.oid), replace=True)

    def abort(self) -> None:
        self._target.abort()

    def __enter__(self) -> ObjectWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.abort()
