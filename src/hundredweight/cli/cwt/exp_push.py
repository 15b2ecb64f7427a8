"""`cwt exp push`: experiments to a remote: their refs, and the objects of their weights."""

from __future__ import annotations

import argparse
import sys

from hundredweight.base.errors import EXIT_REMOTE
from hundredweight.cli.cwt.exp_show import tell
from hundredweight.cli.experiment_view import counted
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.lfs.transfers import report_failures
from hundredweight.cli.progress import TransferMeter
from hundredweight.client.experiments.names import Names, rows_of
from hundredweight.client.experiments.share import plan_push, push
from hundredweight.client.experiments.table import Condition, select
from hundredweight.git import refs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace

DESCRIPTION = (
    "Push experiments: their refs (refs/experiments/ID), which no branch of the remote needs to hold, and first the "
    "LFS objects that their commits name. What the remote has is not sent again."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp push", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument(
        "names",
        metavar="[REMOTE] EXPERIMENT",
        nargs="*",
        help="where to (by default the branch's remote), and which (by default all)",
    )
    made.add_argument(
        "--where", nargs="+", action="extend", default=[], metavar="CONDITION", help="as for 'cwt exp list'"
    )
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    remote, names = split_remote(workspace, options.names, push=True)
    listed = rows_of(workspace).rows
    finder = Names(workspace.git, listed)
    rows = select(finder.rows(names) if names else listed, [Condition.parse(text) for text in options.where])
    tell(finder.notes)
    plan = plan_push(workspace, remote, {row.id: row.commit for row in rows if row.ref})
    failures = push(workspace, plan, TransferMeter(sys.stderr, live=sys.stderr.isatty()))
    if failures:
        report_failures(failures)
        return EXIT_REMOTE
    for identity in plan.ids:
        sys.stdout.write(f"pushed {identity}\n")
    known = f"; it had {plan.known} before" if plan.known else ""
    sys.stdout.write(f"{counted(len(plan.ids), 'experiment')} pushed to '{remote}'{known}\n")
    return 0


def split_remote(workspace: Workspace, names: list[str], *, push: bool = False) -> tuple[str, list[str]]:
    """The remote that is meant, and the names of experiments: the first word is a remote if there is one of that name,
    or a URL."""
    if names and (names[0] in refs.remotes(workspace.config) or "://" in names[0]):
        return names[0], names[1:]
    branch = refs.current_branch(workspace.git)
    choose = refs.default_push_remote if push else refs.default_remote
    return choose(workspace.config, branch), names
