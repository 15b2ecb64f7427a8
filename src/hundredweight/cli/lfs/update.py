"""`git lfs update`: put this clone's hooks in place, and rename settings of older versions."""

from __future__ import annotations

import argparse
import sys

from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.hook_scripts import HookExists, install_hooks, manual_steps
from hundredweight.client.install import plan_access, update_access

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

_CHOICE = """To resolve this, either:
  1: run `git lfs update --manual` for instructions on how to merge hooks.
  2: run `git lfs update --force` to overwrite your hook."""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("git lfs update", description="Put this clone's hooks in place.")
    made.add_argument("-f", "--force", action="store_true", help="overwrite other hooks")
    made.add_argument("-m", "--manual", action="store_true", help="tell how to merge the hooks by hand")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    return update(environment, force=options.force, manual=options.manual)


def update(environment: Environment, *, force: bool, manual: bool) -> int:
    """The command without its argv; `install` does the same."""
    workspace = open_clone(environment)
    plan = plan_access(workspace.config)
    update_access(workspace, plan)
    for url, value in plan.to_basic:
        print(f"Updated {url} access from {value} to basic.")
    for url, value in plan.to_remove:
        print(f"Removed invalid {url} access of {value}.")
    if force and manual:
        sys.stderr.write("You cannot use --force and --manual options together\n")
        return 2
    if manual:
        print(manual_steps(workspace))
        return 0
    try:
        install_hooks(workspace, force=force)
    except HookExists as error:
        sys.stderr.write(f"{error}\n{_CHOICE}\n")
        return 2
    print("Updated Git hooks.")
    return 0
