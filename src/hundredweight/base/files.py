"""The only module that opens files for writing. A file appears under its final name whole, or not at all.

Write: a temporary file in the target's file system, then length check, optional fsync, rename, optional fsync of
the folder. `durable=False` follows git's own default for loose objects (no fsync: a crash of the machine may lose
the newest object, never a crash of the program); the hub always asks for `durable=True`.
Paths are `str` in the file system's encoding with surrogateescape, as git's own paths are.
"""

from __future__ import annotations

import errno
import os

from hundredweight.base.errors import LocalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Buffer = bytes | bytearray | memoryview

COPY_CHUNK = 1 << 22
_counter = 0


_IN_THE_WAY = "something else stands in the way; move it elsewhere and run the command again"
_NO_RIGHT = "give your user the right to read and write there, then run the command again"
_NO_SPACE = "free some disk space and run the command again"
_REMEDIES = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EISDIR: _IN_THE_WAY,
    errno.ELOOP: _IN_THE_WAY,
    errno.EIO: "the disk reports faults; save what you need from it",
    errno.EMFILE: "raise the limit of open files ('ulimit -n') and run the command again",
}


def remedy(number: int | None) -> str:
    """What mends a system error of that `errno`, as a hint; empty where its number alone does not tell."""
    return _REMEDIES.get(number or 0, "")


class WriteError(LocalError):
    """A file could not be written. `path` is its final name; the temporary file is gone."""

    def __init__(self, path: str, cause: OSError) -> None:
        super().__init__(f"cannot write '{path}': {cause.strerror or cause}", hint=remedy(cause.errno))
        self.path = path
        self.errno = cause.errno


def temp_path(folder: str, prefix: str = "tmp") -> str:
    """A name in `folder` that nobody else has: process id, counter and random bits. `tempfile` costs 15 ms to import."""
    global _counter
    _counter += 1
    return os.path.join(folder, f"{prefix}-{os.getpid()}-{_counter}-{os.urandom(6).hex()}")


def fsync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class AtomicFile:
    """A file that shows under its final name only by `commit`. Use as a context: leaving it uncommitted removes it.

    `write` takes any bytes-like object and writes all of it. Not thread-safe; one writer at a time.
    """

    def __init__(
        self, path: str, *, temp_folder: str = "", mode: int = 0o666, durable: bool = False, reuse: str = ""
    ) -> None:
        """`temp_folder` must be on the file system of `path`; by default it is the folder of `path`. An empty `path` is
        allowed when `commit` names the final one (its name may depend on the content). `reuse` names a file that nobody needs
        any more, to be written over in place of a new one; its content and mode are the caller's to change. Raises
        `WriteError`."""
        self.path = path
        self.durable = durable
        self.size = 0
        self.temp = reuse or temp_path(temp_folder or os.path.dirname(path) or ".")
        self._open = True
        try:
            self.descriptor = open_update(reuse) if reuse else open_exclusive(self.temp, mode)
        except OSError as error:
            raise WriteError(path or self.temp, error) from error

    def write(self, data: Buffer) -> None:
        view = memoryview(data)
        try:
            while view:
                count = os.write(self.descriptor, view)
                self.size += count
                view = view[count:]
        except OSError as error:
            self.abort()
            raise WriteError(self.path or self.temp, error) from error

    def write_at(self, offset: int, data: Buffer) -> None:
        """Write all of `data` at `offset`, whatever `write` is at; for what is known only when more has been written."""
        view = memoryview(data)
        try:
            while view:
                count = os.pwrite(self.descriptor, view, offset)
                offset += count
                view = view[count:]
        except OSError as error:
            self.abort()
            raise WriteError(self.path or self.temp, error) from error
        self.size = max(self.size, offset)

    def commit(self, path: str = "") -> None:
        """Publish under `path` (or the one given at the start), replacing what is there. Makes missing folders."""
        final = path or self.path
        try:
            if self.durable:
                os.fsync(self.descriptor)
            os.close(self.descriptor)
            self._open = False
            publish(self.temp, final, durable=self.durable)
        except OSError as error:
            self.abort()
            raise WriteError(final, error) from error

    def exchange(self, exchange: Callable[[str, str], bool]) -> str:
        """Publish under the path of the start by changing places with what is there. Gives the name under which that is now,
        the caller's to remove; empty, and nothing has happened yet, where `exchange` (base/exchange.py) could not."""
        if not exchange(self.temp, self.path):
            return ""
        self._open = False
        os.close(self.descriptor)
        replaced, self.temp = self.temp, ""
        return replaced

    def commit_new(self, path: str) -> bool:
        """Publish under `path` unless something is there: of several at once exactly one gets True. Ends the file either way."""
        try:
            if self.durable:
                os.fsync(self.descriptor)
            # Syncing the last folder syncs its new parents too wherever names are journaled; each on its own costs as
            # much as the file.
            make_folders(os.path.dirname(path))
            os.link(self.temp, path)
            if self.durable:
                fsync_folder(os.path.dirname(path) or ".")
        except FileExistsError:
            return False
        except OSError as error:
            raise WriteError(path, error) from error
        finally:
            self.abort()
        return True

    def abort(self) -> None:
        """Forget the file. Harmless after `commit` or a second time."""
        if self._open:
            self._open = False
            os.close(self.descriptor)
        try:
            if self.temp:
                os.unlink(self.temp)
        except FileNotFoundError:
            pass

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.abort()


def open_exclusive(path: str, mode: int = 0o666) -> int:
    """A descriptor of a new file, read and write; makes its folder when missing."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags, mode)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, mode)


def open_append(path: str, mode: int = 0o666) -> int:
    """A descriptor of a file that is read and extended in place: partial downloads, logs. Made when missing."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags, mode)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, mode)


def open_update(path: str) -> int:
    """A descriptor of a file that is there, read and write, from its start. Raises `FileNotFoundError`."""
    return os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))


def open_direct(path: str) -> int:
    """A descriptor of a file that is there, for writes around the system's cache: from memory, to places and in lengths that are
    multiples of a page. Raises `OSError`: EINVAL where the file system, `AttributeError` where the platform has no such thing."""
    return os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)


def make_folders(path: str, *, durable: bool = False) -> None:
    """Make `path` and its missing parents; `durable` makes each new one survive a crash of the machine. Raises `OSError`."""
    if not path or os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    make_folders(parent, durable=durable)
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return
    if durable:
        fsync_folder(parent or ".")


def publish(temp: str, final: str, *, durable: bool = False) -> None:
    """Rename within one file system, making the target's folder when missing. Raises `OSError`."""
    try:
        os.replace(temp, final)
    except FileNotFoundError:
        # Whether the folder is there now tells nothing: another thread may have made it since.
        os.makedirs(os.path.dirname(final) or ".", exist_ok=True)
        os.replace(temp, final)
    if durable:
        fsync_folder(os.path.dirname(final) or ".")


def write_file(path: str, data: bytes, *, mode: int = 0o666, durable: bool = False) -> None:
    """A small file, whole and atomic. Raises `WriteError`."""
    with AtomicFile(path, mode=mode, durable=durable) as target:
        target.write(data)
        target.commit()


def append(path: str, data: bytes) -> None:
    """Add to the end of a file, made when missing, in one piece: what several processes append never mixes. Raises
    `WriteError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
        try:
            count = os.write(descriptor, data)
            while count < len(data):
                count += os.write(descriptor, data[count:])
        finally:
            os.close(descriptor)
    except OSError as error:
        raise WriteError(path, error) from error


def read_chunks(descriptor: int, size: int = COPY_CHUNK) -> Iterator[bytes]:
    while chunk := os.read(descriptor, size):
        yield chunk


class FilePieces:
    """The bytes `[start, end)` of an open file in pieces of `size`, or up to its end. The descriptor becomes its own: closed at
    the end, by `close`, or with the last reference."""

    def __init__(self, descriptor: int, start: int, end: int | None, size: int) -> None:
        self._descriptor = descriptor
        self._at = start
        self._end = end
        self._size = size

    def __iter__(self) -> FilePieces:
        return self

    def __next__(self) -> bytes:
        want = self._size if self._end is None else min(self._size, self._end - self._at)
        piece = self._read(self._descriptor, want) if want > 0 and self._descriptor >= 0 else b""
        if not piece:
            self.close()
            raise StopIteration
        self._at += len(piece)
        return piece

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()

    def _read(self, descriptor: int, length: int) -> bytes:
        return os.pread(descriptor, length, self._at)


def copy_content(source: int, target: int, size: int, advance: Callable[[int], None] | None = None) -> int:
    """Copy `size` bytes between descriptors from their current offsets: a reflink where the file system shares
    extents, else in the kernel, else through a buffer. Returns the bytes copied (fewer if the source ended)."""
    copied = 0
    kernel_copy = getattr(os, "copy_file_range", None)
    while copied < size:
        want = min(size - copied, 1 << 26)
        try:
            count = kernel_copy(source, target, want) if kernel_copy else _copy_buffer(source, target, want)
        except OSError as error:
            if kernel_copy is None or error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            kernel_copy = None
            continue
        if count == 0:
            break
        copied += count
        if advance is not None:
            advance(count)
    return copied


def _copy_buffer(source: int, target: int, want: int) -> int:
    data = memoryview(os.read(source, min(want, COPY_CHUNK)))
    total = len(data)
    while data:
        data = data[os.write(target, data) :]
    return total


def clone_file(source: int, target: int) -> bool:
    """Share the extents of `source` with the empty `target` (Linux FICLONE). False where the file system cannot."""
    try:
        import fcntl  # noqa: PLC0415 - absent on Windows, and needed only where a reflink may work
    except ImportError:
        return False
    try:
        fcntl.ioctl(target, 0x40049409, source)
    except OSError:
        return False
    return True
