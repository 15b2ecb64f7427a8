"""`git lfs clone`: deprecated; clone a repository, then pull its objects. Use `cwt clone`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import EXIT_USAGE
from hundredweight.cli.cwt.clone import add_arguments, pull_clone
from hundredweight.cli.lfs.transfers import CommandRefused, refuse
from hundredweight.client.clone import CloneFailed, parse_arguments, run_git_clone, set_up
from hundredweight.git.run import Git

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

_DEPRECATED = """WARNING: `git lfs clone` is deprecated and will not be updated
          with new flags from `git clone`

`git clone` has been updated in upstream Git to have comparable
speeds to `git lfs clone`.
"""


def parser() -> argparse.ArgumentParser:
    """For help: `run` leaves all that is git's to git."""
    made = argparse.ArgumentParser(
        "git lfs clone",
        description="Deprecated; use 'cwt clone'. Clone a repository, then pull its objects. All options of 'git clone' work.",
    )
    made.add_argument("--skip-repo", action="store_true", help="install no hooks in the clone")
    add_arguments(made)
    return made


def run(args: list[str], environment: Environment) -> int:
    if "-h" in args or "--help" in args:
        parser().print_help()
        return 0
    sys.stderr.write(_DEPRECATED)
    sys.stderr.flush()
    hooks = "--skip-repo" not in args
    request = parse_arguments([arg for arg in args if arg != "--skip-repo"])
    git = Git()
    try:
        run_git_clone(git, request)
        workspace = set_up(git, request.folder, environment.variables, hooks=hooks, own_filter=False)
        pull_clone(git, workspace, request, environment)
    except CloneFailed as error:
        sys.stderr.write(f"Error(s) during clone:\n{error}\n")
        return EXIT_USAGE
    except CommandRefused as error:
        return refuse(error)
    return 0
