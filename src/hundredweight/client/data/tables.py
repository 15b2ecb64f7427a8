"""Records of fixed width that begin with a hash, any number of them: kept in memory while they are few, else on disk.

They come back in buckets by the first byte of the hash, so equal hashes come together, and no more than a 256th of all is in
memory at once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.files import AtomicFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

BUCKETS = 256
IN_MEMORY = 32 << 20
"""Bytes that one table holds in memory."""


class Table:
    """Add, then read the buckets, as often as needed. Use as a context, or `close`: the file goes."""

    def __init__(self, width: int, folder: str, limit: int = IN_MEMORY) -> None:
        """`folder` is where the temporary file is made when it becomes necessary."""
        self.width = width
        self._folder = folder
        self._limit = limit
        self._held = 0
        self._buckets = [bytearray() for _ in range(BUCKETS)]
        self._extents: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]
        self._file: AtomicFile | None = None

    def add(self, record: bytes) -> None:
        self._buckets[record[0]] += record
        self._held += len(record)
        if self._held >= self._limit:
            self._spill()

    def buckets(self) -> Iterator[list[bytes]]:
        """The records, bucket by bucket, in the order in which they were added. Two tables' buckets go together."""
        for number in range(BUCKETS):
            data = self._bucket(number)
            yield [data[at : at + self.width] for at in range(0, len(data), self.width)]

    def _bucket(self, number: int) -> bytes:
        parts = []
        for offset, length in self._extents[number]:
            assert self._file is not None
            parts.append(os.pread(self._file.descriptor, length, offset))
        return b"".join((*parts, self._buckets[number]))

    def _spill(self) -> None:
        if self._file is None:
            os.makedirs(self._folder, exist_ok=True)
            self._file = AtomicFile("", temp_folder=self._folder)
        for number, bucket in enumerate(self._buckets):
            if bucket:
                self._extents[number].append((self._file.size, len(bucket)))
                self._file.write(bucket)
                self._buckets[number] = bytearray()
        self._held = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.abort()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
