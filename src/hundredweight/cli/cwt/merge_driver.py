"""`cwt merge-driver`: what git runs to merge LFS files: weights tensor by tensor, others as binary files."""

from __future__ import annotations

import argparse
import shlex
import sys

from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.merging import report_conflicts, report_kept
from hundredweight.client.merge import Sides, drive
from hundredweight.client.merge_rules import configured_rules
from hundredweight.client.merge_weights import MergeConflict, NotMergeable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Git runs this for files with the attribute merge=lfs, once 'cwt init' has set it up. Of weight files, tensors that one "
    "side changed are taken; what both sides changed is a conflict, unless hundredweight.merge.strategy, "
    "hundredweight.merge.rule or CWT_MERGE_STRATEGY give a strategy (ours, theirs, average, sum). Other LFS files that both "
    "sides changed are a conflict, as binary files are. In a conflict ours is kept, and the exit code is 1."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt merge-driver", description=DESCRIPTION)
    made.add_argument("base", metavar="BASE", help="the common ancestor's content, git's %%O")
    made.add_argument("ours", metavar="OURS", help="our content, and where the result is written, git's %%A")
    made.add_argument("theirs", metavar="THEIRS", help="their content, git's %%B")
    made.add_argument("path", metavar="PATH", help="the path of the merged file, git's %%P")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    rules = configured_rules(workspace.git_config, environment.variables)
    sides = Sides(options.base, options.ours, options.theirs, options.path)
    try:
        merged = drive(workspace, sides, rules, lambda line: print(line, file=sys.stderr))
    except MergeConflict as conflict:
        # Drivers run at the top of the work tree; the user may be below it.
        place = f":/{options.path}" if "/" in options.path else options.path
        report_conflicts(conflict, again=f"checkout --merge -- {shlex.quote(place)}")
        return 1
    except NotMergeable as error:
        sys.stderr.write(f"{error.message}; ours is kept\n")
        return 1
    report_kept(options.path, merged)
    return 0
