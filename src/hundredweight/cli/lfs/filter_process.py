"""`git lfs filter-process`: clean and smudge files for one git command, as git's long-running filter."""

from __future__ import annotations

import time

from hundredweight.cli.lfs.filters import MALFORMED_HINT, filter_workspace, make_parser, say
from hundredweight.client.filter_process import FilterProcess
from hundredweight.client.filter_stream import FilterStream
from hundredweight.client.sweep import sweep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment


def parser() -> ArgumentParser:
    made = make_parser("filter-process", __doc__)
    made.add_argument("-s", "--skip", action="store_true", help="leave pointers in the work tree")
    return made


def run(args: list[str], environment: Environment) -> int:
    skip = bool(args) and (args == ["--skip"] or bool(parser().parse_args(args).skip))
    workspace = filter_workspace(environment, "This command should be run by the Git filter process")
    process = FilterProcess(workspace, FilterStream(0, 1), skip=skip, say=say)
    process.run()
    _tell_malformed(process.malformed)
    # Who works with plain git alone may start no other command that does it.
    sweep(workspace.store, time.time())
    return 0


def _tell_malformed(paths: list[str]) -> None:
    if len(paths) == 1:
        say("Encountered 1 file that should have been a pointer, but wasn't:")
    elif paths:
        say(f"Encountered {len(paths)} files that should have been pointers, but weren't:")
    for path in paths:
        say(f"\t{path}")
    if paths:
        say(MALFORMED_HINT)
