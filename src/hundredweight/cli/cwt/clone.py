"""`cwt clone`: clone a repository with its weights, in parallel, at constant memory."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from hundredweight.cli.umask import share
from hundredweight.client.clone import (
    complete,
    keep_filters,
    parse_arguments,
    run_git_clone,
    set_up,
    submodule_folders,
)
from hundredweight.client.init import add_drivers
from hundredweight.client.worktree import CheckoutFailed
from hundredweight.git.run import Git

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.clone import CloneRequest
    from hundredweight.client.workspace import Workspace


def parser() -> argparse.ArgumentParser:
    """For help: `run` leaves all that is git's to git."""
    made = argparse.ArgumentParser(
        "cwt clone",
        description="Clone a repository with its weights, in parallel, at constant memory, whether or not Git LFS is "
        "installed for the user. All options of 'git clone' work, with their meaning. A clone that was interrupted is "
        "completed by the same command.",
    )
    add_arguments(made, include="; kept as the clone's lfs.fetchinclude", exclude="; kept as lfs.fetchexclude")
    return made


def add_arguments(parser: argparse.ArgumentParser, *, include: str = "", exclude: str = "") -> None:
    """The arguments of both clone commands; `include` and `exclude` end the help of those options."""
    for short, name, some, ends in (("-I", "--include", "only", include), ("-X", "--exclude", "no", exclude)):
        said = f"{some} weights whose path matches one of these patterns, comma-separated{ends}"
        parser.add_argument(short, name, metavar="PATTERNS", help=said)
    parser.add_argument("url", metavar="URL", help="the repository")
    parser.add_argument(
        "folder", nargs="?", metavar="DIR", help="where to put the clone, by default named after the URL"
    )


def run(args: list[str], environment: Environment) -> int:
    if "-h" in args or "--help" in args:
        parser().print_help()
        return 0
    request = parse_arguments(args)
    git = Git()
    run_git_clone(git, request, resumable=True, meanwhile=_load)
    workspace = add_drivers(set_up(git, request.folder, environment.variables))
    keep_filters(workspace, request)
    if not pull_clone(git, workspace, request, environment, drivers=True):
        raise CheckoutFailed(
            "some files could not be written", hint=f"mend that, then run 'git lfs checkout' in '{request.folder}'"
        )
    complete(workspace)
    return 0


def _load() -> None:
    """What pulls: a tenth of a second of imports, that the network's part of `git clone` gives for nothing."""
    import hundredweight.cli.lfs.pull  # noqa: F401 - only so that it is there


def pull_clone(
    git: Git, workspace: Workspace, request: CloneRequest, environment: Environment, *, drivers: bool = False
) -> bool:
    """The weights of what is checked out, in submodules too, which get `drivers`; whether all files could be written. Raises
    `CommandRefused` when some could not be had."""
    if not workspace.git.ok("rev-parse", "--verify", "--quiet", "HEAD"):
        return True
    written = _pull(workspace, environment, request, request.include, request.exclude)
    if request.submodules and request.has_files:
        for folder in submodule_folders(workspace):
            inner = set_up(git, folder, environment.variables)
            if drivers:
                inner = add_drivers(inner)
            written &= _pull(inner, environment, request, None, None)
    return written


def _pull(
    workspace: Workspace, environment: Environment, request: CloneRequest, include: str | None, exclude: str | None
) -> bool:
    """By the umask that this repository asks for (core.sharedRepository); a submodule may ask for another."""
    from hundredweight.cli.lfs.pull import pull_into

    share(workspace)
    try:
        return pull_into(workspace, environment, "", include, exclude, write=request.has_files, quiet=request.quiet)
    finally:
        if workspace.user_umask is not None:
            os.umask(workspace.user_umask)
