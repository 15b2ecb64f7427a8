"""The contract of a key -> bytes store. Folder and memory implement it; an object store will.

A key is one to eight parts of 1 to 200 characters of `[A-Za-z0-9._-]`, none starting with a dot, joined by `/`; at most 512
characters in all; no key is the folder of another (`a` beside `a/b`). Values are immutable in meaning: a key is written
once, and its bytes never change while it exists, so readers need no lock.

All methods block, may be called from any thread and at the same time; a `Writer` is used by one thread at a time.
A wrapper (retry, limit, fault) implements the same protocol around another backend.

Errors: `KeyMissing` (permanent: asking again gives the same until somebody writes the key), `InvalidKey` (permanent:
the caller's mistake), `BackendFull` (temporary: there is no room now), `BackendFailed` (`temporary` says whether to
try again). Nothing else escapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hundredweight.base.errors import LocalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    Buffer = bytes | bytearray | memoryview

MAX_KEY = 512
MAX_PARTS = 8
MAX_PART = 200
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class BackendError(LocalError):
    """A backend could not do it. `temporary` says whether the same call may succeed later."""

    temporary = False


class KeyMissing(BackendError):
    """Nothing is stored under `key`."""

    def __init__(self, key: str) -> None:
        super().__init__(f"nothing is stored under '{key}'")
        self.key = key


class BackendFull(BackendError):
    """There is no room for more bytes. What was complete before stays."""

    temporary = True
    hint = "free some space where the hub stores its data"


class BackendFailed(BackendError):
    """The store itself failed: a disk error, a refused permission, a service that is away."""

    def __init__(self, message: str, *, temporary: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.temporary = temporary


class InvalidKey(UsageError):
    """A text that cannot be a key: it could leave the store's folder, or is too long."""

    def __init__(self, key: str) -> None:
        super().__init__(f"invalid key '{key[:80]}'")
        self.key = key


@dataclass(frozen=True, slots=True)
class Stat:
    """What is known of a stored value without reading it. `modified` is seconds since 1970."""

    key: str
    size: int
    modified: float


class Writer(Protocol):
    """A value that is being written and shows to nobody until `commit`. As a context: leaving it uncommitted aborts."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    def write(self, parts: Sequence[Buffer]) -> None:
        """Append all bytes of `parts`, in order. Raises `BackendFull`, `BackendFailed`; the writer is then aborted."""

    def commit(self, key: str, *, replace: bool = False) -> bool:
        """Publish under `key`, atomically and durably: after this returned, the value survives a crash of the machine.

        Put-if-absent: False, with nothing changed, when the key existed; of several writers at once exactly one gets
        True. With `replace` always True: a reader sees the old value or the new one, never none. Ends the writer in every
        case, also by an error. Raises `InvalidKey`, `BackendFull`, `BackendFailed`.
        """

    def abort(self) -> None:
        """Forget what was written. Harmless after `commit` and a second time. Never raises."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Stage(Protocol):
    """A value that comes in pieces at any place, found again by its name, also by the next process, until `commit` or
    `remove`. Unlike a `Writer` it may be used by several threads at once, on different pieces. What was never written reads as
    zeros or as the end."""

    @property
    def name(self) -> str: ...

    def write_at(self, offset: int, parts: Sequence[Buffer]) -> None:
        """Write all bytes of `parts`, one after the other, from `offset` on. Raises `BackendFull`, `BackendFailed`."""

    def write_block(self, offset: int, block: memoryview) -> None:
        """As `write_at`, of one large piece of memory that begins on a page's border and is not read again soon: it may go
        around the system's cache."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on; gives the bytes read, fewer only at the end. Raises `BackendFailed`."""

    def sync(self) -> None:
        """Wait until what was written is on the disk. Raises `BackendFull`, `BackendFailed`."""

    def commit(self, key: str, size: int) -> None:
        """Publish the first `size` bytes under `key`, atomically and durably, replacing what is there; ends the stage. After an
        error it is still there. Nobody may write meanwhile. Raises `InvalidKey`, `BackendFull`, `BackendFailed`."""

    def remove(self) -> None:
        """Forget it. Harmless twice. Raises `BackendFailed`."""


class Backend(Protocol):
    """Where values live."""

    def stat(self, key: str) -> Stat | None:
        """What is under `key`, None when nothing is. Raises `InvalidKey`, `BackendFailed`."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes `start` (inclusive) to `end` (exclusive; None: the end), in pieces of at most `READ_CHUNK`, lazily.

        A range past the value's end is cut to it. Close the iterator (or exhaust it) to release what it holds.
        `KeyMissing` may come at the call or at the first piece; a value deleted later is still read to its end.
        """

    def writer(self) -> Writer:
        """A new value without a name yet. Raises `BackendFull`, `BackendFailed`."""

    def put(self, key: str, data: bytes) -> bool:
        """A small value in one go; else as `Writer.commit`."""

    def delete(self, key: str) -> bool:
        """Remove; False when nothing was there. Raises `InvalidKey`, `BackendFailed`."""

    def move(self, key: str, target: str) -> bool:
        """Rename; False, with nothing changed, when nothing was under `key`. What may lie at `target` is replaced, so the caller
        knows that nobody else uses it. Raises `InvalidKey`, `BackendFull`, `BackendFailed`.
        """

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Every value whose key starts with `prefix` (empty, or whole parts ending in `/`), in order of key.

        A snapshot of no single moment: what is written or deleted during the listing may or may not show.
        """

    def local_path(self, key: str) -> str | None:
        """The value as a file that another program may open for reading, None where the backend has no files or no such key."""

    def expect(self, key: str, size: int) -> None:
        """The value of `size` bytes will be read soon: whatever makes that cheaper may be begun. Never raises."""

    def stage(self, name: str, *, create: bool) -> Stage | None:
        """The stage of that name (one part of a key); a new one, or None, when there is none. Raises as `writer`."""

    def stages(self) -> tuple[Stat, ...]:
        """Every stage; `modified` is when it was written last, `size` says nothing. Raises `BackendFailed`."""

    def clean(self) -> int:
        """Remove what writers of dead processes left behind, stages excepted; gives how many.

        Only its sole user may call it, before any writer is made.
        """

    def check(self) -> None:
        """Prove that the store can be written and read now. Raises `BackendFull`, `BackendFailed`."""


READ_CHUNK = 1 << 19


def check_key(key: str) -> str:
    """The key, if it is one. Raises `InvalidKey`."""
    parts = key.split("/")
    if len(key) > MAX_KEY or len(parts) > MAX_PARTS or not all(_is_part(part) for part in parts):
        raise InvalidKey(key)
    return key


def check_name(name: str) -> str:
    """The name of a stage, if it is one: a key of one part. Raises `InvalidKey`."""
    if not _is_part(name):
        raise InvalidKey(name)
    return name


def check_prefix(prefix: str) -> str:
    """The prefix, if it is one. Raises `InvalidKey`."""
    if prefix:
        if not prefix.endswith("/"):
            raise InvalidKey(prefix)
        check_key(prefix[:-1])
    return prefix


def _is_part(part: str) -> bool:
    return 0 < len(part) <= MAX_PART and part[0] != "." and _ALLOWED.issuperset(part)
