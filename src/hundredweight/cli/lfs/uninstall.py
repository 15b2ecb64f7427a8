"""`git lfs uninstall`: remove the LFS filter from git's configuration, and this clone's hooks."""

from __future__ import annotations

import argparse
import sys

from hundredweight.cli.lfs.install import add_scope_options, chosen_scope, in_repository
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.hook_scripts import HookExists, uninstall_hooks
from hundredweight.client.install import ConfigFailed, uninstall_filter
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("git lfs uninstall", description="Remove the LFS filter and this clone's hooks.")
    add_scope_options(made)
    made.add_argument("what", nargs="?", choices=("hooks",), help="only the hooks")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    if options.what == "hooks":
        return _uninstall_hooks(environment)
    scope = chosen_scope(options, environment)
    if scope is None:
        return 2
    git = Git()
    try:
        uninstall_filter(git, scope)
    except ConfigFailed as error:
        print(f"warning: {error}")
    if not options.skip_repo and (options.local or options.worktree or in_repository(git)):
        _uninstall_hooks(environment)
    if options.system:
        print("System Git LFS configuration has been removed.")
    elif not (options.local or options.worktree):
        print("Global Git LFS configuration has been removed.")
    return 0


def _uninstall_hooks(environment: Environment) -> int:
    try:
        uninstall_hooks(open_clone(environment))
    except HookExists as error:
        sys.stderr.write(f"{error}\n")
    print("Hooks for this repository have been removed.")
    return 0
