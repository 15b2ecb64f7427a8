"""`cwt exp branch`: a branch at the commit of an experiment."""

from __future__ import annotations

import argparse
import sys

from hundredweight.cli.cwt.exp_show import tell
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.experiments.apply import make_branch
from hundredweight.client.experiments.names import find_experiments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Make a branch at the commit of an experiment, to go on from it or to merge it. The work tree stays as it is; "
    "'git switch NAME' goes there."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp branch", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument(
        "name", metavar="EXPERIMENT", help="an id, a part of one, a name, a release, a branch or a commit"
    )
    made.add_argument("branch", metavar="NAME", help="the branch to make")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    (found,), notes = find_experiments(workspace, [options.name])
    tell(notes)
    make_branch(workspace.git, found, options.branch)
    sys.stdout.write(f"branch '{options.branch}' is at experiment {found.record.id} ({found.commit[:12]})\n")
    return 0
