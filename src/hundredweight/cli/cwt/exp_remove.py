"""`cwt exp remove`: forget experiments, here and at a remote."""

from __future__ import annotations

import argparse
import sys

from hundredweight.base.errors import UsageError
from hundredweight.cli.cwt.exp_show import tell
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.experiments.names import Names, rows_of
from hundredweight.client.experiments.share import remove_at_remote
from hundredweight.client.experiments.table import Condition, select
from hundredweight.lineage.experiments import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Delete the refs of experiments. What a branch or a tag holds stays, and stays listed; everything else goes with "
    "git's next garbage collection, and until then the printed commit brings it back: 'git update-ref "
    "refs/experiments/ID COMMIT'."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp remove", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument("names", metavar="EXPERIMENT", nargs="*", help="ids, parts of them, or names")
    made.add_argument(
        "--where",
        nargs="+",
        action="extend",
        default=[],
        metavar="CONDITION",
        help="all for which these hold, as for 'cwt exp list'",
    )
    made.add_argument("--remote", default="", metavar="REMOTE", help="delete them at this remote, too")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    if not options.names and not options.where:
        raise UsageError("no experiments named", hint="name them, or say which with --where 'status=failed'")
    workspace = open_clone(environment)
    listed = rows_of(workspace).rows
    conditions = [Condition.parse(text) for text in options.where]
    finder = Names(workspace.git, listed)
    rows = select(finder.rows(options.names) if options.names else listed, conditions)
    tell(finder.notes)
    rows = [row for row in rows if not row.by_hand]
    gone = remove_at_remote(workspace, options.remote, [row.id for row in rows]) if options.remote else []
    remove(workspace.git, [row.id for row in rows])
    left = {row.id for row in rows_of(workspace).rows}
    for row in rows:
        at = f", also at '{options.remote}'" if row.id in gone else ""
        kept = "; a branch still holds its record" if row.id in left else ""
        sys.stdout.write(f"removed {row.id} (was {row.commit}){at}{kept}\n")
    if not rows:
        sys.stdout.write("nothing to remove\n")
    return 0
