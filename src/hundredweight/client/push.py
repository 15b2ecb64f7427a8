"""`git lfs push` and the pre-push hook: objects of commits that the remote lacks, before git sends the commits.

A push is planned (which pointers, which of their objects, what locks say), then executed ref by ref: servers may decide by
ref. What is known of the remote's branches bounds the search; a branch that is gone there does not count, since its
objects may be gone as well.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import EXIT_USAGE, CwtError
from hundredweight.base.ids import InvalidId, Oid
from hundredweight.client.transfer_options import drop_packed, transfer_options
from hundredweight.git import refs
from hundredweight.git.scan import range_blobs, scan_range
from hundredweight.protocol.batch import UPLOAD
from hundredweight.transfer.queue import Item, TransferQueue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hundredweight.base.progress import Meter
    from hundredweight.client.lock_check import LockCheck
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.scan import PointerFile
    from hundredweight.transfer.queue import Failure
    from hundredweight.transfer.server import LfsServer


class BadObject(CwtError):
    """An object named on the command line is not in the local store."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True)
class Update:
    """One ref to push: `name` for people, the `commit` that it names here, `target` its full name there, and the commit
    that is there now (`replaced`), if known."""

    name: str
    commit: str
    target: str
    replaced: str = ""


@dataclass(frozen=True)
class Upload:
    """The objects of one ref, `target` its full name on the server. `files` are all pointers that the push brings,
    `items` those objects of them that may have to be sent."""

    target: str
    files: Sequence[PointerFile]
    items: Sequence[Item]


class RemoteBranches:
    """What the remote has, as far as can be known cheaply: its tracking branches here, without those that the remote itself
    does not list any more. The question to the remote runs in the background from the start."""

    def __init__(self, workspace: Workspace, remote: str) -> None:
        self._remote = remote
        self._tracked = refs.tracked_refs(workspace.git, remote) if remote in refs.remotes(workspace.config) else []
        self._asking = None
        if self._tracked:
            options = {"stdin": -3, "stdout": -1, "stderr": -3}
            self._asking = workspace.git.popen("ls-remote", "--heads", "-q", remote, **options)

    def excluded(self) -> tuple[list[str], tuple[str, ...]]:
        """Commits to exclude, and options of `git rev-list`. Waits for the remote's answer."""
        trusted: tuple[list[str], tuple[str, ...]] = [], ("--ignore-missing", "--not", f"--remotes={self._remote}")
        if self._asking is None:
            return trusted
        out, _ = self._asking.communicate()
        if self._asking.returncode:
            # The push itself will say what is wrong with the remote.
            return trusted
        listed = {os.fsdecode(line.split(b"\t", 1)[1]) for line in out.splitlines() if b"\t" in line}
        prefix = f"{self._remote}/"
        still = [ref.commit for ref in self._tracked if refs.HEADS + ref.name.removeprefix(prefix) in listed]
        return still, ("--ignore-missing",)


def plan_push(
    workspace: Workspace,
    updates: Sequence[Update],
    locks: LockCheck,
    branches: RemoteBranches,
    *,
    everything: bool = False,
    allow_missing: bool = False,
) -> Iterator[Upload]:
    """One upload a ref, made when it is asked for. `everything` looks at all history, not only at what the remote lacks.
    An object that is not here stops the push unless the server has it, or `allow_missing`."""
    seen: set[Oid] = set()
    known, options = ([], ()) if everything else branches.excluded()
    replaced = [update.replaced for update in updates if update.commit != update.replaced]
    for update in updates:
        exclude = [] if everything else [*replaced, *known]
        files = list(_pointers(workspace, update, exclude, options, locks))
        items = []
        for file in files:
            oid, size = file.pointer.oid, file.pointer.size
            if size == 0 or oid in seen:
                continue
            if locks.may_push(file.path):
                seen.add(oid)
                items.append(make_item(workspace, file.path, oid, size, allow_missing=allow_missing))
        yield Upload(update.target, files, items)


def make_item(workspace: Workspace, path: str, oid: Oid, size: int, *, allow_missing: bool = False) -> Item:
    store = workspace.store
    here = store.has(oid, size) or store.size(oid) >= 0
    return Item(oid, size, path, missing=not here and not allow_missing)


def items_by_id(workspace: Workspace, names: Iterable[str]) -> list[Item]:
    """Objects named outright. Raises `BadObject` for one that is not in the local store."""
    items = []
    for name in names:
        try:
            oid = Oid.parse(name)
        except InvalidId as error:
            kind = "too short" if len(name) < 64 else "invalid"
            raise BadObject(f'Unable to find local media path: {kind} object ID: "{name}"') from error
        size = workspace.store.size(oid)
        path = workspace.store.path(oid)
        if size < 0:
            raise BadObject(f"Unable to stat local media path: {path}: no such file or directory")
        items.append(Item(oid, size, path))
    return items


def send(workspace: Workspace, server: LfsServer, target: str, items: Iterable[Item], meter: Meter) -> list[Failure]:
    """Upload, for the ref `target`; gives what did not get there."""
    options = transfer_options(workspace, target)
    packed = []
    with TransferQueue(server, UPLOAD, workspace.store, options, meter) as queue:
        # From the newest commit on; but a version is sent as a delta against those before it.
        for item in items if options.nearby is None else reversed([*items]):
            if workspace.store.loose_size(item.oid) < 0:
                packed.append(item.oid)
            queue.add(item)
        failures = queue.wait()
    drop_packed(options)
    # Where the server took whole files, they were made for it.
    for oid in packed:
        workspace.store.drop_loose(oid)
    return failures


def _pointers(
    workspace: Workspace, update: Update, exclude: list[str], options: tuple[str, ...], locks: LockCheck
) -> Iterator[PointerFile]:
    """Each pointer that the update brings. Where others hold locks, files outside LFS are looked at, too."""
    yield from scan_range(workspace.git, [update.commit], exclude, options=options)
    if locks.any_theirs:
        for _, path in range_blobs(workspace.git, [update.commit], exclude, options=options):
            locks.may_push(path)
