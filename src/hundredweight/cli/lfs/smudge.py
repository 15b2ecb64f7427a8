"""`git lfs smudge`: turn the pointer on stdin into its content on stdout, for git's smudge filter."""

from __future__ import annotations

from hundredweight.cli.lfs.filters import filter_workspace, make_parser, path_argument, say
from hundredweight.client.smudge import Smudger, smudge_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment

SKIP = ("--skip", "-s")


def parser() -> ArgumentParser:
    made = make_parser("smudge", __doc__)
    made.add_argument(*SKIP, action="store_true", help="write the pointer, not the content")
    made.add_argument("path", nargs="?", default="", help="the file's path, for the include and exclude patterns")
    return made


def run(args: list[str], environment: Environment) -> int:
    skip = bool(args) and args[0] in SKIP
    path = path_argument(args[1:] if skip else args, parser)
    workspace = filter_workspace(environment, "This command should be run by the Git 'smudge' filter")
    smudger = Smudger(workspace, skip=skip)
    if smudge_stream(workspace, smudger, path, 0, 1, say):
        say(f'Unable to parse pointer at: "{path or "<unknown file>"}"')
    return 0
