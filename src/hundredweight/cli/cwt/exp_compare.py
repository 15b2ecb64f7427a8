"""`cwt exp compare`: what is behind experiments side by side, differences first."""

from __future__ import annotations

import argparse
import sys

from hundredweight.cli.cwt.exp_show import tell
from hundredweight.cli.experiment_view import as_json, compare_json, compare_markdown, compare_text
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.pager import Pager
from hundredweight.client.experiments.compare import compare_experiments
from hundredweight.client.experiments.names import find_experiments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Compare parameters, metrics, data, hardware, environment and weights of experiments, differences first. Of "
    "weights it also tells how many tensors changed since the first experiment, where their hashes are known (from a "
    "recipe, an earlier diff, or because the object is here and small); 'cwt diff' tells how. EXPERIMENT is an id, a "
    "part of one, a name, a release, a branch or a commit."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp compare", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument(
        "names", metavar="EXPERIMENT", nargs="+", help="what to compare; one alone is compared with that of HEAD"
    )
    made.add_argument("--all", action="store_true", help="list what is the same, too")
    form = made.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    form.add_argument("--md", action="store_true", help="print Markdown, for a merge request")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    names = options.names if len(options.names) > 1 else ["HEAD", *options.names]
    found, notes = find_experiments(workspace, names)
    tell(notes)
    compared = compare_experiments(found, workspace)
    if options.json:
        sys.stdout.write(as_json(compare_json(compared)) + "\n")
    elif options.md:
        sys.stdout.write(compare_markdown(compared))
    else:
        with Pager(workspace.git) as pager:
            sys.stdout.write(compare_text(compared, everything=options.all, bold=pager.terminal))
            sys.stdout.flush()
    return 0
