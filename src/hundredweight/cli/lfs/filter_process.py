"""`git lfs filter-process`: clean and smudge files for one git command, as git's long-running filter."""

from __future__ import annotations

from hundredweight.cli.lfs.filters import filter_workspace, make_parser, say
from hundredweight.client.filter_process import FilterProcess
from hundredweight.client.filter_stream import FilterStream

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
    if process.malformed:
        count = len(process.malformed)
        what = (
            "files that should have been pointers, but weren't"
            if count > 1
            else ("file that should have been a pointer, but wasn't")
        )
        say(f"Encountered {count} {what}:")
        for path in process.malformed:
            say(f"\t{path}")
    return 0
