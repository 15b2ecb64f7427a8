"""`cwt restore`: bring the weights of a release back as a new commit."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.progress import TransferMeter
from hundredweight.client.restore import plan_restore, restore
from hundredweight.git.run import Git

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Bring the weights of a release back as a new commit: the files become those of the release, their objects are fetched, and "
    "the history before is kept. Nothing is done while the files have local changes, or while something is staged."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="cwt restore", usage="cwt restore [-m MESSAGE] RELEASE [-- PATH ...]", description=DESCRIPTION
    )
    made.add_argument("release", metavar="RELEASE", help="a release, a tag, a stage (model#prod) or any commit")
    made.add_argument(
        "paths", nargs="*", metavar="PATH", help="files, folders or pathspecs, by default all LFS files of the release"
    )
    made.add_argument("-m", "--message", metavar="TEXT", default="", help="the commit's message")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment, work_tree=True)
    plan = plan_restore(workspace, Git(), options.release, options.paths)
    if not plan.paths:
        print(f"nothing to do: the files are as in {options.release}")
        return 0
    commit = restore(workspace, plan, TransferMeter(sys.stderr, live=sys.stderr.isatty()), options.message)
    for path in plan.paths:
        print(f"restored {path}")
    print(f"committed as {commit[:12]}")
    return 0
