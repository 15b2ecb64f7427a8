"""`cwt textconv`: a weight file as text, one line a tensor with its hash, for git's diff driver."""

from __future__ import annotations

import argparse
import sys

from hundredweight.cli.weights import clone_here, printable
from hundredweight.client.summary import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Print a weight file as text: its format, its metadata, and a line for each tensor with name, type, shape and the first 16 "
    "digits of the BLAKE3 of its bytes. A Git LFS pointer is followed to its object. Of any other file id and size are printed. "
    "Git runs it as 'diff.lfs.textconv', so that 'git show' and 'git log -p' show which tensors changed."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("cwt textconv", description=DESCRIPTION)
    made.add_argument("file", metavar="FILE", help="a file of the work tree, or a temporary one that git made")
    return made


def run(args: list[str], environment: Environment) -> int:
    if len(args) != 1 or args[0] in ("-h", "--help"):
        parser().parse_args(args)
    try:
        for line in describe(args[0], clone_here(environment)):
            sys.stdout.write(line + "\n")
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - git gives up the whole diff when a driver fails: any fault is told in its place
        sys.stdout.write(f"unreadable: {printable(str(error) or repr(error))}\n")
    return 0
