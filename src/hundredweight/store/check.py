"""Whether a store holds what its records say: every object is read and hashed, one at a time, at constant memory.

`check` only needs a `Holdings`, whether it keeps objects loose or in packs. It may run while
uploads come in: what seems wrong is looked at once more before it is reported.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from hundredweight.backend.interface import BackendError, KeyMissing
from hundredweight.base.errors import DamageError
from hundredweight.store.catalog import PackMissing

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from hundredweight.backend.interface import Buffer
    from hundredweight.base.ids import Oid
    from hundredweight.store.objects import Stored

__all__ = ["Finding", "Holdings", "Kind", "Progress", "Records", "check"]

SETTLED_SECONDS = 300.0
"""Younger things without a record may belong to an upload that is about to be recorded."""
REPORT_SECONDS = 0.5


class Kind(StrEnum):
    """What may be wrong. The first three are faults; the others cost space and nothing else."""

    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    UNRECORDED = "unrecorded"
    STRAY = "stray"

    @property
    def is_fault(self) -> bool:
        return self in (Kind.DAMAGED, Kind.UNREADABLE, Kind.MISSING)


class Holdings(Protocol):
    """What is checked. `ObjectStore` is one."""

    def contents(self) -> Iterator[Stored]:
        """Everything that is stored, objects in order of id."""

    def size(self, oid: Oid) -> int: ...
    def read(self, oid: Oid, start: int = 0, end: int | None = None) -> Iterator[Buffer]: ...
    def quarantine(self, oid: Oid) -> str:
        """Move damaged bytes aside, so that the object counts as missing and can be sent again; where they are now. Empty,
        with nothing changed, when they are the object's after all, or gone. Never deletes."""


class Records(Protocol):
    """What should be there."""

    def all(self) -> Iterator[tuple[Oid, int]]:
        """Every object with its size, in order of id."""

    def has(self, oid: Oid) -> bool: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """`name` is the object's id, or where a stray thing lies. `size` is the recorded one, else the stored one. `place` is where
    damaged bytes were moved to."""

    kind: Kind
    name: str
    size: int
    reason: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the check is: recorded objects looked at, and bytes read."""

    objects: int
    bytes: int


def check(holdings: Holdings, records: Records, *, repair: bool) -> Iterator[Finding | Progress]:
    """Look at everything; a `Progress` about twice a second and once at the end. `repair` quarantines what is damaged.

    Raises `BackendError` when the store as a whole fails, and what `records` raises.
    """
    yield from _Check(holdings, records, repair).run()


class _Check:
    def __init__(self, holdings: Holdings, records: Records, repair: bool) -> None:
        self._holdings = holdings
        self._records = records
        self._repair = repair
        self._began = time.time()
        self._reported = time.monotonic()
        self._objects = 0
        self._bytes = 0

    def run(self) -> Iterator[Finding | Progress]:
        """Records and contents are both in order of id, so one walk over both pairs them."""
        records = self._records.all()
        record = next(records, None)
        for stored in self._holdings.contents():
            if stored.oid is None:
                yield Finding(Kind.STRAY, stored.name, stored.size, "no object of this store")
                continue
            while record is not None and record[0] < stored.oid:
                yield from self._absent(*record)
                record = next(records, None)
            if record is not None and record[0] == stored.oid:
                yield from self._present(*record)
                record = next(records, None)
            elif self._began - stored.modified > SETTLED_SECONDS and not self._records.has(stored.oid):
                yield Finding(Kind.UNRECORDED, stored.oid, stored.size, "no record of it; it is served to nobody")
        while record is not None:
            yield from self._absent(*record)
            record = next(records, None)
        yield Progress(self._objects, self._bytes)

    def _absent(self, oid: Oid, size: int) -> Iterator[Finding | Progress]:
        """Recorded, and not among the contents: unless it came after the listing had passed its place."""
        if self._holdings.size(oid) >= 0:
            yield from self._present(oid, size)
            return
        self._objects += 1
        if size:
            yield Finding(Kind.MISSING, oid, size, "nothing is stored under its name")

    def _present(self, oid: Oid, size: int) -> Iterator[Finding | Progress]:
        self._objects += 1
        try:
            # A second look: an upload may have replaced the bytes while they were read.
            if (yield from self._fault(oid, size)) and (reason := (yield from self._fault(oid, size))):
                yield from self._damaged(oid, size, reason)
        except KeyMissing:
            yield Finding(Kind.MISSING, oid, size, "it went away during the check")
        except BackendError as error:
            yield Finding(Kind.UNREADABLE, oid, size, error.message)

    def _fault(self, oid: Oid, size: int) -> Generator[Progress, None, str]:
        """Why the stored bytes are not the object; empty when they are."""
        digest = hashlib.sha256()
        count = 0
        try:
            for piece in self._holdings.read(oid):
                digest.update(piece)
                count += len(piece)
                self._bytes += len(piece)
                if time.monotonic() - self._reported > REPORT_SECONDS:
                    self._reported = time.monotonic()
                    yield Progress(self._objects, self._bytes)
        except (DamageError, PackMissing) as error:
            return error.message
        if count != size:
            return f"{count} bytes are stored where {size} are recorded"
        found = digest.hexdigest()
        return "" if found == oid else f"the stored bytes have the SHA-256 '{found}'"

    def _damaged(self, oid: Oid, size: int, reason: str) -> Iterator[Finding]:
        if not self._repair:
            yield Finding(Kind.DAMAGED, oid, size, reason)
        elif place := self._holdings.quarantine(oid):
            yield Finding(Kind.DAMAGED, oid, size, reason, place)
