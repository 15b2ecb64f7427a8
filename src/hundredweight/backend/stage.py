"""Stages in a folder: one file each, under its own name until it is published.

Every call opens the file by name and closes it: hundreds of unfinished uploads hold no descriptors, and a write that comes
after the file was published or removed finds nothing to spoil.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from hundredweight.base.files import open_append, open_direct, open_update, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from hundredweight.backend.interface import Buffer

_MOST_PARTS = 1000
"""Buffers in one system call; IOV_MAX is 1024 on Linux and macOS."""
WRITE_SIZE = 1 << 20
"""Bytes in one system call. Linux takes page cache for one in the largest units that fit, up to 2 MiB: those of which a virtual
machine has given free ones back to its host, and to get them anew costs ten times the copying (2.8 s a GiB in place of 0.2)."""

_PAGE = 4096
"""Where direct writes begin and end, in memory and in the file: what every disk's blocks divide."""


class FolderStage:
    """See `Stage`. `place` gives the path of a key, `border` maps what the operating system says."""

    def __init__(
        self,
        path: str,
        place: Callable[[str], str],
        border: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self.name = os.path.basename(path)
        self._path = path
        self._place = place
        self._border = border
        self._direct = hasattr(os, "O_DIRECT")

    def write_at(self, offset: int, parts: Sequence[Buffer]) -> None:
        with self._border("cannot write a part"):
            descriptor = open_update(self._path)
            try:
                for batch in _batches(parts):
                    offset = _write_all(descriptor, offset, batch)
            finally:
                os.close(descriptor)

    def write_block(self, offset: int, block: memoryview) -> None:
        whole = len(block) - len(block) % _PAGE if self._direct and offset % _PAGE == 0 else 0
        if whole and not self._write_direct(offset, block[:whole]):
            whole = 0
        if block[whole:]:
            self.write_at(offset + whole, [block[whole:]])

    def _write_direct(self, offset: int, block: memoryview) -> bool:
        """From memory to the disk, without a copy in the system's cache; False where that cannot be."""
        with self._border("cannot write a part"):
            try:
                descriptor = open_direct(self._path)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._direct = False
                return False
            try:
                while block:
                    count = os.pwrite(descriptor, block, offset)
                    offset += count
                    block = block[count:]
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._direct = False
                return False
            finally:
                os.close(descriptor)
        return True

    def read_into(self, offset: int, buffer: memoryview) -> int:
        with self._border("cannot read a part"):
            descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            try:
                done = 0
                while done < len(buffer) and (count := os.preadv(descriptor, [buffer[done:]], offset + done)):
                    done += count
            finally:
                os.close(descriptor)
        return done

    def sync(self) -> None:
        with self._border("cannot write a part"):
            descriptor = open_update(self._path)
            try:
                os.fdatasync(descriptor) if hasattr(os, "fdatasync") else os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def commit(self, key: str, size: int) -> None:
        final = self._place(key)
        with self._border(f"cannot store '{key}'"):
            descriptor = open_update(self._path)
            try:
                os.ftruncate(descriptor, size)
                os.fsync(descriptor)
                os.fchmod(descriptor, 0o444)
                try:
                    publish(self._path, final, durable=True)
                except OSError:
                    os.fchmod(descriptor, 0o600)
                    raise
            finally:
                os.close(descriptor)

    def remove(self) -> None:
        with self._border("cannot remove parts"):
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass


def make_stage_file(path: str) -> None:
    """Raises `OSError`."""
    os.close(open_append(path, 0o600))


def _batches(parts: Sequence[Buffer]) -> Iterator[list[Buffer]]:
    """`parts` in order, as many at a time as one system call shall write; a larger one is cut."""
    batch: list[Buffer] = []
    room = WRITE_SIZE
    for part in parts:
        rest = memoryview(part)
        while rest:
            batch.append(rest[:room])
            room -= len(batch[-1])
            rest = rest[len(batch[-1]) :]
            if not room or len(batch) == _MOST_PARTS:
                yield batch
                batch, room = [], WRITE_SIZE
    if batch:
        yield batch


def _write_all(descriptor: int, offset: int, parts: Sequence[Buffer]) -> int:
    """All bytes of `parts` at `offset`; gives the offset behind them."""
    wanted = sum(len(part) for part in parts)
    done = os.pwritev(descriptor, parts, offset)
    if done < wanted:
        # Short writes are rare: a signal, or a disk that fills up, whose error the next call shows.
        rest = memoryview(b"".join(parts))[done:]
        while rest:
            rest = rest[os.pwrite(descriptor, rest, offset + wanted - len(rest)) :]
    return offset + wanted
