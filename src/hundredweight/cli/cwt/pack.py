"""`cwt pack`: keep the versions of weights in this clone as deltas."""

from __future__ import annotations

import argparse
import sys

from hundredweight.base.errors import EXIT_DAMAGED
from hundredweight.base.sizes import format_size
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.tasks import Tasks
from hundredweight.cli.weights import printable
from hundredweight.client.pack import PackOutcome, PackPlan, execute, plan_pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.base.ids import Oid
    from hundredweight.cli.env import Environment
    from hundredweight.store.packing import PackedItem

DESCRIPTION = (
    "Keep the versions of weights in this clone as deltas: loose LFS objects of at least 64 KiB become packs, each version as "
    "what differs from the ones before it. Every object can be read as before, by all our commands; 'cwt unpack' makes whole "
    "files again, which stock git-lfs needs. Without arguments every version in history and in the index is packed."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt pack", description=DESCRIPTION)
    made.add_argument("paths", nargs="*", metavar="PATH", help="only versions of these paths, as in 'git log -- PATH'")
    made.add_argument("--all", action="store_true", help="also objects that no commit and no index names")
    made.add_argument("-n", "--dry-run", action="store_true", help="tell what would be packed")
    made.add_argument("-v", "--verbose", action="store_true", help="list the objects")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    plan = plan_pack(workspace, options.paths, every=options.all)
    if options.dry_run:
        for item in plan.items if options.verbose else ():
            print(_line(plan, item.oid))
        print(f"{_objects(len(plan.items))} would be packed ({format_size(plan.size)})")
        return 0
    tasks = Tasks(sys.stderr, live=sys.stderr.isatty())
    meter = PackMeter(tasks, plan, verbose=options.verbose)
    try:
        outcome = execute(workspace, plan, meter.advance)
    finally:
        tasks.finish()
    print(summary(outcome))
    for damaged in outcome.damaged:
        sys.stdout.flush()
        sys.stderr.write(f"error: {damaged.message}\nhint: {damaged.hint}\n")
    return EXIT_DAMAGED if outcome.damaged else 0


class PackMeter:
    """Tells how far packing is."""

    def __init__(self, tasks: Tasks, plan: PackPlan, *, verbose: bool) -> None:
        self._tasks = tasks
        self._plan = plan
        self._verbose = verbose
        self._done = 0
        if plan.items:
            tasks.counted("Packing objects", len(plan.items))

    def advance(self, item: PackedItem) -> None:
        self._done += 1
        if self._verbose:
            result = item.result
            became = "left as it is" if result is None else f"{format_size(result.stored + result.recipe)}"
            self._tasks.entry(f"{_line(self._plan, item.oid)}: {became}")
        self._tasks.count(self._done)


def summary(outcome: PackOutcome) -> str:
    """What packing did, in a line."""
    if outcome.packed:
        percent = 100 * outcome.stored / outcome.raw
        sizes = f"{format_size(outcome.raw)} became {format_size(outcome.stored)} ({percent:.1f} %)"
        parts = [f"packed {_objects(outcome.packed)}: {sizes}"]
    else:
        parts = ["nothing to pack" if not outcome.again else f"removed {outcome.again} loose copies of packed objects"]
    if outcome.left:
        parts.append(f"{_objects(len(outcome.left))} left as they are, since packing would gain nothing")
    if outcome.merged:
        parts.append(f"made one of {outcome.merged} packs")
    return "; ".join(parts)


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _line(plan: PackPlan, oid: Oid) -> str:
    return f" * {oid[:12]} {printable(plan.paths[oid]) or '(no commit)'} ({format_size(plan.sizes[oid])})"
