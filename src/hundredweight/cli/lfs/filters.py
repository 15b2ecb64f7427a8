"""What the filters' commands share: how they open the workspace, quick argv checks, lines on stderr."""

from __future__ import annotations

import os
import stat
import sys

from hundredweight.base.errors import CwtError
from hundredweight.cli.umask import share
from hundredweight.client.hook_scripts import ensure_hooks
from hundredweight.client.repository_format import ensure
from hundredweight.client.workspace import open_at_top
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable

    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace


class NoInput(CwtError):
    """A command that git runs was started at a terminal."""


def filter_workspace(environment: Environment, purpose: str) -> Workspace:
    """The workspace for a filter whose input comes from git. Raises `NoInput` at a terminal, naming the `purpose`."""
    try:
        terminal = stat.S_ISCHR(os.fstat(0).st_mode)
    except OSError as error:
        raise NoInput(f"Cannot read from STDIN: {purpose} ({error.strerror})") from error
    if terminal:
        raise NoInput(f"Cannot read from STDIN: {purpose}")
    workspace = open_at_top(Git(), environment.variables, environment.cwd)
    share(workspace)
    ensure(workspace)
    ensure_hooks(workspace)
    return workspace


def path_argument(args: list[str], parser: Callable[[], ArgumentParser]) -> str:
    """The one optional path. What git itself passes, `-- PATH`, is understood without argparse."""
    if not args:
        return ""
    if len(args) == 2 and args[0] == "--":
        return args[1]
    path: str = parser().parse_args(args).path
    return path


def make_parser(name: str, doc: str | None) -> ArgumentParser:
    import argparse

    return argparse.ArgumentParser(f"git lfs {name}", description=(doc or "").partition(": ")[2])


def say(line: str) -> None:
    """One line for the user. git shows a filter's stderr as it comes."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
