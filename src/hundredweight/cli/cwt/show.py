"""`cwt show`: commits, with the tensors that they changed, at constant memory."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hundredweight.cli.git_view import view

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Run 'git show' so that weights are shown as tables of the tensors that changed. Git keeps its options and their meaning; "
    "the content of LFS files is never loaded by git, so memory stays constant. With --no-ext-diff a weight file is shown in "
    "lines, one a tensor with its hash."
)


def parser() -> argparse.ArgumentParser:
    """For help: `run` leaves everything to git."""
    made = argparse.ArgumentParser("cwt show", description=DESCRIPTION)
    made.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="any option or argument of 'git show'")
    return made


def run(args: list[str], environment: Environment) -> int:
    del environment
    if args in (["-h"], ["--help"]):
        parser().print_help()
        return 0
    return view("show", args)
