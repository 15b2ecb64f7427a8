"""`cwt exp show`: everything about one experiment: parameters, metrics, data, environment, hardware, weights."""

from __future__ import annotations

import argparse
import sys

from hundredweight.cli.experiment_view import as_json, show_json, show_text
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.pager import Pager
from hundredweight.client.experiments.curves import read_curves, sparkline
from hundredweight.client.experiments.names import find_experiments
from hundredweight.git.objects import ObjectReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Show an experiment by its id (or a part of it), its name (the newest that is called so), a release, a branch or "
    "any commit that records one."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp show", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument("name", metavar="EXPERIMENT", nargs="?", default="HEAD", help="by default the one of HEAD")
    form = made.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the record as JSON, and where it is")
    form.add_argument("--log", action="store_true", help="print what the training wrote, and nothing else")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    (found,), notes = find_experiments(workspace, [options.name])
    tell(notes)
    if options.json:
        sys.stdout.write(as_json(show_json(found)) + "\n")
        return 0
    with Pager(workspace.git) as pager:
        if options.log:
            if found.record.log:
                with ObjectReader(workspace.git) as reader:
                    sys.stdout.flush()
                    reader.copy(f"{found.commit}:{found.record.log}", sys.stdout.buffer.write)
        else:
            lines = [
                f"{curve.name}  {sparkline(curve.values)}  {len(curve.values)} steps"
                for curve in read_curves(workspace.git, found)
            ]
            sys.stdout.write(show_text(found, lines, bold=pager.terminal))
        sys.stdout.flush()
    return 0


def tell(notes: list[str]) -> None:
    """What was chosen where a name is not unique, on stderr."""
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
