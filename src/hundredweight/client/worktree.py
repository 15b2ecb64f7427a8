"""Writing objects into the work tree directly: in parallel, at constant memory, whatever their size.

Git buffers what a smudge filter gives it, whole. `checkout`, `pull` and `clone` therefore write the files themselves and
then refresh the index. A file is touched only when it is missing or still the very pointer that is to be replaced;
what somebody changed stays. Files appear whole: written in lfs/tmp (or beside the target, when that is another
file system) and renamed. No path leaves the work tree, not even through a symbolic link.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from queue import SimpleQueue

from hundredweight.base.errors import CwtError
from hundredweight.base.files import AtomicFile, WriteError, clone_file, copy_content
from hundredweight.base.quoting import quote
from hundredweight.client.damage import ObjectDamaged, PackedObjectDamaged, set_aside
from hundredweight.client.extension_pipe import smudge_through
from hundredweight.client.spares import Spares
from hundredweight.git.attributes import check
from hundredweight.git.index import Stamp, blob_name, entries, refresh, stamp
from hundredweight.protocol.pointer import CUTOFF, try_parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.client.workspace import Workspace
    from hundredweight.git.index import IndexEntry
    from hundredweight.protocol.pointer import Pointer
    from hundredweight.store.local import LocalStore

    Place = tuple[Spares, os.stat_result]
    """What keeps the pointer file, and what the system says of it."""

WORKERS = 3
AT_ONCE = 1 << 18
"""Bytes of a file that is written sooner than another thread is woken for it."""
HASH_BLOCK = 1 << 18
OLDER_NS = 1_020_000_000
"""How much older than now a file is made: git distrusts entries that are as young as the index, to the second, and would clean
them again in the next `git status`. The 20 ms are for file times of the system, from a clock that moves in steps of 10."""
_UNUSED = ("unspecified", "unset")
_FORBIDDEN = frozenset(("", ".", "..", ".git", "git~1"))


class PathConflict(CwtError):
    """Something that is no folder or no regular file stands where the path leads. Left alone."""


class ObjectAbsent(CwtError):
    """The object is not in the local store."""

    def __init__(self, path: str) -> None:
        super().__init__(f"Skipped checkout for {quote(path)}, content not local. Use fetch to download.")
        self.path = path


class CheckoutFailed(CwtError):
    """The file could not be written. What was there before is still there."""


class Write:
    """What became of one path: `written`, or not, and the `error` when that was no decision of the user's. `info` is what
    the file system said of a written file, None when it was touched by somebody else since."""

    __slots__ = ("error", "info", "path", "pointer", "written")

    def __init__(
        self, path: str, pointer: Pointer, written: bool, error: CwtError | None, info: os.stat_result | None = None
    ) -> None:
        self.path = path
        self.pointer = pointer
        self.written = written
        self.error = error
        self.info = info


class WorktreeWriter:
    """Paths go in by `write`, from any thread, and are written by a few threads of its own. `finish` waits for them,
    refreshes the index once, and gives the results in the order of completion. Use as a context: leaving it stops
    the threads, also after an exception (what is half written is removed)."""

    def __init__(
        self, workspace: Workspace, *, workers: int = WORKERS, on_done: Callable[[Write], None] | None = None
    ) -> None:
        """`on_done` is called in the thread that wrote after each path, one at a time."""
        self._workspace = workspace
        self._root = workspace.repository.work_tree
        self._on_done = on_done
        self._jobs: SimpleQueue[tuple[str, Pointer, bool] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._results: list[Write] = []
        self._failure: BaseException | None = None
        self._folders: set[str] = set()
        self._spares = Spares(workspace.store.temp)
        self._entries: dict[str, IndexEntry] | None = None
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def write(self, path: str, pointer: Pointer, *, hashed: bool = False) -> None:
        """`path` is relative to the top of the work tree, as git has it. Returns as good as at once. `hashed` says that the
        object was, just now; any other is while it is copied."""
        if hashed and pointer.size <= AT_ONCE and not pointer.extensions:
            self._do(path, pointer, hashed)
        else:
            self._jobs.put((path, pointer, hashed))

    def finish(self) -> list[Write]:
        """Call once, after the last `write`. Raises `GitError` when git refuses to refresh the index."""
        self._stop()
        if self._failure is not None:
            raise self._failure
        refresh_index(self._workspace, [result for result in self._results if result.written])
        return self._results

    def __enter__(self) -> WorktreeWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop()

    def _stop(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []
        self._spares.close()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(*job)

    def _do(self, path: str, pointer: Pointer, hashed: bool) -> None:
        try:
            result = self._attempt(path, pointer, hashed)
            with self._lock:
                self._results.append(result)
                if self._on_done is not None:
                    self._on_done(result)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that calls `finish`
            self._failure = error

    def _attempt(self, path: str, pointer: Pointer, hashed: bool) -> Write:
        try:
            return self._write(path, pointer, hashed)
        except CwtError as error:
            return Write(path, pointer, False, error)
        except OSError as error:
            return Write(path, pointer, False, _failed(path, WriteError(path, error)))

    def _write(self, path: str, pointer: Pointer, hashed: bool) -> Write:
        """Written, or not where the user's file has to stay."""
        kept = Write(path, pointer, False, None)
        full = os.path.join(self._root, path)
        try:
            self._check_folders(path, create=False)
            info = os.lstat(full)
        except FileNotFoundError:
            entry = self._entry(path)
            if entry is None:
                return kept
            self._check_folders(path, create=True)
            mode = 0o777 if entry.executable else 0o666
            return Write(path, pointer, True, None, self._materialise(full, path, pointer, mode, None, hashed))
        if not stat.S_ISREG(info.st_mode):
            raise PathConflict(f"Checkout error for {quote(path)}: not a regular file: {quote(path)}")
        if not pointer.size or not _is_pointer(full, info.st_size, pointer):
            return kept
        return Write(path, pointer, True, None, self._materialise(full, path, pointer, 0o600, info, hashed))

    def _materialise(
        self, full: str, path: str, pointer: Pointer, mode: int, replaced: os.stat_result | None, hashed: bool
    ) -> os.stat_result | None:
        if self._workspace.store.has(pointer.oid, pointer.size):
            place = None if replaced is None else (self._spares, replaced)
            return copy_object(self._workspace, pointer, full, path, mode, place, hashed=hashed)
        if replaced is None:
            with AtomicFile(full, mode=mode) as target:
                target.write(pointer.encode())
                target.commit()
        raise ObjectAbsent(path)

    def _entry(self, path: str) -> IndexEntry | None:
        """The path in the index; None when the user removed it there."""
        with self._lock:
            if self._entries is None:
                self._entries = entries(self._workspace.git)
            return self._entries.get(path)

    def _check_folders(self, path: str, *, create: bool) -> None:
        """Each folder on the way must be a real one. Raises `FileNotFoundError` for a missing one unless `create`."""
        parts = path.split("/")
        if not _FORBIDDEN.isdisjoint(part.lower() for part in parts):
            raise PathConflict(f"Checkout error trying to check path for {quote(path)}: invalid path")
        folder = ""
        for part in parts[:-1]:
            folder = f"{folder}/{part}" if folder else part
            if folder in self._folders:
                continue
            full = os.path.join(self._root, folder)
            try:
                real = stat.S_ISDIR(os.lstat(full).st_mode)
            except FileNotFoundError:
                if not create:
                    raise
                _make_folder(full, self._workspace.user_umask)
                real = True
            if not real:
                raise PathConflict(
                    f"Checkout error trying to check path for {quote(path)}: not a directory: {quote(folder)}"
                )
            self._folders.add(folder)


def copy_object(
    workspace: Workspace,
    pointer: Pointer,
    full: str,
    name: str,
    mode: int = 0o666,
    place: Place | None = None,
    *,
    hashed: bool = False,
) -> os.stat_result | None:
    """The stored object as the file `full`, replacing what is there. `mode` is subject to the umask. `place` is for a file that
    takes that of a pointer, whose permission bits it gets. Raises `CheckoutFailed`, and unless the object was `hashed` just
    now `ObjectDamaged`; `name` is what they call the file.

    Gives what the file system says of the file, or None when somebody changed it in the same moment."""
    folder = _temp_folder(workspace, os.path.dirname(full))
    try:
        with (
            place[0].open(full, folder, pointer) if place else AtomicFile(full, temp_folder=folder, mode=mode) as target
        ):
            if pointer.extensions:
                with smudge_through(workspace, pointer, name) as content:
                    _copy(content.descriptor, target.descriptor, os.fstat(content.descriptor).st_size)
            elif pointer.size:
                _copy_stored(workspace.store, pointer, name, target, hashed)
            if place is not None:
                os.fchmod(target.descriptor, stat.S_IMODE(place[1].st_mode))
            elif workspace.user_umask is not None:
                os.fchmod(target.descriptor, mode & ~workspace.user_umask)
            made = time.time_ns() - OLDER_NS
            os.utime(target.descriptor, ns=(made, made))
            before = os.fstat(target.descriptor)
            if place is not None:
                place[0].commit(target, place[1])
            else:
                target.commit()
    except WriteError as error:
        raise _failed(name, error) from error
    # The rename sets ctime, hence a second look.
    after = os.lstat(full)
    same = (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    return after if same else None


def refresh_index(workspace: Workspace, writes: list[Write]) -> None:
    """Make the index know the written files. Those for which the clean filter would only say what we know are stamped; git
    looks at the others itself. Raises `GitError`."""
    if not writes:
        return
    repository = workspace.repository
    path = workspace.variables.get("GIT_INDEX_FILE") or os.path.join(repository.git_dir, "index")
    stamps = {}
    for write in _plain(workspace, writes):
        if write.info is not None:
            stamps[write.path] = Stamp(blob_name(write.pointer.encode(), repository.object_format), write.info)
    try:
        done = stamp(os.path.join(repository.work_tree, path), repository.object_format, stamps) if stamps else set()
    except OSError as error:
        raise WriteError(path, error) from error
    refresh(workspace.git, [write.path for write in writes if write.path not in done])


def _plain(workspace: Workspace, writes: list[Write]) -> list[Write]:
    """The files that only git-lfs's own filter stands between: no conversion of line ends or encodings, nobody's wrapper."""
    config = workspace.git_config
    commands = (config.get("filter.lfs.clean"), config.get("filter.lfs.process"))
    if not all(command.startswith("git-lfs ") for command in commands):
        return []
    asked = {write.path: write for write in writes}
    wanted = {"filter": ("lfs",), "text": ("unset",), "ident": _UNUSED, "working-tree-encoding": _UNUSED}
    for path, name, value in check(workspace.git, list(asked), *wanted):
        if value not in wanted[name]:
            asked.pop(path, None)
    return list(asked.values())


def _failed(name: str, error: WriteError) -> CheckoutFailed:
    cause = os.strerror(error.errno).lower() if error.errno else str(error)
    return CheckoutFailed(
        f"could not check out {quote(name)}: could not create working directory file {quote(name)}: {cause}",
        hint=error.hint,
    )


def _copy_stored(store: LocalStore, pointer: Pointer, name: str, target: AtomicFile, hashed: bool) -> None:
    try:
        descriptor = os.open(store.path(pointer.oid), os.O_RDONLY)
    except FileNotFoundError:
        _copy_packed(store, pointer, name, target)
        return
    try:
        _copy(descriptor, target.descriptor, pointer.size)
        # The copy, not the object: its pages were just written, and it is what has to be right.
        if not hashed and _hash(target.descriptor) != pointer.oid:
            raise ObjectDamaged(name, pointer.oid, set_aside(store, pointer.oid, descriptor))
    finally:
        os.close(descriptor)


def _copy_packed(store: LocalStore, pointer: Pointer, name: str, target: AtomicFile) -> None:
    """Straight out of the packs. Each segment is verified where it is decoded; the whole, here."""
    digest = hashlib.sha256()
    for piece in store.open_stream(pointer.oid):
        digest.update(piece)
        target.write(piece)
    if digest.hexdigest() != pointer.oid:
        raise PackedObjectDamaged(name, pointer.oid)


def _copy(source: int, target: int, size: int) -> None:
    if clone_file(source, target):
        return
    copied = copy_content(source, target, size)
    if copied != size:
        raise CheckoutFailed(f"an object ended after {copied} of {size} bytes", hint="run 'git lfs fsck'")


def _hash(descriptor: int) -> str:
    digest = hashlib.sha256()
    block = memoryview(bytearray(HASH_BLOCK))
    at = 0
    while count := os.preadv(descriptor, [block], at):
        digest.update(block[:count])
        at += count
    return digest.hexdigest()


def _temp_folder(workspace: Workspace, folder: str) -> str:
    """lfs/tmp, whose leftovers get cleaned up, when a rename from there works; else the target's own folder."""
    temp = workspace.store.temp
    try:
        try:
            device = os.stat(temp).st_dev
        except FileNotFoundError:
            os.makedirs(temp, exist_ok=True)
            device = os.stat(temp).st_dev
        return temp if device == os.stat(folder).st_dev else folder
    except OSError:
        return folder


def _is_pointer(full: str, size: int, pointer: Pointer) -> bool:
    """Whether the file holds a pointer to the same object, and not content or another version's pointer."""
    if size >= CUTOFF:
        return False
    # A file object asks the system four more things, each of which lets another thread in between.
    descriptor = os.open(full, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = try_parse(os.read(descriptor, CUTOFF))
    finally:
        os.close(descriptor)
    return found is not None and found.oid == pointer.oid


def _make_folder(full: str, umask: int | None) -> None:
    try:
        os.mkdir(full)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(full).st_mode):
            raise
        return
    if umask is not None:
        os.chmod(full, 0o777 & ~umask)
