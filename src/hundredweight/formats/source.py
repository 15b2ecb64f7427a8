"""Where a format reader gets its bytes: any source with a size and ranged reads, behind a small cache.

Readers do no I/O of their own and allocate nothing by a number that the file names before that number is bounded.
"""

from __future__ import annotations

from typing import Protocol

from hundredweight.base.errors import CwtError

BLOCK = 1 << 16
"""What a `Window` reads at once: headers are made of many small fields."""
KEPT = 64
"""Blocks that a `Window` keeps, 4 MiB."""
MAX_TENSORS = 1 << 20
MAX_NAME = 1 << 16
MAX_DIMENSIONS = 64


class FormatError(CwtError):
    """A weight file is not what its format says. `what` is the fault, `offset` where in the file it was seen, or -1."""

    def __init__(self, what: str, offset: int = -1, *, hint: str = "") -> None:
        super().__init__(f"{what} (at byte {offset})" if offset >= 0 else what, hint=hint)
        self.what = what
        self.offset = offset


class Source(Protocol):
    """Bytes that can be read anywhere: a file, a ranged URL, bytes in memory.

    `read` gives exactly `length` bytes; readers never ask beyond `size`. It may be called any number of times, in any order.
    What goes wrong in it (the file shrank, the network failed) is the source's own error and passes through readers.
    """

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...


class BytesSource:
    """A source of bytes that are in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


class Window:
    """A source with a cache of blocks, for readers that look at many small fields. It is a `Source` itself.

    Reads beyond the end raise `FormatError`, so that a reader needs no check of its own for truncation.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._blocks: dict[int, bytes] = {}
        self.size = source.size

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise FormatError(f"the file ends early: {length} bytes expected, its size is {self.size}", offset)
        if length > BLOCK:
            return self._source.read(offset, length)
        first, last = offset // BLOCK, (offset + max(length, 1) - 1) // BLOCK
        data = self._block(first)
        if last != first:
            data += self._block(last)
        start = offset - first * BLOCK
        return data[start : start + length]

    def _block(self, number: int) -> bytes:
        found = self._blocks.get(number)
        if found is None:
            if len(self._blocks) >= KEPT:
                self._blocks.pop(next(iter(self._blocks)))
            start = number * BLOCK
            found = self._source.read(start, max(min(BLOCK, self.size - start), 0))
            self._blocks[number] = found
        return found


class Cursor:
    """Reads little-endian fields one after the other, within `[offset, end)` of a window."""

    def __init__(self, window: Window, offset: int, end: int) -> None:
        self.window = window
        self.offset = offset
        self.end = end

    def take(self, length: int) -> bytes:
        if length > self.end - self.offset:
            raise FormatError(f"a field of {length} bytes reaches beyond its part of the file", self.offset)
        data = self.window.read(self.offset, length)
        self.offset += length
        return data

    def skip(self, length: int) -> None:
        if length > self.end - self.offset:
            raise FormatError(f"a field of {length} bytes reaches beyond its part of the file", self.offset)
        self.offset += length

    def unsigned(self, length: int) -> int:
        return int.from_bytes(self.take(length), "little")


def decode_text(data: bytes, offset: int = -1) -> str:
    """`data` as UTF-8. Raises `FormatError`."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("a text is not UTF-8", offset) from error
