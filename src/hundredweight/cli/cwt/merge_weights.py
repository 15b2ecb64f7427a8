"""`cwt merge-weights`: merge two versions of a weight file by their common ancestor, tensor by tensor."""

from __future__ import annotations

import argparse
import sys

from hundredweight.cli.merging import report_conflicts, report_kept
from hundredweight.client.merge import merge_files
from hundredweight.client.merge_rules import CONFLICT, STRATEGIES, parse_rules
from hundredweight.client.merge_weights import MergeConflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Merge two versions of a weight file that come from a common ancestor. Tensors that one side changed, added, removed or "
    "renamed are taken; for tensors that both changed differently a strategy decides, else they are named, nothing is written, "
    "and the exit code is 1. The result has the format of the inputs; it is read again before it gets its name."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt merge-weights", description=DESCRIPTION)
    made.add_argument("base", metavar="BASE", help="the common ancestor")
    made.add_argument("ours", metavar="OURS", help="one version; its order and structure are kept where they can be")
    made.add_argument("theirs", metavar="THEIRS", help="the other version")
    made.add_argument("-o", "--output", metavar="OUT", required=True, help="where to write the result")
    made.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default=CONFLICT,
        help="for tensors that both sides changed: one side's, the average of both, or the base and both changes (sum)",
    )
    made.add_argument(
        "--rule",
        metavar="PATTERN=STRATEGY",
        action="append",
        default=[],
        help="a strategy for tensors by name, such as 'lm_head.*=theirs'; may be repeated, the last that matches counts",
    )
    return made


def run(args: list[str], environment: Environment) -> int:
    del environment
    options = parser().parse_args(args)
    rules = parse_rules(options.strategy, options.rule, "on the command line")
    try:
        merged = merge_files(options.base, options.ours, options.theirs, options.output, rules)
    except MergeConflict as conflict:
        report_conflicts(conflict)
        sys.stderr.write("hint: nothing was written; give --strategy, or --rule for some of the tensors\n")
        return 1
    report_kept(options.output, merged)
    count = f"{merged.changed} tensor{'' if merged.changed == 1 else 's'} other than in '{options.ours}'"
    print(f"wrote '{options.output}': {count}" + (f", {merged.computed} of them computed" if merged.computed else ""))
    return 0
