"""A clone's packs, `lfs/packs/NAME.pack`: found, read, added. What rewrites them is store/repack.py.

Processes share the folder without asking: a pack appears whole, by rename, and never changes; who reads one that is removed
meanwhile looks again and finds what took its place. Who adds or removes packs holds the `WriterLock`.
On the filter path (does the clone have this object?), hence nothing heavy until an object is read.
"""

from __future__ import annotations

import os
import threading
import time

from hundredweight.base.errors import CwtError, LocalError
from hundredweight.base.files import AtomicFile, fsync_folder, open_append
from hundredweight.base.ids import Oid
from hundredweight.store.pack import PackDamaged, PackIndex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from hundredweight.store.catalog import Location
    from hundredweight.store.pack import PackStreamWriter
    from hundredweight.store.reader import ObjectReader
    from hundredweight.store.recipe import Recipe

    Buffer = bytes | bytearray | memoryview

SUFFIX = ".pack"
KEPT_OPEN = 64
"""Packs whose files stay open."""
RACY = 2.0
"""Seconds for which the folder's time stamp does not tell whether something came after it was read."""


class NotPacked(LocalError):
    """No pack has the object. `oid` is its id."""

    hint = "'git lfs fetch' brings it"

    def __init__(self, oid: Oid) -> None:
        super().__init__(f"object '{oid[:12]}' is in no pack of this clone")
        self.oid = oid


class PacksBusy(CwtError):
    """Another process writes packs in this clone."""

    hint = "run the command again when that process is done"


class BaseGone(LocalError):
    """A pack needs a segment that is not in this clone any more: it was removed while the pack was made. `segment` is its id."""

    hint = "run the command again"

    def __init__(self, segment: bytes) -> None:
        super().__init__(f"segment '{segment.hex()[:12]}', which a new pack needs, was removed meanwhile")
        self.segment = segment


class WriterLock:
    """One writer at a time in a folder of packs, as a context. The system drops it with the process, however that ends."""

    def __init__(self, folder: str, *, wait: bool = True) -> None:
        self._path = os.path.join(folder, "lock")
        self._wait = wait
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Raises `PacksBusy` when another process has it and `wait` is not wanted; `OSError`."""
        import fcntl  # noqa: PLC0415 - absent on Windows; readers do without

        self._descriptor = open_append(self._path, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX if self._wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            self.__exit__()
            if isinstance(error, BlockingIOError):
                raise PacksBusy(f"another process writes packs in '{os.path.dirname(self._path)}'") from error
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _File:
    """An open pack. Closed when nobody refers to it, so that a reader in another thread never loses it."""

    __slots__ = ("descriptor",)

    def __init__(self, path: str) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self.descriptor, length, offset)
        while len(data) < length:
            more = os.pread(self.descriptor, length - len(data), offset + len(data))
            if not more:
                raise PackDamaged(f"it ends at byte {offset + len(data)}", offset)
            data += more
        return data


class PackFolder:
    """The packs below one `lfs` folder: a `Catalog` and the `PackBytes` that go with it. Thread-safe.

    A pack that cannot be opened counts as absent and is named in `damaged`.
    """

    def __init__(self, root: str, mode: int = 0o444) -> None:
        """`root` is the lfs folder (usually `.git/lfs`); `mode` the permission bits of new packs before the umask."""
        self.folder = os.path.join(root, "packs")
        self.temp = os.path.join(root, "tmp")
        self.mode = mode
        self.damaged: dict[str, PackDamaged] = {}
        self._indexes: dict[str, PackIndex] = {}
        self._files: dict[str, _File] = {}
        self._objects: dict[str, tuple[str, int, int, int]] = {}
        self._seen = (-1, 0.0)
        self._lock = threading.Lock()
        self._reader: ObjectReader | None = None

    # What is here

    def names(self) -> list[str]:
        """The packs that can be read, in no order."""
        self._scan()
        return list(self._indexes)

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name + SUFFIX)

    def index(self, name: str) -> PackIndex:
        """Raises `PackMissing`."""
        self._scan()
        found = self._indexes.get(name)
        if found is None:
            from hundredweight.store.catalog import PackMissing  # noqa: PLC0415 - 5 ms, not on the filter path

            raise PackMissing(name)
        return found

    def size(self, oid: Oid) -> int:
        """Bytes of a packed object, -1 when it is in no pack."""
        place = self._place(oid)
        return -1 if place is None else place[3]

    def pack_of(self, oid: Oid) -> str:
        """The pack that has the object's recipe, "" when it is in none."""
        place = self._place(oid)
        return "" if place is None else place[0]

    def ids(self) -> Iterator[tuple[Oid, int]]:
        """Every packed object with its size, in order of id."""
        self._scan()
        for oid, place in sorted(self._objects.items()):
            yield Oid(oid), place[3]

    def segments(self, ids: Iterable[bytes]) -> dict[bytes, Location]:
        """See `Catalog`. Of a segment that stands in several packs the copy of the shortest chain: so that chains always end."""
        wanted = set(ids)
        found: dict[bytes, Location] = {}
        self._scan()
        self._look_up(wanted, found)
        while len(found) < len(wanted) and self._scan(force=True):
            self._look_up(wanted, found)
        return found

    def recipe(self, oid: Oid) -> Recipe | None:
        """See `Catalog`."""
        from hundredweight.store.catalog import PackMissing  # noqa: PLC0415 - where objects are read, not on the filter path
        from hundredweight.store.recipe import Recipe  # noqa: PLC0415 - likewise

        place = self._place(oid)
        if place is None:
            return None
        try:
            data = self.read(place[0], place[1], place[2])
        except PackMissing:
            place = self._place(oid)
            if place is None:
                return None
            data = self.read(place[0], place[1], place[2])
        found = Recipe.decode(data)
        if found.oid != oid or found.size != place[3]:
            raise PackDamaged(f"the recipe of object '{oid[:12]}' is that of '{found.oid[:12]}'", place[1])
        return found

    def read(self, pack: str, offset: int, length: int) -> bytes:
        """See `PackBytes`."""
        file = self._files.get(pack)
        if file is None:
            try:
                file = _File(self.path(pack))
            except FileNotFoundError:
                from hundredweight.store.catalog import PackMissing  # noqa: PLC0415 - it failed; time is no matter

                self._scan(force=True)
                raise PackMissing(pack) from None
        return file.read(offset, length)

    # Objects

    @property
    def reader(self) -> ObjectReader:
        """Reads packed objects; lives as long as the folder."""
        if self._reader is None:
            from hundredweight.store.reader import ObjectReader  # noqa: PLC0415 - numpy, 100 ms; only where an object is read

            self._reader = ObjectReader(self, self)
        return self._reader

    def open_stream(self, oid: Oid, start: int = 0, end: int | None = None) -> Iterator[Buffer]:
        """The bytes of a packed object, verified piece by piece as `ObjectReader.read` gives them. Raises `NotPacked` at once."""
        recipe = self.recipe(oid)
        if recipe is None:
            raise NotPacked(oid)
        return self.reader.read(recipe, start, end)

    def close(self) -> None:
        """Ends the reader's workers and closes the packs; what is asked later opens them again."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        with self._lock:
            self._indexes, self._files, self._objects, self._seen = {}, {}, {}, (-1, 0.0)

    # Adding and removing

    def writer(self) -> PackWriter:
        """A new pack. Hold the `WriterLock` from before its bases were chosen, or be ready for `BaseGone`."""
        return PackWriter(self)

    def lock(self, *, wait: bool = True) -> WriterLock:
        return WriterLock(self.folder, wait=wait)

    def remove_pack(self, name: str) -> None:
        """Forget a pack; harmless when it is gone. Only under the lock, when all that is needed of it stands elsewhere."""
        try:
            os.unlink(self.path(name))
        except FileNotFoundError:
            pass
        self._scan(force=True)

    def _look_up(self, wanted: set[bytes], found: dict[bytes, Location]) -> None:
        from hundredweight.store.catalog import Location, PackMissing  # noqa: PLC0415 - 5 ms, not on the filter path

        for name, index in list(self._indexes.items()):
            try:
                for identity in wanted:
                    known = found.get(identity)
                    entry = index.block(identity) if known is None or known.depth else None
                    if entry is not None and (known is None or entry[4] < known.depth):
                        found[identity] = Location(name, *entry)
            except PackMissing:
                continue
            except PackDamaged as error:
                with self._lock:
                    self._set_aside(name, error)

    def _place(self, oid: Oid) -> tuple[str, int, int, int] | None:
        """Pack, offset and length of the recipe, size of the object."""
        found = self._objects.get(oid)
        if found is None or not os.path.exists(self.path(found[0])):
            self._scan(force=True)
            found = self._objects.get(oid)
        return found

    def _scan(self, *, force: bool = False) -> bool:
        """Look which packs there are, where something may have changed. True when something had."""
        try:
            stamp = os.stat(self.folder).st_mtime_ns
        except FileNotFoundError:
            stamp = 0
        seen, when = self._seen
        if stamp == seen and not (force and when * 1e9 - stamp < RACY * 1e9):
            return False
        with self._lock:
            now = time.time()
            try:
                listed = os.listdir(self.folder)
            except FileNotFoundError:
                listed = []
            names = {name[: -len(SUFFIX)] for name in listed if name.endswith(SUFFIX) and len(name) == 64 + len(SUFFIX)}
            gone = self._indexes.keys() - names
            new = names - self._indexes.keys() - self.damaged.keys()
            if gone:
                self._indexes = {name: index for name, index in self._indexes.items() if name not in gone}
                self._files = {name: file for name, file in self._files.items() if name not in gone}
            for name in sorted(new):
                self._open(name)
            self.damaged = {name: error for name, error in self.damaged.items() if name in names}
            if gone or new:
                self._objects = self._list_objects()
            self._seen = (stamp, now)
            return bool(gone or new)

    def _open(self, name: str) -> None:
        try:
            file = _File(self.path(name))
        except FileNotFoundError:
            return
        size = os.fstat(file.descriptor).st_size
        try:
            if len(self._files) < KEPT_OPEN:
                self._indexes[name] = PackIndex(file.read, size, name)
                self._files[name] = file
            else:
                self._indexes[name] = PackIndex(lambda at, length: self.read(name, at, length), size, name)
        except PackDamaged as error:
            self.damaged[name] = error

    def _list_objects(self) -> dict[str, tuple[str, int, int, int]]:
        objects: dict[str, tuple[str, int, int, int]] = {}
        for name in sorted(self._indexes):
            try:
                objects |= {oid: (name, *place) for oid, *place in self._indexes[name].objects()}  # type: ignore[misc]
            except PackDamaged as error:
                self._set_aside(name, error)
        return objects

    def _set_aside(self, name: str, error: PackDamaged) -> None:
        self.damaged[name] = error
        self._indexes = {each: index for each, index in self._indexes.items() if each != name}
        self._files = {each: file for each, file in self._files.items() if each != name}


class PackWriter:
    """A pack on its way into a folder, as a context: leaving it uncommitted leaves nothing behind."""

    def __init__(self, folder: PackFolder) -> None:
        """Raises `WriteError`."""
        from hundredweight.store.pack import PackStreamWriter  # noqa: PLC0415 - beside blake3, which it takes

        self._folder = folder
        os.makedirs(folder.folder, exist_ok=True)
        self._file = AtomicFile("", temp_folder=folder.temp, mode=folder.mode | 0o200, durable=True)
        self.stream: PackStreamWriter = PackStreamWriter(self._file.write)

    def commit(self) -> str:
        """Index and trailer, then publish, synced to disk. Returns the pack's name; "" for an empty one, which is dropped.

        Only under the lock. Raises `BaseGone`, `WriteError`.
        """
        if self.stream.index.empty:
            self._file.abort()
            return ""
        self._check_bases()
        name = self.stream.finish()
        self._file.commit(self._folder.path(name))
        fsync_folder(os.path.dirname(self._folder.folder) or ".")
        return name

    def _check_bases(self) -> None:
        outside = self.stream.index.outside_bases()
        missing = outside - self._folder.segments(outside).keys()
        for segment in missing:
            raise BaseGone(segment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.abort()
