"""`git lfs pull`: download what is checked out, and put it into the work tree."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hundredweight.base.progress import NullMeter
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.lfs.transfers import CommandRefused, NoCommitYet, checked_remote, refuse, report_failures
from hundredweight.cli.progress import open_meter
from hundredweight.client.damage import ObjectDamaged
from hundredweight.client.pull import plan_pull, pull, writes_files
from hundredweight.client.settings import Settings
from hundredweight.client.worktree import CheckoutFailed
from hundredweight.git import refs
from hundredweight.protocol.batch import DOWNLOAD
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace

_NO_FILTER = (
    "Skipping object checkout, Git LFS is not installed for this repository.\n"
    "Consider installing it with 'git lfs install'."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "git lfs pull", description="Download what is checked out, and put it into the work tree."
    )
    made.add_argument("-I", "--include", metavar="PATTERNS", help="only files that match one of these, comma-separated")
    made.add_argument("-X", "--exclude", metavar="PATTERNS", help="no files that match one of these, comma-separated")
    made.add_argument("remote", nargs="?", default="", metavar="REMOTE", help="a remote's name, or a URL")
    made.add_argument(
        "ignored", nargs="*", help=argparse.SUPPRESS
    )  # git-lfs passes over a ref here, and scripts give one
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    try:
        remote = checked_remote(workspace, options.remote) if options.remote else ""
        if refs.current(workspace.git) is None:
            raise NoCommitYet("pull")
        written = pull_into(workspace, environment, remote, options.include, options.exclude)
    except CommandRefused as error:
        return refuse(error)
    return 0 if written else 1


def pull_into(
    workspace: Workspace,
    environment: Environment,
    remote: str,
    include: str | None,
    exclude: str | None,
    *,
    write: bool = True,
    quiet: bool = False,
) -> bool:
    """The whole of a pull with its messages (`quiet`: without progress); without `write` the work tree stays as it is. Gives
    whether every file could be written. Raises `CommandRefused` when something did not arrive."""
    paths = Settings(workspace.config, workspace.variables).path_filter(include, exclude)
    plan = plan_pull(workspace, paths, checked_out=write)
    filtered = writes_files(workspace)
    git_dir = workspace.repository.git_dir
    meter = NullMeter() if quiet else open_meter(environment, workspace.config)
    with open_server(workspace.config, workspace.git, workspace.variables, remote, DOWNLOAD, git_dir=git_dir) as server:
        result = pull(workspace, plan, server, meter, write=write and filtered)
        url = server.endpoint.url
    for outcome in result.writes:
        if outcome.error is not None:
            refuse(outcome.error)
    report_failures(result.failures)
    if result.failures:
        raise CommandRefused(f"Failed to fetch some objects from '{url}'")
    if not filtered and not workspace.repository.bare:
        print(_NO_FILTER)
    return not any(isinstance(outcome.error, CheckoutFailed | ObjectDamaged) for outcome in result.writes)
