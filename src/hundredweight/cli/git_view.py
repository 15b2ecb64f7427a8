"""Running a git command that shows history, with our drivers in place, as if the user had run it."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys

from hundredweight.client.history_view import view_arguments, viewer
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen


def view_parser(command: str, description: str) -> argparse.ArgumentParser:
    """For help: `run_view` leaves everything to git."""
    made = argparse.ArgumentParser(f"cwt {command}", description=description)
    made.add_argument("arguments", nargs="*", metavar="ARGUMENT", help=f"any option or argument of 'git {command}'")
    return made


def run_view(command: str, parser: argparse.ArgumentParser, args: list[str]) -> int:
    """`git COMMAND ARGS...` with our drivers in place; git's exit code."""
    if args in (["-h"], ["--help"]):
        parser.print_help()
        return 0
    return wait(viewer(Git(), own_program()).popen(*view_arguments(command, args)))


def wait(process: Popen[bytes]) -> int:
    """Wait for a git that may have a pager: Ctrl-C is for those two."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with process:
            code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


def own_program() -> str:
    """This program, as a shell starts it: git may have another PATH."""
    program = os.path.abspath(sys.argv[0])
    return shlex.quote(program) if os.path.basename(program) == "cwt" and os.access(program, os.X_OK) else "cwt"
