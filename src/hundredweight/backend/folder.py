"""A backend in a folder: one file a value under `root`, named by its key; unfinished values in `temp`.

Both folders are on one file system that has hard links (put-if-absent is `link`, the only atomic one POSIX has).
Values are read-only files. Nothing under `root` is ever half written: a crash leaves files in `temp` alone, which
`clean` removes.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
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
from hundredweight.backend.stage import FolderStage, make_stage_file
from hundredweight.base.files import AtomicFile, FilePieces, WriteError, make_folders, publish

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hundredweight.backend.interface import Buffer

SYNC_EVERY = 256 << 20
"""Written bytes after which a writer waits for the disk: the sync before the answer is then short, and no client times out."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_AHEAD = 8 << 20


class FolderBackend:
    """Values below `root`. Makes the folders. Raises `BackendFailed` where it cannot."""

    def __init__(self, root: str, temp: str) -> None:
        self.root = root
        self.temp = temp
        self.staged = temp + "-staged"
        with _mapped(f"cannot make '{root}'"):
            make_folders(root, durable=True)
            make_folders(temp, durable=True)
            make_folders(self.staged, durable=True)

    def stat(self, key: str) -> Stat | None:
        with _mapped(f"cannot look up '{key}'"):
            try:
                found = os.stat(self.path(key))
            except (FileNotFoundError, NotADirectoryError):
                return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return Stat(key, found.st_size, found.st_mtime)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        path = self.path(key)
        with _mapped(f"cannot read '{key}'"):
            try:
                descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            except (FileNotFoundError, NotADirectoryError):
                raise KeyMissing(key) from None
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise KeyMissing(key)
        return _Pieces(descriptor, key, start, end)

    def writer(self) -> FolderWriter:
        return FolderWriter(self)

    def put(self, key: str, data: bytes) -> bool:
        with self.writer() as target:
            target.write([data])
            return target.commit(key)

    def delete(self, key: str) -> bool:
        with _mapped(f"cannot delete '{key}'"):
            try:
                os.unlink(self.path(key))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return False
        return True

    def move(self, key: str, target: str) -> bool:
        source, goal = self.path(key), self.path(target)
        with _mapped(f"cannot move '{key}'"):
            if not os.path.isfile(source):
                return False
            try:
                make_folders(os.path.dirname(goal), durable=True)
                publish(source, goal, durable=True)
            except FileNotFoundError:
                return False
        return True

    def list(self, prefix: str = "") -> Iterator[Stat]:
        check_prefix(prefix)
        with _mapped(f"cannot list '{prefix}'"):
            yield from self._walk(os.path.join(self.root, prefix), prefix)

    def local_path(self, key: str) -> str | None:
        path = self.path(key)
        return path if os.path.isfile(path) else None

    def expect(self, key: str, size: int) -> None:
        if not hasattr(os, "posix_fadvise"):
            return
        try:
            descriptor = os.open(self.path(key), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # deleted since, or not to be read: whoever reads it will be told
        try:
            for offset in range(0, size, _AHEAD):
                os.posix_fadvise(descriptor, offset, min(_AHEAD, size - offset), os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)

    def stage(self, name: str, *, create: bool) -> FolderStage | None:
        path = os.path.join(self.staged, check_name(name))
        with _mapped(f"cannot open the stage '{name}'"):
            if create:
                make_stage_file(path)
            elif not os.path.isfile(path):
                return None
        return FolderStage(path, self.path, _mapped)

    def stages(self) -> tuple[Stat, ...]:
        found = []
        with _mapped(f"cannot list '{self.staged}'"), os.scandir(self.staged) as scan:
            for entry in scan:
                try:
                    stat_ = entry.stat()
                except FileNotFoundError:
                    continue
                found.append(Stat(entry.name, stat_.st_size, stat_.st_mtime))
        return tuple(found)

    def clean(self) -> int:
        with _mapped(f"cannot clean '{self.temp}'"):
            names = os.listdir(self.temp)
            for name in names:
                os.unlink(os.path.join(self.temp, name))
        return len(names)

    def check(self) -> None:
        with self.writer() as probe:
            probe.write([b"probe"])
            probe.sync()

    def path(self, key: str) -> str:
        """Where the value is or would be. Raises `InvalidKey`."""
        return os.path.join(self.root, check_key(key))

    def _walk(self, folder: str, prefix: str) -> Iterator[Stat]:
        """In order of key: a folder's `/` sorts among the characters that names may hold, so it is part of the sort key."""
        try:
            with os.scandir(folder) as scan:
                entries = sorted((e.name + "/" if e.is_dir() else e.name, e) for e in scan)
        except FileNotFoundError:
            return
        for name, entry in entries:
            if name.endswith("/"):
                yield from self._walk(entry.path, prefix + name)
                continue
            try:
                found = entry.stat()
            except FileNotFoundError:
                continue
            yield Stat(prefix + name, found.st_size, found.st_mtime)


class FolderWriter:
    """See `Writer`."""

    def __init__(self, backend: FolderBackend) -> None:
        self._backend = backend
        self._unsynced = 0
        with _mapped("cannot store the object"):
            self._file = AtomicFile("", temp_folder=backend.temp, mode=0o444, durable=True)

    @property
    def size(self) -> int:
        return self._file.size

    def write(self, parts: Sequence[Buffer]) -> None:
        with _mapped("cannot store the object"):
            for part in parts:
                self._file.write(part)
                self._unsynced += len(part)
        if self._unsynced >= SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        self._unsynced = 0
        with _mapped("cannot store the object"):
            os.fdatasync(self._file.descriptor) if hasattr(os, "fdatasync") else os.fsync(self._file.descriptor)

    def commit(self, key: str, *, replace: bool = False) -> bool:
        try:
            path = self._backend.path(key)
            with _mapped(f"cannot store '{key}'"):
                if not replace:
                    return self._file.commit_new(path)
                self._file.commit(path)
                return True
        finally:
            self.abort()

    def abort(self) -> None:
        self._file.abort()

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.abort()


class _Pieces(FilePieces):
    """A lazy read of a value, with this border's errors."""

    def __init__(self, descriptor: int, key: str, start: int, end: int | None) -> None:
        super().__init__(descriptor, start, end, READ_CHUNK)
        self._key = key

    def _read(self, descriptor: int, length: int) -> bytes:
        with _mapped(f"cannot read '{self._key}'"):
            return super()._read(descriptor, length)


@contextmanager
def _mapped(what: str) -> Iterator[None]:
    """The border: what the operating system says becomes a `BackendError`."""
    try:
        yield
    except (OSError, WriteError) as error:
        if error.errno in _FULL:
            raise BackendFull(f"{what}: no space left") from error
        reason = str(error) if isinstance(error, WriteError) else error.strerror or str(error)
        raise BackendFailed(
            f"{what}: {reason}", temporary=error.errno in (errno.EIO, errno.EAGAIN, errno.EMFILE, errno.ENFILE)
        ) from error
