"""Open files as sources of bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class FileSource:
    """An open file as a source, of the size it has now; called `name` in errors. Reading is thread-safe. A context.

    The descriptor becomes the source's own. What derives from it may say in `_shrank` in its own words what is wrong.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self.name = name
        self.size = os.fstat(descriptor).st_size

    @classmethod
    def open(cls, path: str) -> Self:
        """Raises `OSError`."""
        return cls(os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)), path)

    def fileno(self) -> int:
        """The descriptor, for a mapping of the file; it stays this source's."""
        return self._descriptor

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        while len(data) < length:
            more = os.pread(self._descriptor, length - len(data), offset + len(data))
            if not more:
                raise self._shrank()
            data += more
        return data

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the buffer: for large reads, which need no new memory each time."""
        while buffer:
            count = os.preadv(self._descriptor, [buffer], offset)
            if not count:
                raise self._shrank()
            buffer = buffer[count:]
            offset += count

    def close(self) -> None:
        """Harmless a second time."""
        if self._descriptor >= 0:
            self._release()
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _shrank(self) -> Exception:
        return OSError(f"'{self.name}' became shorter while it was read")

    def _release(self) -> None:
        os.close(self._descriptor)
