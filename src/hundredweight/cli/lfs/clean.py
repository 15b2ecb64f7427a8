"""`git lfs clean`: turn the content on stdin into a pointer on stdout, for git's clean filter."""

from __future__ import annotations

from hundredweight.cli.lfs.filters import filter_workspace, make_parser, quick_arguments
from hundredweight.client.clean import Cleaner
from hundredweight.client.filter_stream import RawStream, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment


def parser() -> ArgumentParser:
    made = make_parser("clean", __doc__)
    made.add_argument("path", nargs="?", default="", help="the file's path, for progress and extensions")
    return made


def run(args: list[str], environment: Environment) -> int:
    quick = quick_arguments(args)
    path = parser().parse_args(args).path if quick is None or quick[0] else quick[1]
    workspace = filter_workspace(environment, "This command should be run by the Git 'clean' filter")
    output, _ = Cleaner(workspace).clean(RawStream(0), path)
    write_all(1, output)
    return 0
