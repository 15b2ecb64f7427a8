"""Opening weights by what a user names: a file, `REV:PATH`, or the index of a sharded model; pointers are followed.

A `Model` is one model, of one file or of several; its tensors' bytes are read on demand, nothing is held in memory.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hundredweight.base.errors import DamageError, LocalError, UsageError
from hundredweight.base.files import AtomicFile
from hundredweight.formats import content, recognise, safetensors
from hundredweight.formats.safetensors import MAX_INDEX, Index, parse_index
from hundredweight.formats.source import FormatError
from hundredweight.formats.tensors import WeightFile, shorten
from hundredweight.git.objects import ObjectReader
from hundredweight.protocol.pointer import CUTOFF, try_parse
from hundredweight.store.file_source import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Self

    from hundredweight.client.workspace import Workspace
    from hundredweight.formats.tensors import Tensor
    from hundredweight.protocol.pointer import Pointer
    from hundredweight.store.local import LocalStore
    from hundredweight.store.reader import PackedSource

URL_SCHEMES = ("http://", "https://", "ssh://", "file://", "hf://")


class CannotOpen(LocalError):
    """A file that was named cannot be opened. `name` is what was named."""

    def __init__(self, name: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"cannot open '{name}': {reason}", hint=hint)
        self.name = name


class ObjectNotHere(CannotOpen):
    """What was named is a Git LFS pointer, and its object is not in the local store."""

    def __init__(self, name: str, pointer: Pointer, *, hint: str) -> None:
        super().__init__(name, f"it is a pointer, and its object {pointer.oid[:12]} is not here", hint=hint)
        self.pointer = pointer


class BadWeights(DamageError):
    """A weight file breaks its format. `fault` says what and where."""

    def __init__(self, name: str, fault: FormatError) -> None:
        super().__init__(f"'{name}': {fault}", hint=fault.hint)
        self.name = name
        self.fault = fault


class NotWeights(BadWeights):
    """A file is no weight file of a kind that is read."""


class Opened(Protocol):
    """An open file: a `formats.source.Source` with a name, and large reads without new memory each time. The caller closes it."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    def read(self, offset: int, length: int) -> bytes: ...
    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the buffer."""

    def close(self) -> None: ...


class OpenFile(FileSource):
    """A file that a user named."""

    def _shrank(self) -> CannotOpen:
        return CannotOpen(self.name, "it became shorter while it was read")


class Extracted(OpenFile):
    """A blob of git in a temporary file, which goes when it is closed."""

    def __init__(self, copy: AtomicFile, name: str) -> None:
        super().__init__(copy.descriptor, name)
        self._copy = copy

    def _release(self) -> None:
        self._copy.abort()


class PackedFile:
    """An object that stands in packs, decoded where it is read; called `name` in errors. `read` is thread-safe. Where the object
    leaves the packs meanwhile, its loose copy at `path` is read on."""

    def __init__(self, source: PackedSource, name: str, path: str) -> None:
        self._source: PackedSource | OpenFile = source
        self._path = path
        self._leaving = threading.Lock()
        self.name = name
        self.size = source.size

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.view(offset, length))

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the buffer."""
        buffer[:] = self.view(offset, len(buffer))

    def view(self, offset: int, length: int) -> memoryview:
        """The bytes as they were decoded, where one segment holds them all: not to be written to."""
        from hundredweight.store.catalog import PackMissing  # noqa: PLC0415 - only where an object is packed
        from hundredweight.store.reader import SegmentMissing  # noqa: PLC0415 - likewise

        source = self._source
        if not isinstance(source, OpenFile):
            try:
                return source.view(offset, length)
            except (PackMissing, SegmentMissing):
                if not os.path.exists(self._path):
                    raise
            with self._leaving:
                if not isinstance(self._source, OpenFile):
                    self._source = open_file(self._path, self.name)
                source = self._source
        return memoryview(source.read(offset, length))

    def close(self) -> None:
        """Harmless: the packs are the store's."""
        if isinstance(self._source, OpenFile):
            self._source.close()


class Place(Protocol):
    """Where a model's files lie side by side. `open` raises `CannotOpen`; the caller closes what it gives."""

    def open(self, name: str) -> Opened: ...


class Folder:
    """A folder of the file system. `clone` gives the clone that a folder is in, None where it is in none."""

    def __init__(self, path: str, clone: Callable[[str], Workspace | None]) -> None:
        self._path = path
        self._clone = clone

    def open(self, name: str) -> Opened:
        path = os.path.join(self._path, name)
        source = open_file(path)
        pointer = _pointer_in(source)
        if pointer is None:
            return source
        source.close()
        workspace = self._clone(self._path or ".")
        if workspace is not None and workspace.store.has(pointer.oid, pointer.size):
            return open_stored(workspace.store, pointer, path)
        raise ObjectNotHere(path, pointer, hint=f"run 'git lfs pull --include={os.path.basename(name)}' to download it")


class Revision:
    """A folder of a commit: `prefix` is `REV:folder/`. Pointers are followed into the clone's store."""

    def __init__(self, workspace: Workspace, prefix: str) -> None:
        self._workspace = workspace
        self._prefix = prefix

    def open(self, name: str) -> Opened:
        full = self._prefix + name
        revision, _, path = full.partition(":")
        return open_blob(
            self._workspace, full, full, f"run 'git lfs fetch --include={path} origin {revision}' to download it"
        )


class Blobs:
    """Files of one side of a git diff: `blobs` gives the blob of each path, empty for one that stands in the work tree."""

    def __init__(self, workspace: Workspace, blobs: Mapping[str, str], hint: str) -> None:
        """`hint` says how to get an object that is missing."""
        self._workspace = workspace
        self._blobs = blobs
        self._hint = hint

    def open(self, name: str) -> Opened:
        blob = self._blobs.get(name)
        if blob is None:
            raise CannotOpen(name, "no such file")
        if blob:
            return open_blob(self._workspace, blob, name, self._hint)
        return Folder(self._workspace.repository.work_tree, lambda _: self._workspace).open(name)


def open_blob(workspace: Workspace, spec: str, shown: str, hint: str) -> Opened:
    """The content of a blob that git knows by `spec`, a pointer followed into the clone's store. Errors call it `shown`, and
    give `hint` where its object is not here. Raises `CannotOpen`."""
    with ObjectReader(workspace.repository.git) as objects:
        info = objects.info(spec)
        if info is None:
            raise CannotOpen(
                shown, "no such revision or path", hint="run 'git ls-tree -r --name-only REV' to see its files"
            )
        if info.kind != "blob":
            raise CannotOpen(shown, f"it is a {info.kind}", hint=_NAME_A_FILE)
        pointer = try_parse(objects.read(info.name)) if 0 < info.size < CUTOFF else None
        if pointer is None:
            return _unpack(workspace, objects, info.name, shown)
    if workspace.store.has(pointer.oid, pointer.size):
        return open_stored(workspace.store, pointer, shown)
    raise ObjectNotHere(shown, pointer, hint=hint)


def _unpack(workspace: Workspace, objects: ObjectReader, blob: str, shown: str) -> Extracted:
    """A blob of git itself: in a temporary file, since it can only be read from its start."""
    copy = AtomicFile("", temp_folder=workspace.store.temp)
    try:
        objects.copy(blob, copy.write)
        return Extracted(copy, shown)
    except BaseException:
        copy.abort()
        raise


@dataclass(frozen=True)
class Part:
    """One file of a model."""

    name: str
    size: int
    weights: WeightFile


@dataclass
class Model:
    """One model. `parts` has one file, or a sharded model's; use as a context, or `close`."""

    name: str
    place: Place
    parts: tuple[Part, ...]
    index: Index | None = None
    _sources: dict[str, Opened] = field(default_factory=dict)

    @property
    def format(self) -> str:
        return self.parts[0].weights.format

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def tensors(self) -> Iterator[tuple[Part, Tensor]]:
        for part in self.parts:
            for tensor in part.weights.tensors:
                yield part, tensor

    def content(self, part: Part, tensor: Tensor) -> Iterator[bytes | memoryview]:
        """The tensor's canonical bytes, streamed. Raises `CannotOpen` and `BadWeights`."""
        source = self.source_of(part, tensor)
        try:
            yield from content.chunks(source, tensor)
        except FormatError as error:
            raise BadWeights(tensor.file or part.name, error) from error

    def source_of(self, part: Part, tensor: Tensor) -> Opened:
        """The open file that holds the tensor's bytes, and holds them all. Raises `CannotOpen` and `BadWeights`."""
        name = tensor.file or part.name
        source = self.source(name)
        if tensor.end > source.size:
            fault = FormatError(
                f"tensor '{shorten(tensor.name)}' ends at byte {tensor.end}, the file has {source.size}"
            )
            raise BadWeights(name, fault)
        return source

    def source(self, name: str) -> Opened:
        """The open file `name` of the model's place; kept until `close`."""
        if name not in self._sources:
            self._sources[name] = self.place.open(name)
        return self._sources[name]

    def beside(self, name: str, limit: int) -> bytes:
        """A small file beside the model, config.json; empty where it is missing or larger than `limit`."""
        try:
            source = self.place.open(name)
        except CannotOpen:
            return b""
        try:
            return source.read(0, source.size) if source.size <= limit else b""
        finally:
            source.close()

    def close(self) -> None:
        while self._sources:
            self._sources.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def open_model(
    target: str, clone: Callable[[str], Workspace | None], web: Callable[[str], tuple[Place, str]] | None = None
) -> Model:
    """The model that `target` names: a file, or else `REV:PATH`, or a URL where `web` tells the place of one. `clone` gives the
    clone that a folder is in.

    Raises `CannotOpen`, `BadWeights`, `UsageError` for what is neither.
    """
    place, name = web(target) if web is not None and target.startswith(URL_SCHEMES) else _locate(target, clone)
    model = Model(target, place, ())
    try:
        index = _read_index(model, name)
        if index is None:
            model.parts = (_read_part(model, name),)
        else:
            model.index = index
            model.parts = tuple(_read_part(model, file) for file in index.files)
            _check_shards(model, index, name)
    except BaseException:
        model.close()
        raise
    return model


def open_parts(name: str, place: Place, files: Iterable[str]) -> Model:
    """One model of these files of a place, an index or none. Raises `CannotOpen`, `BadWeights`."""
    model = Model(name, place, ())
    try:
        model.parts = tuple(_read_part(model, file) for file in files)
    except BaseException:
        model.close()
        raise
    return model


_NAME_A_FILE = "name one file: of a sharded model its index, 'model.safetensors.index.json'"


def _locate(target: str, clone: Callable[[str], Workspace | None]) -> tuple[Place, str]:
    if target.startswith(URL_SCHEMES):
        raise UsageError(
            f"cannot open '{target}': this command reads no URLs", hint="clone the repository and name a file in it"
        )
    if os.path.isdir(target):
        raise CannotOpen(target, "it is a folder", hint=_NAME_A_FILE)
    if ":" not in target or os.path.exists(target):
        folder, name = os.path.split(target)
        return Folder(folder, clone), name
    workspace = clone(".")
    if workspace is None:
        raise CannotOpen(target, "no such file, and no git repository here to look it up in")
    head, slash, name = target.rpartition("/")
    if not slash or ":" not in head:
        head, slash, name = target.rpartition(":")
    if not name:
        raise CannotOpen(target, "it is a folder", hint=_NAME_A_FILE)
    return Revision(workspace, head + slash), name


def open_stored(store: LocalStore, pointer: Pointer, name: str) -> Opened:
    """An object that the store has, loose or in packs. Raises `CannotOpen`, `DamageError`."""
    path = store.path(pointer.oid)
    recipe = store.packs.recipe(pointer.oid) if not os.path.exists(path) and store.has_packs else None
    if recipe is None:
        return open_file(path, name)
    from hundredweight.store.reader import PackedSource  # noqa: PLC0415 - numpy, 100 ms; only where an object is packed

    return PackedFile(PackedSource(store.packs.reader, recipe), name, path)


def open_file(path: str, name: str = "") -> OpenFile:
    """A regular file of the file system, called `name` in errors. Raises `CannotOpen`."""
    name = name or path
    try:
        # A pipe would keep the open call waiting for its writer.
        source = OpenFile(os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)), name)
    except OSError as error:
        raise CannotOpen(name, (error.strerror or str(error)).lower()) from error
    if not os.path.isfile(path):
        source.close()
        folder = os.path.isdir(path)
        raise CannotOpen(name, "it is a folder" if folder else "it is no regular file", hint=_NAME_A_FILE)
    return source


def _pointer_in(source: Opened) -> Pointer | None:
    return try_parse(source.read(0, source.size)) if 0 < source.size < CUTOFF else None


def _read_index(model: Model, name: str) -> Index | None:
    source = model.source(name)
    if not 2 <= source.size <= MAX_INDEX or source.read(0, 1) not in (b"{", b" ", b"\n"):
        return None
    if safetensors.matches(source):
        # The length of its header begins with that byte: 32, 288 and 544 do.
        return None
    try:
        index = parse_index(source.read(0, source.size))
    except FormatError as error:
        raise BadWeights(name, error) from error
    if index is not None and not index.files:
        raise BadWeights(name, FormatError("the index names no tensors"))
    return index


def _read_part(model: Model, name: str) -> Part:
    source = model.source(name)
    try:
        return Part(name, source.size, recognise.read(source))
    except recognise.UnknownFormat as error:
        raise NotWeights(name, error) from error
    except FormatError as error:
        raise BadWeights(name, error) from error


def _check_shards(model: Model, index: Index, name: str) -> None:
    """Every tensor is in the file that the index says, and in that alone."""
    left = dict(index.weight_map)
    for part, tensor in model.tensors():
        if left.pop(tensor.name, "") != part.name:
            fault = FormatError(f"tensor '{shorten(tensor.name)}' of '{part.name}' is not there by the index")
            raise BadWeights(name, fault)
    if left:
        missing, file = next(iter(left.items()))
        raise BadWeights(name, FormatError(f"tensor '{shorten(missing)}' is not in '{file}', where the index says"))
