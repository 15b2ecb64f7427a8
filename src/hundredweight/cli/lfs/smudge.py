"""`git lfs smudge`: turn the pointer on stdin into its content on stdout, for git's smudge filter."""

from __future__ import annotations

from hundredweight.cli.lfs.filters import MALFORMED_HINT, filter_workspace, make_parser, quick_arguments, say
from hundredweight.client.smudge import Smudger, smudge_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment


def parser() -> ArgumentParser:
    made = make_parser("smudge", __doc__)
    made.add_argument("-s", "--skip", action="store_true", help="write the pointer, not the content")
    made.add_argument("path", nargs="?", default="", help="the file's path, for the include and exclude patterns")
    return made


def run(args: list[str], environment: Environment) -> int:
    quick = quick_arguments(args)
    if quick is None:
        options = parser().parse_args(args)
        quick = options.skip, options.path
    skip, path = quick
    workspace = filter_workspace(environment, "This command should be run by the Git 'smudge' filter")
    smudger = Smudger(workspace, skip=skip)
    if smudge_stream(workspace, smudger, path, 0, 1, say):
        say(f'Unable to parse pointer at: "{path or "<unknown file>"}"')
        say(MALFORMED_HINT)
    return 0
