"""`git lfs untrack`: stop sending files of a pattern through LFS."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hundredweight.base.quoting import quote
from hundredweight.cli.arguments import parse_mixed
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.hook_scripts import ensure_hooks
from hundredweight.client.track import untrack

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("git lfs untrack", description="Stop sending files of a pattern through LFS.")
    made.add_argument("patterns", nargs="*", metavar="PATTERN", help="as 'git lfs track' shows it")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parse_mixed(parser(), args)
    workspace = open_clone(environment, work_tree=True)
    ensure_hooks(workspace)
    if not options.patterns:
        print("git lfs untrack <path> [path]*")
        return 0
    for pattern in untrack(workspace, options.patterns):
        print(f"Untracking {quote(pattern)}")
    return 0
