"""`git lfs prune`: delete local objects that are pushed and no longer at hand. Nothing is deleted that something here needs.

Plan, then execute. Kept are the objects of: HEAD and the HEADs of all work trees, recent refs and recent commits of them
(each plus `lfs.pruneoffsetdays`), everything not pushed to the prune remote, all indexes, all stashes (those of a rebase
or merge under way too). Paths of `lfs.fetchexclude` count for HEADs and recent commits only. The reflog does not count.
"""

from __future__ import annotations

import time

from hundredweight.base.trace import trace
from hundredweight.client.settings import DAY, Settings
from hundredweight.git import refs
from hundredweight.git.patterns import PathFilter
from hundredweight.git.scan import (
    EMPTY_TREES,
    diff_index,
    index_entries,
    read_pointers,
    scan_all,
    scan_previous,
    scan_stashed,
    scan_trees,
    scan_unpushed,
    small_blobs,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hundredweight.base.ids import Oid
    from hundredweight.client.pack import PackOutcome, PackPlan
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.refs import Worktree
    from hundredweight.git.scan import PointerFile
    from hundredweight.store.packing import PackedItem
    from hundredweight.transfer.server import LfsServer

_BATCH = 100


class PruneOptions:
    """`recent`: prune even recent objects; `force`: everything that is pushed, the checked-out files' objects too.
    `verify`: ask the remote for each object before; `verify_unreachable`: also for objects that no commit names."""

    __slots__ = ("force", "recent", "verify", "verify_unreachable")

    def __init__(
        self, *, recent: bool = False, force: bool = False, verify: bool = False, verify_unreachable: bool = False
    ) -> None:
        self.recent = recent
        self.force = force
        self.verify = verify
        self.verify_unreachable = verify_unreachable


class PrunePlan:
    """`prunable` are (id, size) in order of id. `missing` are those that had to be verified and are not on the remote: they
    are not in `prunable`. `local`, `retained` and `verified` are numbers of objects."""

    __slots__ = ("local", "missing", "prunable", "retained", "verified")

    def __init__(self) -> None:
        self.local = 0
        self.retained = 0
        self.verified = 0
        self.prunable: list[tuple[Oid, int]] = []
        self.missing: list[Oid] = []

    @property
    def size(self) -> int:
        return sum(size for _, size in self.prunable)


def plan_prune(
    workspace: Workspace,
    options: PruneOptions,
    server: Callable[[], LfsServer],
    progress: Callable[[PrunePlan], None],
    now: float | None = None,
) -> PrunePlan:
    """Decide; deletes nothing. `server` opens the prune remote's server, and is called only to verify. `progress` hears of
    the plan as it grows. Raises `ScanError`, `GitError`, and `BatchFailed` when the server cannot be asked."""
    plan = PrunePlan()
    local = list(workspace.store.ids())
    plan.local = len(local)
    progress(plan)
    kept = _retained(workspace, options, time.time() if now is None else now)
    candidates = [(oid, size) for oid, size in local if oid not in kept]
    plan.retained = plan.local - len(candidates)
    progress(plan)
    if options.verify and candidates:
        with server() as opened:
            _verify(workspace, options, plan, candidates, opened, progress)
    else:
        plan.prunable = candidates
    return plan


def execute(workspace: Workspace, plan: PrunePlan, advance: Callable[[int], None]) -> list[tuple[Oid, OSError]]:
    """Delete what the plan names, loose and packed; `advance` hears how many are gone. Gives those that could not be deleted.

    Raises `PacksBusy`, `WriteError`."""
    failed: list[tuple[Oid, OSError]] = []
    for done, (oid, _) in enumerate(plan.prunable, 1):
        try:
            workspace.store.remove(oid)
        except OSError as error:
            failed.append((oid, error))
        advance(done - len(failed))
    workspace.store.remove_packed([oid for oid, _ in plan.prunable])
    return failed


def pack_rest(workspace: Workspace, watch: Callable[[PackPlan], Callable[[PackedItem], None]]) -> PackOutcome | None:
    """Where the clone is to use packs, pack what stayed loose; else None. `watch` is given the plan, and gives who hears of each
    object. Raises as `client.pack` does."""
    if not Settings(workspace.config, workspace.variables).packs:
        return None
    from hundredweight.client import pack  # noqa: PLC0415 - numpy, only for who uses packs

    plan = pack.plan_pack(workspace, every=True)
    return pack.execute(workspace, plan, watch(plan))


def _retained(workspace: Workspace, options: PruneOptions, now: float) -> set[Oid]:
    kept: set[Oid] = set()
    for reason, files in _needed(workspace, options, now):
        for file in files:
            if file.pointer.oid not in kept:
                trace(f"RETAIN: {file.pointer.oid} {reason}")
                kept.add(file.pointer.oid)
    return kept


def _needed(workspace: Workspace, options: PruneOptions, now: float) -> Iterator[tuple[str, Iterable[PointerFile]]]:
    git = workspace.git
    settings = Settings(workspace.config, workspace.variables)
    paths = PathFilter(exclude=settings.fetch_exclude)
    trees = refs.worktrees(git)
    heads = [tree.commit for tree in trees if tree.commit]
    current = refs.current(git)
    if current is not None:
        heads.append(current.commit)
    recent = [] if options.recent or options.force else _recent_refs(workspace, settings, now)
    commits = list(dict.fromkeys(([] if options.force else heads) + recent))
    yield "via a HEAD or a recent ref", scan_trees(git, commits, paths)
    days = settings.fetch_recent_commits_days
    if days > 0 and not options.recent and not options.force:
        for commit in commits:
            since = refs.commit_time(git, commit) - (days + settings.prune_offset_days) * DAY
            yield f"via {commit} since {since:.0f}", scan_previous(git, commit, since, paths)
    yield "unpushed", scan_unpushed(git, settings.prune_remote)
    for tree in trees:
        if not tree.prunable:
            yield f"index of {tree.folder}", _staged(workspace, tree)
    yield "stashed", scan_stashed(git, [*refs.stashes(git), *_autostashes(workspace, trees)])


def _recent_refs(workspace: Workspace, settings: Settings, now: float) -> list[str]:
    days = settings.fetch_recent_refs_days
    if days <= 0:
        return []
    since = now - (days + settings.prune_offset_days) * DAY
    found = refs.recent_refs(workspace.git, since, remote_branches=settings.fetch_recent_remote_refs)
    return [ref.commit for ref in found]


def _staged(workspace: Workspace, tree: Worktree) -> Iterator[PointerFile]:
    """What a work tree's index has beyond its HEAD: the only place where that may be."""
    git = workspace.git.at(tree.folder)
    base = tree.commit or EMPTY_TREES[workspace.repository.object_format]
    changed = [(c.new_blob, c.path) for c in diff_index(git, base, cached=True) if c.new_blob.strip("0")]
    changed += [(entry.blob, entry.path) for entry in index_entries(git, unmerged=True)]
    yield from read_pointers(git, small_blobs(git, changed))


def _autostashes(workspace: Workspace, trees: Iterable[Worktree]) -> list[str]:
    found = refs.autostashes(workspace.git)
    for tree in trees:
        if not tree.prunable:
            found += refs.autostashes(workspace.git.at(tree.folder))
    return list(dict.fromkeys(found))


def _verify(
    workspace: Workspace,
    options: PruneOptions,
    plan: PrunePlan,
    candidates: list[tuple[Oid, int]],
    server: LfsServer,
    progress: Callable[[PrunePlan], None],
) -> None:
    from hundredweight.protocol.batch import Wanted  # noqa: PLC0415 - dataclasses, 7 ms, for who verifies

    reachable = None if options.verify_unreachable else {file.pointer.oid for file in scan_all(workspace.git)}
    for start in range(0, len(candidates), _BATCH):
        chunk = candidates[start : start + _BATCH]
        answer = server.batch("download", [Wanted(oid, size) for oid, size in chunk])
        present = {item.oid for item in answer.objects if item.error is None and "download" in item.actions}
        for oid, size in chunk:
            if oid in present:
                trace(f"VERIFIED: {oid}")
                plan.verified += 1
                plan.prunable.append((oid, size))
            elif reachable is None or oid in reachable:
                trace(f"UNVERIFIED: {oid}")
                plan.missing.append(oid)
            else:
                trace(f"UNREACHABLE: {oid}")
                plan.prunable.append((oid, size))
        progress(plan)
