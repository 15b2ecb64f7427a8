"""`cwt exp apply`: the files of an experiment into the work tree: its parameters, weights and record."""

from __future__ import annotations

import argparse
import sys

from hundredweight.base.errors import EXIT_REMOTE
from hundredweight.cli.cwt.exp_show import tell
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.lfs.transfers import report_failures
from hundredweight.cli.progress import TransferMeter
from hundredweight.cli.weights import printable
from hundredweight.client.experiments.apply import apply, plan_apply
from hundredweight.client.experiments.names import find_experiments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Write the files that an experiment changed into the work tree, as changes that you can commit: parameters, "
    "weights (downloaded where they are not here) and its record, so that the commit is known as this experiment's. "
    "HEAD and the index stay as they are. Files with changes of your own are not overwritten."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp apply", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument(
        "name", metavar="EXPERIMENT", help="an id, a part of one, a name, a release, a branch or a commit"
    )
    made.add_argument("-f", "--force", action="store_true", help="overwrite changes that are not committed")
    made.add_argument("-n", "--dry-run", action="store_true", help="only tell which files would be written")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment, work_tree=True)
    (found,), notes = find_experiments(workspace, [options.name])
    tell(notes)
    plan = plan_apply(workspace, found, force=options.force)
    tell(list(plan.notes))
    if not options.dry_run:
        failures = apply(workspace, plan, TransferMeter(sys.stderr, live=sys.stderr.isatty()))
        if failures:
            report_failures(failures)
            return EXIT_REMOTE
    for path in plan.written:
        sys.stdout.write(f"{'would write' if options.dry_run else 'wrote'} {printable(path)}\n")
    for path in plan.deleted:
        sys.stdout.write(f"{'would delete' if options.dry_run else 'deleted'} {printable(path)}\n")
    return 0
