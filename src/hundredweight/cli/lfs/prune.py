"""`git lfs prune`: delete local objects that are pushed and no longer at hand."""

from __future__ import annotations

import sys

from hundredweight.base.sizes import format_size
from hundredweight.cli.arguments import make_parser, parse
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.tasks import Tasks
from hundredweight.client.prune import PruneOptions, PrunePlan, execute, pack_rest, plan_prune
from hundredweight.client.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace
    from hundredweight.transfer.server import LfsServer


_DEFAULTS = {
    **dict.fromkeys(("dry_run", "force", "recent", "verify_remote", "no_verify_remote", "verify_unreachable"), False),
    **dict.fromkeys(("no_verify_unreachable", "verbose"), False),
    "when_unverified": "halt",
}


def parser() -> ArgumentParser:
    made = make_parser("git lfs prune", "Delete local objects that are pushed and not at hand.")
    made.add_argument("-d", "--dry-run", action="store_true", help="tell what would be deleted")
    made.add_argument(
        "-f", "--force", action="store_true", help="everything that is pushed, checked-out files' objects too"
    )
    made.add_argument("--recent", action="store_true", help="recent objects too")
    made.add_argument("-c", "--verify-remote", action="store_true", help="only what the remote says it has")
    made.add_argument("--no-verify-remote", action="store_true", help="overrides lfs.pruneverifyremotealways")
    made.add_argument("--verify-unreachable", action="store_true", help="verify objects that no commit names, too")
    made.add_argument("--no-verify-unreachable", action="store_true", help="overrides lfs.pruneverifyunreachablealways")
    made.add_argument("--when-unverified", metavar="WHAT", default="halt", help="halt (default) or continue")
    made.add_argument("-v", "--verbose", action="store_true", help="list the objects")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parse(args, parser, _DEFAULTS)
    if options.verify_remote and options.no_verify_remote:
        return _stop("Cannot specify both --verify-remote and --no-verify-remote")
    if options.when_unverified not in ("halt", "continue"):
        return _stop(f"Invalid value for --when-unverified: {options.when_unverified}")
    workspace = open_clone(environment)
    settings = Settings(workspace.config, workspace.variables)
    tasks = Tasks(sys.stdout, live=settings.force_progress or sys.stdout.isatty())
    chosen = PruneOptions(
        recent=options.recent or options.force,
        force=options.force,
        verify=not options.no_verify_remote and (options.verify_remote or settings.prune_verify_remote_always),
        verify_unreachable=not options.no_verify_unreachable
        and (options.verify_unreachable or settings.prune_verify_unreachable_always),
    )
    plan = plan_prune(
        workspace, chosen, lambda: _server(workspace, settings), lambda so_far: tasks.line(_count(so_far))
    )
    tasks.line(_count(plan))
    tasks.finish()
    if plan.missing and options.when_unverified == "halt":
        listed = "".join(f" * {oid}\n" for oid in plan.missing)
        return _stop(f"These objects to be pruned are missing on remote:\n{listed}")
    if plan.prunable:
        _list(plan, dry_run=options.dry_run, verbose=options.verbose)
    if options.dry_run:
        return 0
    code = _delete(workspace, plan, tasks) if plan.prunable else 0
    _sweep(workspace)
    return _pack(workspace, tasks, verbose=options.verbose) or code


def _delete(workspace: Workspace, plan: PrunePlan, tasks: Tasks) -> int:
    tasks.counted("Deleting objects", len(plan.prunable))
    failed = execute(workspace, plan, tasks.count)
    tasks.finish()
    for oid, error in failed:
        sys.stderr.write(f"Failed to remove file {workspace.store.path(oid)}: {error.strerror}\n")
    return _stop("Prune failed, see errors above") if failed else 0


def _sweep(workspace: Workspace) -> None:
    from hundredweight.base.clock import SystemClock
    from hundredweight.client.caches import sweep_caches

    sweep_caches(workspace, SystemClock().now())


def _pack(workspace: Workspace, tasks: Tasks, *, verbose: bool) -> int:
    from hundredweight.cli.packing import PackMeter, tell

    try:
        outcome = pack_rest(workspace, lambda plan: PackMeter(tasks, plan, verbose=verbose).advance)
    finally:
        tasks.finish()
    return 0 if outcome is None else tell(outcome)


def _list(plan: PrunePlan, *, dry_run: bool, verbose: bool) -> None:
    if dry_run:
        noun = "file" if len(plan.prunable) == 1 else "files"
        print(f"{len(plan.prunable)} {noun} would be pruned ({format_size(plan.size)})")
    if verbose:
        for oid, size in plan.prunable:
            print(f" * {oid} ({format_size(size)})")
    sys.stdout.flush()


def _count(plan: PrunePlan) -> str:
    noun = "object" if plan.local == 1 else "objects"
    words = [f"{plan.local} local {noun}", f"{plan.retained} retained"]
    if plan.verified:
        words.append(f"{plan.verified} verified with remote")
    if plan.missing:
        words.append(f"{len(plan.missing)} not on remote")
    return ", ".join(words)


def _server(workspace: Workspace, settings: Settings) -> LfsServer:
    from hundredweight.transfer.server import open_server  # 30 ms, for who verifies

    git_dir = workspace.repository.git_dir
    return open_server(workspace.config, workspace.git, workspace.variables, settings.prune_remote, git_dir=git_dir)


def _stop(text: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(text + "\n")
    return 2
