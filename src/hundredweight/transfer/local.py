"""Objects to or from another repository on this machine (`file://`, a path): linked or copied, without a server.

`open_queue` gives what fits the endpoint; both queues have the same interface.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hundredweight.base.errors import CwtError, LocalError
from hundredweight.base.trace import trace
from hundredweight.git import config
from hundredweight.git.run import GitError
from hundredweight.protocol.batch import UPLOAD
from hundredweight.store.loose import LooseStore
from hundredweight.transfer.basic import ObjectMissing
from hundredweight.transfer.queue import Failure, TransferQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.base.ids import Oid
    from hundredweight.base.progress import Meter
    from hundredweight.git.run import Git
    from hundredweight.transfer.queue import Item, TransferOptions
    from hundredweight.transfer.server import LfsServer


class NoLocalRepository(CwtError):
    """The URL names a folder that is no git repository."""

    hint = "run 'git remote -v' to see where the remote is"

    def __init__(self, url: str) -> None:
        super().__init__(f"'{url}' is not a git repository")


class LocalQueue:
    """A `TransferQueue` towards another repository: everything is moved when it is added, in the caller's thread."""

    def __init__(
        self,
        there: LooseStore,
        direction: str,
        here: LooseStore,
        meter: Meter,
        on_done: Callable[[Item, CwtError | None], None] | None = None,
    ) -> None:
        self._source, target = (here, there) if direction == UPLOAD else (there, here)
        self._target = LooseStore(target.root, (self._source.objects,), target.mode)
        self._meter = meter
        self._on_done = on_done
        self._failures: list[Failure] = []
        self._fates: dict[Oid, CwtError | None] = {}
        meter.start(direction, 0, 0)

    def add(self, item: Item) -> None:
        """Link or copy one object; one that was wanted before is not moved again."""
        if item.oid not in self._fates:
            self._fates[item.oid] = self._move_counted(item)
        error = self._fates[item.oid]
        if error is not None:
            self._failures.append(Failure(item, error))
        if self._on_done is not None:
            self._on_done(item, error)

    def close(self) -> None:
        """Nothing waits."""

    def wait(self) -> list[Failure]:
        self._meter.finish()
        return self._failures

    def __enter__(self) -> LocalQueue:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Nothing runs."""

    def _move_counted(self, item: Item) -> CwtError | None:
        self._meter.add(1, item.size)
        self._meter.begin(item.path, item.size)
        error = self._move(item)
        if error is None:
            self._meter.advance(item.path, item.size)
            self._meter.done(item.path)
        else:
            self._meter.failed(item.path)
        return error

    def _move(self, item: Item) -> CwtError | None:
        try:
            if self._target.has(item.oid, item.size):
                return None
        except OSError as error:
            return LocalError(f"cannot write '{self._target.path(item.oid)}': {error.strerror or error}")
        if self._source.size(item.oid) < 0:
            return ObjectMissing(item.path, item.oid)
        return LocalError(f"'{self._source.path(item.oid)}' does not have {item.size} bytes")


def open_queue(
    server: LfsServer,
    direction: str,
    store: LooseStore,
    options: TransferOptions,
    meter: Meter,
    on_done: Callable[[Item, CwtError | None], None] | None = None,
) -> TransferQueue | LocalQueue:
    """As `TransferQueue`. Raises `NoLocalRepository`."""
    if not server.endpoint.is_local:
        return TransferQueue(server, direction, store, options, meter, on_done)
    return LocalQueue(_store_at(server.session.endpoints.git, server.endpoint.url), direction, store, meter, on_done)


def _store_at(git: Git, url: str) -> LooseStore:
    """The objects of the repository at a file:// URL."""
    folder = unquote(urlsplit(url).path)
    # Scripts that watch a transfer look for the first words.
    trace(f"xfer: started custom adapter process lfs-standalone-file: none, objects are copied from or to {folder}")
    if not os.path.isdir(folder):
        raise NoLocalRepository(url)
    other = git.at(folder)
    try:
        common = other.text("rev-parse", "--path-format=absolute", "--git-common-dir")
        storage = config.load(other).get("lfs.storage")
    except GitError as error:
        raise NoLocalRepository(url) from error
    return LooseStore(os.path.join(common, storage or "lfs"))
