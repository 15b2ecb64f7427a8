"""Files of revisions for programs: opened by path, pointers followed, and fetched where they are not here."""

from __future__ import annotations

import io
import os
import posixpath
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from hundredweight.base.errors import LocalError, UsageError
from hundredweight.base.progress import NullMeter
from hundredweight.client.experiments.names import Names, NoSuchExperiment, rows_of
from hundredweight.client.fetch import Fetcher
from hundredweight.client.weight_files import CannotOpen, Folder, ObjectNotHere, Revision, open_model
from hundredweight.git.scan import PointerFile
from hundredweight.lineage import releases

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

    from hundredweight.client.weight_files import Model, Opened
    from hundredweight.client.workspace import Workspace
    from hundredweight.protocol.pointer import Pointer

T = TypeVar("T")


class CannotFetch(LocalError):
    """An object that a file needs is not here, and the server does not give it. The server's reason is the cause."""

    hint = "run 'git lfs fetch' to see what the server says"

    def __init__(self, name: str, pointer: Pointer) -> None:
        super().__init__(f"cannot fetch the object {pointer.oid[:12]} of '{name}'")
        self.pointer = pointer


def commit_of(workspace: Workspace, name: str) -> str:
    """The commit that is meant: any revision of git, a release (`model@latest`, `model#prod`), an experiment. Raises
    `NoSuchExperiment`, `AmbiguousRelease`."""
    found = workspace.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if not found.code:
        return found.out.decode().strip()
    release = releases.resolve(workspace.git, name)
    if release is not None:
        return release.commit
    try:
        return Names(workspace.git, rows_of(workspace).rows).row(name).commit
    except NoSuchExperiment as error:
        raise UsageError(f"'{name}' is no revision, release or experiment", hint=error.hint) from error


def open_in(workspace: Workspace, path: str, rev: str | None) -> BinaryIO:
    """A file of a revision, or of the work tree (None), to read and to seek in; the caller closes it. `path` is relative to the
    folder that the workspace was opened for. Raises `CannotOpen`, `CannotFetch`."""
    if rev is None:
        place, name = Folder(workspace.repository.git.folder, lambda _: workspace), path
        return _buffered(_with_objects(workspace, lambda: place.open(name)))
    revision = Revision(workspace, f"{commit_of(workspace, rev)}:")
    inside = _inside(workspace, path)
    return _buffered(_with_objects(workspace, lambda: revision.open(inside)))


def open_weights(workspace: Workspace, path: str, rev: str | None) -> Model:
    """The model of a file or of an index of shards. Raises `CannotOpen`, `CannotFetch`, `BadWeights`."""
    target = (
        os.path.join(workspace.repository.git.folder, path)
        if rev is None
        else f"{commit_of(workspace, rev)}:{_inside(workspace, path)}"
    )
    return _with_objects(workspace, lambda: open_model(target, lambda _: workspace))


def _inside(workspace: Workspace, path: str) -> str:
    """A path from the top of the repository."""
    if os.path.isabs(path):
        path = os.path.relpath(path, workspace.repository.work_tree or workspace.repository.git_dir)
    else:
        path = workspace.repository.prefix + path
    made = posixpath.normpath(path.replace(os.sep, "/"))
    if made.startswith("../"):
        raise CannotOpen(path, "it is outside the repository")
    return made


def _with_objects(workspace: Workspace, opening: Callable[[], T]) -> T:
    """What `opening` gives; the objects that it lacks are downloaded, each once."""
    tried: set[str] = set()
    while True:
        try:
            return opening()
        except ObjectNotHere as error:
            if error.pointer.oid in tried:
                raise
            tried.add(error.pointer.oid)
            fetch(workspace, error.name, error.pointer)


def fetch(workspace: Workspace, name: str, pointer: Pointer) -> None:
    """Raises `CannotFetch`."""
    with Fetcher(workspace) as fetcher:
        failures = fetcher.execute(fetcher.plan([PointerFile(name, pointer, "")]), NullMeter())
    if failures:
        raise CannotFetch(name, pointer) from failures[0].error


def _buffered(source: Opened) -> BinaryIO:
    return io.BufferedReader(_Raw(source), 1 << 20)


class _Raw(io.RawIOBase):
    """What was opened, as Python's files are."""

    def __init__(self, source: Opened) -> None:
        self._source = source
        self._at = 0
        self.name = source.name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        if start + offset < 0:
            raise ValueError(f"negative seek position {start + offset}")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._source.size - self._at))
        if count:
            self._source.read_into(self._at, view[:count])
            self._at += count
        return count

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()
