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


def quick_arguments(args: list[str]) -> tuple[bool, str] | None:
    """Whether to skip, and the path, of the forms that git itself uses: `[--skip] [-- PATH]`. None for any other, which
    takes argparse."""
    skip = args[:1] == ["--skip"]
    rest = args[1:] if skip else args
    if not rest:
        return skip, ""
    return (skip, rest[1]) if len(rest) == 2 and rest[0] == "--" else None


def make_parser(name: str, doc: str | None) -> ArgumentParser:
    import argparse

    return argparse.ArgumentParser(f"git lfs {name}", description=(doc or "").partition(": ")[2])


MALFORMED_HINT = (
    "hint: it stands in git itself, though .gitattributes gives it to LFS; 'git add --renormalize PATH' and a commit "
    "make it a pointer"
)


def say(line: str) -> None:
    """One line for the user. git shows a filter's stderr as it comes."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
