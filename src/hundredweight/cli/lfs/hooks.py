"""What the commands behind git's hooks share: opening, checking that git runs them, telling what went wrong."""

from __future__ import annotations

import sys

from hundredweight.client import pointer_files
from hundredweight.client.workspace import open_at_top
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace


def hook_workspace(environment: Environment) -> Workspace:
    """The workspace at whose top git starts the hook."""
    return open_at_top(Git(), environment.variables, environment.cwd)


def not_a_hook(name: str) -> int:
    """Say so to who runs the command by hand."""
    sys.stdout.write(
        f"This should be run through Git's {name} hook.  Run `git lfs update` to install it.\n",
    )
    return 1


def hook_parser(name: str, doc: str | None, *arguments: str) -> ArgumentParser:
    import argparse

    made = argparse.ArgumentParser(f"git lfs {name}", description=(doc or "").partition(": ")[2])
    for argument in arguments:
        made.add_argument(argument, help="as git's hook passes it")
    return made


def tell_failed(name: str, failed: list[str]) -> None:
    for path in failed:
        sys.stderr.write(f"Warning: {name} locked file check failed: cannot change the permissions of '{path}'\n")


def tell_pointers(workspace: Workspace) -> None:
    """One line when files were left as pointers that the user may take for weights."""
    if not pointer_files.may_be_left(workspace):
        return
    number = pointer_files.count(workspace)
    if number:
        files = (
            "1 file holds a pointer instead of its content"
            if number == 1
            else (f"{number} files hold pointers instead of their content")
        )
        sys.stderr.write(f"Git LFS: {files}; run 'git lfs pull' to get it\n")
