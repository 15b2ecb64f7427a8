"""`cwt unpack`: make whole files of packed objects again, as stock git-lfs needs them."""

from __future__ import annotations

import argparse
import sys

from hundredweight.base.sizes import format_size
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.packing import objects
from hundredweight.cli.tasks import Tasks
from hundredweight.client.unpack import execute, plan_unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Make whole files of packed objects again, where stock git-lfs looks for them, and take them out of the packs. Each file is "
    "verified and on the disk before its packed form goes. Without arguments every version in history and in the index is "
    "unpacked. Needs room for the whole files."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt unpack", description=DESCRIPTION)
    made.add_argument("paths", nargs="*", metavar="PATH", help="only versions of these paths, as in 'git log -- PATH'")
    made.add_argument("--all", action="store_true", help="also objects that no commit and no index names")
    made.add_argument("-n", "--dry-run", action="store_true", help="tell what would be unpacked")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    plan = plan_unpack(workspace, options.paths, every=options.all)
    count = len(plan.objects)
    if options.dry_run:
        print(f"{objects(count)} would be unpacked ({format_size(plan.size)})")
        return 0
    tasks = Tasks(sys.stderr, live=sys.stderr.isatty())
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        tasks.count(done)

    if count:
        tasks.counted("Unpacking objects", count)
    try:
        outcome = execute(workspace, plan, advance)
    finally:
        tasks.finish()
    if outcome.objects:
        sizes = f"{format_size(outcome.size)} in loose files, {format_size(max(outcome.freed, 0))} less in packs"
        print(f"unpacked {objects(outcome.objects)}: {sizes}")
    elif not outcome.failed:
        print("nothing to unpack")
    sys.stdout.flush()
    for oid, error in outcome.failed:
        sys.stderr.write(f"error: cannot unpack object '{oid[:12]}': {error.message}\n")
    if outcome.failed:
        sys.stderr.write(
            "hint: run 'git lfs fsck', which takes damaged objects out of the packs, then 'git lfs fetch'\n"
        )
    return outcome.failed[0][1].exit_code if outcome.failed else 0
