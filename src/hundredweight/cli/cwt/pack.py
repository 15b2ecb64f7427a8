"""`cwt pack`: keep the versions of weights in this clone as deltas."""

from __future__ import annotations

import argparse
import sys

from hundredweight.base.clock import SystemClock
from hundredweight.base.sizes import format_size
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.packing import PackMeter, line, objects, tell
from hundredweight.cli.tasks import Tasks
from hundredweight.client.caches import sweep_caches
from hundredweight.client.pack import execute, plan_pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

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
            print(line(plan, item.oid))
        print(f"{objects(len(plan.items))} would be packed ({format_size(plan.size)})")
        return 0
    tasks = Tasks(sys.stderr, live=sys.stderr.isatty())
    meter = PackMeter(tasks, plan, verbose=options.verbose)
    try:
        outcome = execute(workspace, plan, meter.advance)
    finally:
        tasks.finish()
    sweep_caches(workspace, SystemClock().now())
    return tell(outcome)
