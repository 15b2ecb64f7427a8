"""`git lfs fetch`: objects of refs, of recent history or of everything, into the local store.

A fetch is a series of rounds, one a ref, so that what was asked for first comes first. Each round is planned (what is not
here yet), then asked about only (dry run) or executed.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.trace import trace
from hundredweight.client.downloads import remote_ref
from hundredweight.client.transfer_options import drop_packed, transfer_options
from hundredweight.git import refs
from hundredweight.git.scan import scan_all, scan_previous, scan_range, scan_tree
from hundredweight.protocol.batch import DOWNLOAD, Wanted
from hundredweight.store.loose import LooseStore
from hundredweight.transfer.queue import Item, TransferQueue
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hundredweight.base.ids import Oid
    from hundredweight.base.progress import Meter
    from hundredweight.client.settings import Settings
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.patterns import PathFilter
    from hundredweight.git.refs import Ref
    from hundredweight.git.scan import PointerFile
    from hundredweight.protocol.batch import BatchObject
    from hundredweight.transfer.queue import Failure
    from hundredweight.transfer.server import LfsServer

DAY = 86_400


@dataclass(frozen=True)
class Round:
    """One part of a fetch: what to tell the user, and the pointers, found while they are iterated over."""

    title: str
    files: Iterable[PointerFile]


class Fetcher:
    """Objects from one remote. Use as a context. An object that one round brought (or, in a dry run, would have brought)
    is not fetched by the next."""

    def __init__(self, workspace: Workspace, remote: str = "", *, refetch: bool = False) -> None:
        """`remote` is a name or a URL, empty for the one that is meant here. `refetch` fetches what is here, too."""
        self._workspace = workspace
        self._refetch = refetch
        self._seen: set[Oid] = set()
        self._options = transfer_options(workspace, remote_ref(workspace))
        self.server: LfsServer = open_server(
            workspace.config,
            workspace.git,
            workspace.variables,
            remote,
            DOWNLOAD,
            git_dir=workspace.repository.git_dir,
        )

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.server.close()

    @property
    def url(self) -> str:
        """The server's, for messages."""
        return self.server.endpoint.url

    def plan(self, files: Iterable[PointerFile]) -> list[Item]:
        """What of `files` has to be transferred, each object once."""
        items = []
        for file in files:
            pointer = file.pointer
            if pointer.size == 0 or pointer.oid in self._seen:
                continue
            self._seen.add(pointer.oid)
            if self._refetch or not self._workspace.store.has(pointer.oid, pointer.size):
                items.append(Item(pointer.oid, pointer.size, file.path))
        return items

    def ask(self, items: list[Item]) -> list[tuple[Item, BatchObject]]:
        """The server's answer for each item, nothing transferred. Raises `BatchFailed`."""
        size = self._options.batch_size
        answers = []
        for start in range(0, len(items), size):
            some: dict[str, Item] = {item.oid: item for item in items[start : start + size]}
            answer = self.server.batch(
                DOWNLOAD, [Wanted(item.oid, item.size) for item in some.values()], self._options.ref
            )
            answers += [(some[found.oid], found) for found in answer.objects if found.oid in some]
        return answers

    def execute(self, items: list[Item], meter: Meter) -> list[Failure]:
        """Transfer; gives those that failed, the others are in the store."""
        store = self._workspace.store
        if not self._refetch:
            return self._transfer(items, meter, store)
        # What is here is replaced only by what has arrived: it may be the only good copy there is.
        scratch = LooseStore(os.path.join(store.root, "refetch"), mode=store.mode)
        try:
            failures = self._transfer(items, meter, scratch)
            failed = {failure.item.oid for failure in failures}
            for item in items:
                if item.oid not in failed:
                    store.adopt(scratch.path(item.oid), item.oid)
        finally:
            shutil.rmtree(scratch.root, ignore_errors=True)
        return failures

    def _transfer(self, items: list[Item], meter: Meter, store: LooseStore) -> list[Failure]:
        with TransferQueue(self.server, DOWNLOAD, store, self._options, meter) as queue:
            for item in items:
                trace(f"fetch {item.path} [{item.oid}]")
                queue.add(item)
            failures = queue.wait()
        drop_packed(self._options)
        return failures


def ref_rounds(workspace: Workspace, wanted: Iterable[Ref], paths: PathFilter) -> Iterator[Round]:
    """The tree of each ref."""
    for ref in wanted:
        yield Round(f"Fetching reference {ref.full_name}", scan_tree(workspace.git, ref.commit, paths))


def history_rounds(workspace: Workspace, wanted: Iterable[Ref]) -> Iterator[Round]:
    """All history of the refs, or of the whole repository when there are none. The oldest first: deltas stand upon what came
    before."""
    commits = [ref.commit for ref in wanted]
    if commits:
        yield Round("", reversed([*scan_range(workspace.git, commits)]))
    else:
        yield Round("Fetching all references...", reversed([*scan_all(workspace.git)]))


def recent_rounds(
    workspace: Workspace, settings: Settings, remote: str, fetched: Iterable[Ref], paths: PathFilter, now: float
) -> Iterator[Round]:
    """Other refs with recent commits, then what recent commits of all of them replaced. `fetched` are those that had their
    round already; a commit gets one round, whatever number of refs name it."""
    git = workspace.git
    names = {ref.commit: ref.name for ref in fetched}
    days = settings.fetch_recent_refs_days
    if days > 0:
        yield Round(f"Fetching recent branches within {days} {_days(days)}", ())
        branches = refs.recent_refs(
            git, now - days * DAY, remote_branches=settings.fetch_recent_remote_refs, remote=remote
        )
        for ref in branches:
            if ref.commit in names:
                trace(f"Skipping fetch for {ref.name}, already fetched via {names[ref.commit]}")
                continue
            names[ref.commit] = ref.name
            yield Round(f"Fetching reference {ref.name}", scan_tree(git, ref.commit, paths))
    days = settings.fetch_recent_commits_days
    if days > 0:
        for commit, name in names.items():
            since = refs.commit_time(git, commit) - days * DAY
            title = f"Fetching changes within {days} {_days(days)} of {name}"
            yield Round(title, scan_previous(git, commit, since, paths))


def _days(count: int) -> str:
    return "day" if count == 1 else "days"
