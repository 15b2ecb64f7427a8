"""`git lfs checkout`: replace pointers in the work tree by the content of local objects."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.progress import open_meter
from hundredweight.client.checkout import candidates, checkout, checkout_side, rooted_pattern
from hundredweight.client.damage import ObjectDamaged

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace

SIDES = ("base", "ours", "theirs")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "git lfs checkout",
        description="Replace pointers in the work tree by the content of local objects. Downloads nothing, and leaves "
        "changed files alone.",
    )
    made.add_argument("--to", default="", metavar="FILE", help="write one side of a merge conflict to FILE")
    for side in SIDES:
        made.add_argument(f"--{side}", action="store_true", help=f"with --to: the conflict's {side} side")
    made.add_argument(
        "patterns", nargs="*", metavar="PATTERN", help="files, folders or patterns; all when none is given"
    )
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    if workspace.repository.bare:
        print("This operation must be run in a work tree.")
        return 0
    sides = [side for side in SIDES if getattr(options, side)]
    if len(sides) > 1:
        raise UsageError("Error parsing args: at most one of --base, --theirs, and --ours is allowed")
    patterns = [rooted_pattern(workspace, environment.cwd, text) for text in options.patterns]
    if bool(options.to) != bool(sides):
        raise UsageError("--to and exactly one of --theirs, --ours, and --base must be used together")
    if sides and len(patterns) != 1:
        raise UsageError("--to requires exactly one Git LFS object file path")
    if not workspace.git_config.get("filter.lfs.clean"):
        print("Cannot checkout LFS objects, Git LFS is not installed.")
        return 0
    if sides:
        checkout_side(workspace, patterns[0], sides[0], os.path.abspath(os.path.join(environment.cwd, options.to)))
        return 0
    return _checkout(workspace, patterns, environment)


def _checkout(workspace: Workspace, patterns: list[str], environment: Environment) -> int:
    meter = open_meter(environment, workspace.config)
    hints: dict[str, None] = {}
    code = 0
    for error in checkout(workspace, candidates(workspace, patterns), meter):
        sys.stderr.write(f"{error}\n")
        hints[error.hint] = None
        if isinstance(error, ObjectDamaged):
            # After any other, git-lfs ends as if all were well.
            code = error.exit_code
    sys.stderr.writelines(f"hint: {hint}\n" for hint in hints if hint)
    return code
