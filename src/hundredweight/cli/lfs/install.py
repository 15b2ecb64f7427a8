"""`git lfs install`: set up the LFS filter in git's configuration, and the hooks of this clone."""

from __future__ import annotations

import argparse
import os
import sys

from hundredweight.cli.lfs import update
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.install import ConfigFailed, FilterConflict, Scope, install_filter, plan_filter
from hundredweight.git.repository import NotARepository, discover
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

_ONE_SCOPE = "Only one of the --local, --system, --worktree, and --file options can be specified."


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("git lfs install", description="Set up the LFS filter and this clone's hooks.")
    made.add_argument("-f", "--force", action="store_true", help="overwrite other values and hooks")
    add_scope_options(made)
    made.add_argument("-s", "--skip-smudge", action="store_true", help="do not download objects on clone or pull")
    made.add_argument("-m", "--manual", action="store_true", help="tell how to merge the hooks by hand")
    made.add_argument("what", nargs="?", choices=("hooks",), help="only the hooks")
    return made


def add_scope_options(made: argparse.ArgumentParser) -> None:
    """The options that `uninstall` shares."""
    made.add_argument("-l", "--local", action="store_true", help="this repository's configuration")
    made.add_argument("-w", "--worktree", action="store_true", help="this work tree's configuration")
    made.add_argument("--system", action="store_true", help="the system's configuration")
    made.add_argument("--file", metavar="FILE", default="", help="that configuration file")
    made.add_argument("--skip-repo", action="store_true", help="leave this repository's hooks alone")


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    if options.what == "hooks":
        return update.update(environment, force=options.force, manual=options.manual)
    scope = chosen_scope(options, environment)
    if scope is None:
        return 2
    git = Git()
    try:
        plan = plan_filter(git, scope, skip_smudge=options.skip_smudge, force=options.force)
        install_filter(git, scope, plan)
    except (FilterConflict, ConfigFailed) as error:
        print(f"warning: {error}")
        print("Run `git lfs install --force` to reset Git configuration.")
        return 2
    if not options.skip_repo and (options.local or options.worktree or in_repository(git)):
        code = update.update(environment, force=options.force, manual=options.manual)
        if code:
            return code
    print("Git LFS initialized.")
    return 0


def chosen_scope(options: argparse.Namespace, environment: Environment) -> Scope | None:
    """The configuration file that the options name; None after saying why they cannot be. Raises `NotARepository` where
    one is needed."""
    if options.local or options.worktree:
        open_clone(environment)
    if sum((options.local, options.worktree, options.system, bool(options.file))) > 1:
        sys.stderr.write(_ONE_SCOPE + "\n")
        return None
    if options.system and os.geteuid() != 0:
        print("warning: current user is not root/admin, system install is likely to fail.")
    if options.file:
        return Scope(("--file", options.file))
    for name in ("local", "worktree", "system"):
        if getattr(options, name):
            return Scope((f"--{name}",))
    return Scope()


def in_repository(git: Git) -> bool:
    try:
        discover(git)
    except NotARepository:
        return False
    return True
