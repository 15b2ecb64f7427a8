"""Objects that a filter lacks, fetched in the background while git goes on, or at once while it waits.

Imports the network code (70 ms): filters load it when an object is missing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.base.progress import NullMeter
from hundredweight.base.trace import trace
from hundredweight.client.copy_progress import open_progress
from hundredweight.client.transfer_options import drop_packed, transfer_options
from hundredweight.git import refs
from hundredweight.transfer.queue import Item, TransferQueue
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.base.ids import Oid
    from hundredweight.client.workspace import Workspace
    from hundredweight.protocol.pointer import Pointer
    from hundredweight.transfer.queue import TransferOptions
    from hundredweight.transfer.server import LfsServer


class Downloads:
    """The downloads of one filter process. `add` any number, then call `available` until it gives nothing; after that the
    next round may begin. One thread calls; the work is done in others."""

    def __init__(self, workspace: Workspace, treeish: str = "") -> None:
        """`treeish` is the commit being checked out, as far as git told; lfs.remote.autodetect looks for a remote with it."""
        self._workspace = workspace
        self._treeish = treeish
        self._server: LfsServer | None = None
        self._options: TransferOptions | None = None
        self._queue: TransferQueue | None = None
        self._changed = threading.Condition()
        self._arrived: list[str] = []
        self._finished = False
        self._crash: BaseException | None = None
        self._failures: dict[str, CwtError] = {}
        self._waiter: threading.Thread | None = None

    def add(self, path: str, pointer: Pointer) -> None:
        """Fetch the object of `path` in the background."""
        try:
            if self._queue is None:
                self._queue = self._open_queue(self._open_server(), self._done)
            self._queue.add(Item(pointer.oid, pointer.size, path))
        except CwtError as error:
            self._failures[pointer.oid] = error

    def available(self) -> list[str]:
        """Paths whose objects arrived since the last call: waits for at least one, unless all are done. The first call says
        that no more will be added. Empty when everything has either arrived or failed."""
        if self._queue is None:
            return []
        if self._waiter is None:
            self._waiter = threading.Thread(target=self._wait, args=(self._queue,), daemon=True)
            self._waiter.start()
        with self._changed:
            while not self._arrived and not self._finished:
                self._changed.wait()
            paths, self._arrived = self._arrived, []
        if not paths:
            self._waiter.join()
            self._queue = self._waiter = None
            self._finished = False
            if self._crash is not None:
                raise self._crash
        return paths

    def finish(self) -> None:
        """Git has everything that it asked for."""
        if self._options is not None:
            drop_packed(self._options)

    def failed(self, oid: Oid) -> bool:
        """Whether the object was tried in the background, in vain."""
        return oid in self._failures

    def fetch(self, path: str, pointer: Pointer) -> CwtError | None:
        """Fetch one object now: from the usual server, unless that failed before, and with lfs.remote.searchall from any
        remote. None when it is here, else why not. Raises nothing that the network or a server can cause."""
        failure = self._failures.get(pointer.oid)
        if failure is None:
            failure = self._fetch_from(None, path, pointer)
        if failure is None or not self._workspace.config.bool("lfs.remote.searchall"):
            return failure
        trace("git: smudge: default remote failed. searching alternate remotes")
        for remote in refs.remotes(self._workspace.git_config):
            if self._fetch_from(remote, path, pointer) is None:
                return None
        return failure

    def _fetch_from(self, remote: str | None, path: str, pointer: Pointer) -> CwtError | None:
        """From the usual server, or from that of `remote`, which becomes the usual one when it has the object: the next ones
        are probably there too."""
        progress = open_progress(self._workspace.variables, "download", path, pointer.size)
        try:
            server = self._open_server() if remote is None else self._server_of(remote)
            with self._open_queue(server, meter=_FileMeter(progress) if progress else None) as queue:
                queue.add(Item(pointer.oid, pointer.size, path))
                failures = queue.wait()
        except CwtError as error:
            return error
        if failures:
            return failures[0].error
        self._server = server
        return None

    def _wait(self, queue: TransferQueue) -> None:
        try:
            queue.wait()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asks what has arrived
            self._crash = error
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def _done(self, item: Item, error: CwtError | None) -> None:
        with self._changed:
            if error is None:
                self._arrived.append(item.path)
                self._changed.notify_all()
            else:
                self._failures[item.oid] = error

    def _open_server(self) -> LfsServer:
        if self._server is None:
            self._server = self._server_of(self._detected_remote())
        return self._server

    def _server_of(self, remote: str) -> LfsServer:
        workspace = self._workspace
        git_dir = workspace.repository.git_dir
        return open_server(workspace.config, workspace.git, workspace.variables, remote, git_dir=git_dir)

    def _detected_remote(self) -> str:
        config = self._workspace.config
        if not config.bool("lfs.remote.autodetect"):
            return ""
        return refs.remote_holding(self._workspace.git, self._treeish, refs.remotes(config))

    def _open_queue(
        self,
        server: LfsServer,
        on_done: Callable[[Item, CwtError | None], None] | None = None,
        meter: NullMeter | None = None,
    ) -> TransferQueue:
        if self._options is None:
            self._options = transfer_options(self._workspace, remote_ref(self._workspace))
        options = self._options
        return TransferQueue(server, "download", self._workspace.store, options, meter or NullMeter(), on_done)


class _FileMeter(NullMeter):
    """Progress of one download, to the file that GIT_LFS_PROGRESS names."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self._report = report

    def advance(self, name: str, delta: int) -> None:
        del name
        self._report(delta)


def remote_ref(workspace: Workspace) -> str:
    """The full name of the remote's ref that belongs to the current branch, for servers that decide by it; may be empty."""
    current = refs.current(workspace.git)
    if current is None:
        return ""
    config = workspace.config
    branch = current.name if current.is_branch else ""
    return refs.push_target(config, refs.default_push_remote(config, branch), current)
