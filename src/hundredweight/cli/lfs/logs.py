"""`git lfs logs`: show or clear the logs of unexpected failures."""

from __future__ import annotations

import argparse
import sys

from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.logs import clear_logs, log_names, logs_folder, read_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment


class SampleFailure(Exception):
    """What `boomtown` fails with: nobody expects it."""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("git lfs logs", description="Show or clear the logs of unexpected failures.")
    made.add_argument("what", nargs="?", default="", metavar="last|show|clear|boomtown", help="nothing lists the logs")
    made.add_argument("name", nargs="?", default="", metavar="LOG", help="which one to show")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    names = log_names(workspace)
    if options.what == "":
        for name in names:
            print(name)
    elif options.what == "clear":
        clear_logs(workspace)
        print(f"Cleared {logs_folder(workspace)}")
    elif options.what == "boomtown":
        raise SampleFailure("Sample panic message")
    elif options.what == "last" and not names:
        print("No logs to show")
    elif options.what == "show" and not options.name:
        print("Supply a log name.")
    else:
        chosen = names[-1] if options.what == "last" else options.name or options.what
        sys.stdout.flush()
        sys.stdout.buffer.write(read_log(workspace, chosen))
    return 0
