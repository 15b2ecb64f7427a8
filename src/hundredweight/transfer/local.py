"""Another repository on this machine as the server: a `file://` remote, or a plain path. Objects are linked where the two share
a file system, else copied, and verified on the way; there is no process and no protocol between.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hundredweight.base.errors import LocalError, RemoteError
from hundredweight.base.trace import trace
from hundredweight.protocol.batch import UPLOAD, Action, BatchObject, BatchResponse, ObjectError
from hundredweight.store.local import LocalStore
from hundredweight.store.loose import LooseStore
from hundredweight.transfer.part import WrongContent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.git.run import Git
    from hundredweight.protocol.batch import Wanted
    from hundredweight.transfer.actions import Job
    from hundredweight.transfer.server import LfsServer

ADAPTER = "lfs-standalone-file"


class NotARemote(RemoteError):
    """The path of a remote leads to no git repository."""

    hint = "run 'git remote -v' to see where the remotes are"


def open_store(git: Git, url: str) -> LocalStore:
    """The store of the repository at a `file://` URL. Raises `NotARemote`."""
    path = unquote(urlsplit(url).path, errors="surrogateescape")
    folder = os.path.dirname(path) if os.path.basename(path) == ".git" else path
    there = git.at(folder)
    found = there.run("rev-parse", "--path-format=absolute", "--git-common-dir")
    if found.code:
        said = found.err.decode("utf-8", "replace").strip()
        raise NotARemote(f"failed to call `git rev-parse --git-dir`: {said}")
    common = os.fsdecode(found.out).removesuffix("\n")
    storage = os.fsdecode(there.run("config", "--get", "lfs.storage").out).removesuffix("\n")
    trace(f'using "{common}" as remote git directory')
    return LocalStore(os.path.join(common, storage or "lfs"), mode=0o666)


def batch(store: LooseStore, url: str, operation: str, objects: Sequence[Wanted]) -> BatchResponse:
    """What a server would answer for the objects of `store`."""
    return BatchResponse(tuple(_answer(store, url, operation, wanted) for wanted in objects), ADAPTER)


def _answer(store: LooseStore, url: str, operation: str, wanted: Wanted) -> BatchObject:
    here = store.has(wanted.oid, wanted.size)
    if operation == UPLOAD:
        return BatchObject(wanted.oid, wanted.size, {} if here else {UPLOAD: Action(url)}, authenticated=True)
    if here:
        return BatchObject(wanted.oid, wanted.size, {operation: Action(url)}, authenticated=True)
    return BatchObject(wanted.oid, wanted.size, error=ObjectError(404, f"remote missing object {wanted.oid}"))


class LocalAdapter:
    """Moves single objects between two stores. Thread-safe."""

    def __init__(self, here: LooseStore, server: LfsServer) -> None:
        self._here = here
        self._server = server
        trace(f'xfer: started custom adapter process "{ADAPTER}", inside this one')

    def download(self, job: Job) -> None:
        """Raises `RemoteError`, `WrongContent`, `LocalError`."""
        _take(job, self._server.local_store, self._here)

    def upload(self, job: Job) -> None:
        """Raises as `download`."""
        _take(job, self._here, self._server.local_store)


def _take(job: Job, source: LooseStore, target: LooseStore) -> None:
    """Bring one object from `source` to `target`, verified."""
    if job.size:
        try:
            _check(job, source.path(job.oid))
            taken = LooseStore(target.root, (source.objects,), target.mode).adopt_reference(job.oid, job.size)
            if not taken and isinstance(source, LocalStore) and source.is_packed(job.oid):
                from hundredweight.store.packing import unpack  # noqa: PLC0415 - numpy, only where an object is packed

                taken = unpack(target, job.oid, source.packs) == job.size
        except OSError as error:
            raise LocalError(f"cannot copy object {job.oid} from '{source.root}': {error.strerror}") from error
        if not taken:
            raise RemoteError(f"missing object: {job.name} ({job.oid})")
    job.begun()
    job.advance(job.size)


def _check(job: Job, path: str) -> None:
    try:
        with open(path, "rb", buffering=0) as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return  # adopt_reference finds the same, and says so
    if got != job.oid:
        raise WrongContent(job.oid, got, os.stat(path).st_size)
