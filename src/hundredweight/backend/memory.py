"""A backend in memory: a public test double that keeps the whole contract, with scripted faults."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from hundredweight.backend.interface import (
    READ_CHUNK,
    BackendFailed,
    BackendFull,
    KeyMissing,
    Stat,
    check_key,
    check_name,
    check_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hundredweight.backend.interface import BackendError, Buffer

__all__ = ["MemoryBackend"]


class MemoryBackend:
    """Values in a dictionary. `capacity` bounds the sum of stored and unfinished bytes; `fail_next` scripts a fault."""

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.values: dict[str, tuple[bytes, float]] = {}
        self.staged: dict[str, MemoryStage] = {}
        self.open_writers = 0
        self._used = 0
        self._fault: BackendError | None = None
        self._lock = threading.Lock()

    def fail_next(self, error: BackendError) -> None:
        """The next write, commit, read, stat or check raises `error`, once."""
        self._fault = error

    def stat(self, key: str) -> Stat | None:
        check_key(key)
        self.fault()
        found = self.values.get(key)
        return None if found is None else Stat(key, len(found[0]), found[1])

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        check_key(key)
        self.fault()
        if key not in self.values:
            raise KeyMissing(key)
        return _pieces(self.values[key][0][start:end])

    def writer(self) -> MemoryWriter:
        return MemoryWriter(self)

    def put(self, key: str, data: bytes) -> bool:
        with self.writer() as target:
            target.write([data])
            return target.commit(key)

    def delete(self, key: str) -> bool:
        check_key(key)
        with self._lock:
            found = self.values.pop(key, None)
            if found is not None:
                self._used -= len(found[0])
            return found is not None

    def move(self, key: str, target: str) -> bool:
        check_key(key)
        check_key(target)
        self.fault()
        with self._lock:
            if key not in self.values:
                return False
            self._used -= len(self.values.get(target, (b"", 0))[0])
            self.values[target] = self.values.pop(key)
            return True

    def list(self, prefix: str = "") -> Iterator[Stat]:
        check_prefix(prefix)
        for key in sorted(self.values):
            found = self.values.get(key)
            if key.startswith(prefix) and found is not None:
                yield Stat(key, len(found[0]), found[1])

    def local_path(self, key: str) -> str | None:
        check_key(key)
        return None

    def expect(self, key: str, size: int) -> None:
        """Nothing is cheaper than memory."""

    def stage(self, name: str, *, create: bool) -> MemoryStage | None:
        check_name(name)
        self.fault()
        if create:
            self.staged.setdefault(name, MemoryStage(self, name))
        return self.staged.get(name)

    def stages(self) -> tuple[Stat, ...]:
        return tuple(Stat(stage.name, len(stage.data), stage.modified) for stage in list(self.staged.values()))

    def clean(self) -> int:
        return 0

    def check(self) -> None:
        self.fault()
        self.reserve(0)

    def reserve(self, count: int) -> None:
        """Take (or with a negative count give back) room. Raises `BackendFull`."""
        with self._lock:
            if self.capacity is not None and count >= 0 and self._used + max(count, 1) > self.capacity:
                raise BackendFull("cannot store more: the memory backend is full")
            self._used += count

    def publish(self, key: str, data: bytes, replace: bool) -> bool:
        self.fault()
        with self._lock:
            if key in self.values and not replace:
                return False
            self._used -= len(self.values.pop(key, (b"", 0))[0])
            self.values[key] = (data, time.time())
            return True

    def fault(self) -> None:
        """Raise the scripted fault, if one is due."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault


class MemoryWriter:
    """See `Writer`."""

    def __init__(self, backend: MemoryBackend) -> None:
        self._backend = backend
        self._data = bytearray()
        self._open = True
        backend.open_writers += 1

    @property
    def size(self) -> int:
        return len(self._data)

    def write(self, parts: Sequence[Buffer]) -> None:
        try:
            self._backend.fault()
            self._backend.reserve(sum(len(part) for part in parts))
        except BaseException:
            self.abort()
            raise
        for part in parts:
            self._data += part

    def commit(self, key: str, *, replace: bool = False) -> bool:
        try:
            published = self._backend.publish(check_key(key), bytes(self._data), replace)
            if published:
                self._close()
            return published
        finally:
            self.abort()

    def abort(self) -> None:
        if self._open:
            self._backend.reserve(-len(self._data))
            self._close()

    def _close(self) -> None:
        self._open = False
        self._backend.open_writers -= 1

    def __enter__(self) -> MemoryWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.abort()


class MemoryStage:
    """See `Stage`."""

    def __init__(self, backend: MemoryBackend, name: str) -> None:
        self.name = name
        self.data = bytearray()
        self.modified = time.time()
        self._backend = backend
        self._lock = threading.Lock()

    def write_at(self, offset: int, parts: Sequence[Buffer]) -> None:
        self._backend.fault()
        if self._backend.staged.get(self.name) is not self:
            raise BackendFailed(f"cannot write a part: the stage '{self.name}' is gone")
        content = b"".join(parts)
        with self._lock:
            missing = max(0, offset + len(content) - len(self.data))
            self._backend.reserve(missing)
            self.data += bytes(missing)
            self.data[offset : offset + len(content)] = content
            self.modified = time.time()

    def write_block(self, offset: int, block: memoryview) -> None:
        self.write_at(offset, [block])

    def read_into(self, offset: int, buffer: memoryview) -> int:
        self._backend.fault()
        found = bytes(self.data[offset : offset + len(buffer)])
        buffer[: len(found)] = found
        return len(found)

    def sync(self) -> None:
        self._backend.fault()

    def commit(self, key: str, size: int) -> None:
        self._backend.publish(check_key(key), bytes(self.data[:size]), True)
        self._backend.reserve(size - len(self.data))
        self._backend.staged.pop(self.name, None)

    def remove(self) -> None:
        if self._backend.staged.pop(self.name, None) is not None:
            self._backend.reserve(-len(self.data))


def _pieces(data: bytes) -> Iterator[bytes]:
    for offset in range(0, len(data), READ_CHUNK):
        yield data[offset : offset + READ_CHUNK]
