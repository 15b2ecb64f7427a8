"""`git lfs pull`: objects of what is checked out, and the work tree's files from them, each as soon as its object is here.

Git's index says which files. Writing them overlaps with the other downloads; the index is refreshed once, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.trace import notice, trace
from hundredweight.client.damage import ObjectDamaged
from hundredweight.client.downloads import remote_ref
from hundredweight.client.finished_files import settle
from hundredweight.client.transfer_options import drop_packed, transfer_options
from hundredweight.client.worktree import WorktreeWriter
from hundredweight.git import refs
from hundredweight.git.patterns import PathFilter
from hundredweight.git.scan import scan_index, scan_tree
from hundredweight.protocol.batch import DOWNLOAD
from hundredweight.transfer.queue import Item, TransferQueue
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from hundredweight.base.errors import CwtError
    from hundredweight.base.progress import Meter
    from hundredweight.client.workspace import Workspace
    from hundredweight.client.worktree import Write
    from hundredweight.git.scan import PointerFile
    from hundredweight.transfer.queue import Failure, TransferOptions
    from hundredweight.transfer.server import LfsServer


@dataclass(frozen=True)
class PullPlan:
    """`missing` files need their object first; `present` ones can be written at once."""

    missing: Sequence[PointerFile]
    present: Sequence[PointerFile]


@dataclass(frozen=True)
class PullResult:
    """What did not arrive, and what became of each file that was to be written."""

    failures: Sequence[Failure]
    writes: Sequence[Write]


def plan_pull(workspace: Workspace, paths: PathFilter, *, checked_out: bool = True) -> PullPlan:
    """Raises `ScanError`. In a bare repository, or where nothing is `checked_out`, the files of HEAD stand for those of the
    index."""
    missing: list[PointerFile] = []
    present: list[PointerFile] = []
    store = workspace.store
    for file in _files(workspace, paths, from_index=checked_out and not workspace.repository.bare):
        here = store.has(file.pointer.oid, file.pointer.size)
        (present if here else missing).append(file)
    return PullPlan(missing, present)


def writes_files(workspace: Workspace) -> bool:
    """Whether there is a work tree that git would filter. Without the filter git would take content for a change."""
    return not workspace.repository.bare and bool(workspace.config.get("filter.lfs.clean"))


def pull(workspace: Workspace, plan: PullPlan, server: LfsServer, meter: Meter, *, write: bool = True) -> PullResult:
    """Download and (unless `write` is off) write. A file that cannot be had or written does not stop the others; its
    failure is in the result. Killed at any moment it leaves nothing half, and can be run again. An object that was here and
    turns out damaged is downloaded anew."""
    first = _pull(workspace, plan, server, meter, write)
    aside = {one.path: one.error for one in first.writes if isinstance(one.error, ObjectDamaged) and one.error.aside}
    if not aside:
        return first
    for error in aside.values():
        notice(f"{error}; downloading it anew")
    damaged = [file for file in plan.present if file.path in aside]
    again = _pull(workspace, PullPlan(damaged, ()), server, meter, write)
    kept = [one for one in first.writes if one.path not in aside]
    return PullResult([*first.failures, *again.failures], [*kept, *again.writes])


def _pull(workspace: Workspace, plan: PullPlan, server: LfsServer, meter: Meter, write: bool) -> PullResult:
    options = transfer_options(workspace, remote_ref(workspace))
    with _writer(workspace, write) as writer:
        for file in plan.present:
            writer.write(file.path, file.pointer)
        failures = _download(workspace, plan.missing, server, meter, writer, options)
        for remote in _other_remotes(workspace, server) if failures else ():
            failed = {failure.item.path for failure in failures}
            with _server_of(workspace, remote) as other:
                failures = _download(
                    workspace, [f for f in plan.missing if f.path in failed], other, meter, writer, options
                )
            if not failures:
                break
        writes = writer.finish()
    settle(workspace, writes)
    drop_packed(options)
    return PullResult(failures, writes)


def _files(workspace: Workspace, paths: PathFilter, *, from_index: bool) -> Iterable[PointerFile]:
    if from_index:
        chosen = _WithoutSparse(workspace, paths) if workspace.git_config.bool("core.sparsecheckout") else paths
        return scan_index(workspace.git, chosen, tracked_only=True)
    has_commit = workspace.git.ok("rev-parse", "--verify", "--quiet", "HEAD")
    return scan_tree(workspace.git, "HEAD", paths) if has_commit else ()


def _download(
    workspace: Workspace,
    files: Sequence[PointerFile],
    server: LfsServer,
    meter: Meter,
    writer: WorktreeWriter | _NoWriter,
    options: TransferOptions,
) -> list[Failure]:
    if not files:
        return []
    pointers = {file.path: file.pointer for file in files}

    def arrived(item: Item, error: CwtError | None) -> None:
        if error is None:
            writer.write(item.path, pointers[item.path], hashed=True)

    with TransferQueue(server, DOWNLOAD, workspace.store, options, meter, arrived) as queue:
        for file in files:
            trace(f"fetch {file.path} [{file.pointer.oid}]")
            queue.add(Item(file.pointer.oid, file.pointer.size, file.path))
        return queue.wait()


def _other_remotes(workspace: Workspace, server: LfsServer) -> list[str]:
    """Where else to look for what the server did not give, if the user wants that."""
    if not workspace.config.bool("lfs.remote.searchall"):
        return []
    return [name for name in refs.remotes(workspace.git_config) if name != server.remote]


def _server_of(workspace: Workspace, remote: str) -> LfsServer:
    git_dir = workspace.repository.git_dir
    return open_server(workspace.config, workspace.git, workspace.variables, remote, DOWNLOAD, git_dir=git_dir)


class _WithoutSparse(PathFilter):
    """A filter that also refuses what a sparse checkout leaves out: git does not want those files in the work tree."""

    __slots__ = ("_inner", "_left_out")

    def __init__(self, workspace: Workspace, inner: PathFilter) -> None:
        super().__init__()
        self._inner = inner
        listed = workspace.git.fields("ls-files", "-t", "-z", "--full-name", ":/")
        self._left_out = {line[2:] for line in listed if line.startswith("S ")}

    def allows(self, path: str) -> bool:
        return path not in self._left_out and self._inner.allows(path)


class _NoWriter:
    """For a repository without a work tree, or without the filter."""

    def write(self, path: str, pointer: object, *, hashed: bool = False) -> None:
        """The object in the store is all there is to have."""

    def finish(self) -> list[Write]:
        return []

    def __enter__(self) -> _NoWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Nothing runs."""


def _writer(workspace: Workspace, write: bool) -> AbstractContextManager[WorktreeWriter | _NoWriter]:
    return WorktreeWriter(workspace) if write else _NoWriter()
