"""`cwt exp pull`: experiments of a remote, and on demand their weights."""

from __future__ import annotations

import argparse
import sys

from hundredweight.base.errors import EXIT_REMOTE
from hundredweight.cli.cwt.exp_push import split_remote
from hundredweight.cli.cwt.exp_show import tell
from hundredweight.cli.experiment_view import counted
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.lfs.transfers import report_failures
from hundredweight.cli.progress import TransferMeter
from hundredweight.client.experiments.names import Names, rows_of
from hundredweight.client.experiments.share import at_remote, pull, pull_weights
from hundredweight.lineage.listing import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Fetch experiments from a remote, kept as refs/remote-experiments/REMOTE/ID, where your own with the same id come "
    "first. Records and curves come with them; weights only with --weights, or when 'cwt exp apply' needs them."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp pull", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument(
        "names", metavar="[REMOTE] EXPERIMENT", nargs="*",
        help="where from (by default the branch's remote), and which: ids, parts of them, or names of those that are here "
        "(by default all)",
    )  # fmt: skip
    made.add_argument(
        "--weights", action="store_true", help="also download the weights of these; without names of those that are new"
    )
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    remote, names = split_remote(workspace, options.names)
    ids: list[str] = []
    if names:
        there = at_remote(workspace.git, remote)
        finder = Names(workspace.git, rows_of(workspace).rows)
        ids = [_matching(name, there) or finder.row(name).id for name in names]
        tell(finder.notes)
        new = (
            pull(workspace.git, remote, [identity for identity in ids if identity in there])
            if set(ids) & set(there)
            else []
        )
    else:
        new = pull(workspace.git, remote)
    for identity in new:
        sys.stdout.write(f"new {identity}\n")
    sys.stdout.write(f"{counted(len(new), 'new experiment')} from '{remote}'\n")
    if options.weights:
        found = whole(workspace.git, Names(workspace.git, rows_of(workspace).rows).rows(ids or new))
        meter = TransferMeter(sys.stderr, live=sys.stderr.isatty())
        count, failures = pull_weights(workspace, remote, found, meter)
        sys.stdout.write(f"{counted(count, 'object')} downloaded\n")
        if failures:
            sys.stdout.flush()
            report_failures(failures)
            return EXIT_REMOTE
    return 0


def _matching(name: str, there: dict[str, str]) -> str:
    """The remote's experiment of that id or with that unique part; empty where it is not told by its id."""
    if name in there:
        return name
    parts = [
        identity for identity in there if len(name) >= 4 and (identity.startswith(name) or identity.endswith(name))
    ]
    return parts[0] if len(parts) == 1 else ""
