"""`git lfs pre-push`: upload what a push needs, before git sends its commits. Run by the hook of that name.

Git starts this on every push, also when everything is up to date: what transfers is loaded only when a ref moves.
"""

from __future__ import annotations

import sys

from hundredweight.base.trace import trace
from hundredweight.git.config import parse_bool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace


def parser() -> ArgumentParser:
    import argparse

    made = argparse.ArgumentParser(
        "git lfs pre-push",
        description="Upload what a push needs, before git sends its commits. Run by the hook of that name.",
    )
    made.add_argument("-d", "--dry-run", action="store_true", help="print what would be pushed")
    made.add_argument("remote", nargs="?", default="", metavar="REMOTE", help="the remote's name, or its URL")
    made.add_argument("url", nargs="?", default="", metavar="URL", help="where git pushes to")
    return made


def run(args: list[str], environment: Environment) -> int:
    dry_run, remote = False, args[0] if args else ""
    if remote.startswith("-") or len(args) > 2:
        options = parser().parse_args(args)
        dry_run, remote = options.dry_run, options.remote
    if not remote:
        print("This should be run through Git's pre-push hook.  Run `git lfs update` to install it.")
        return 1
    if parse_bool(environment.get("GIT_LFS_SKIP_PUSH"), False):
        return 0
    lines = [line.strip() for line in sys.stdin if line.strip()]
    moved = [fields for fields in map(_split, lines) if fields[1].strip("0")]
    return _push(environment, remote, moved, dry_run=dry_run) if moved else 0


def _split(line: str) -> list[str]:
    """Local ref and object, remote ref and object; missing ones are empty."""
    trace(f"pre-push: {line}")
    return (line.split(" ") + [""] * 4)[:4]


def _push(environment: Environment, remote: str, moved: list[list[str]], *, dry_run: bool) -> int:
    from hundredweight.cli.lfs.opening import open_clone
    from hundredweight.cli.lfs.push import push_updates
    from hundredweight.cli.lfs.transfers import CommandRefused, checked_remote, refuse
    from hundredweight.client.push import Update
    from hundredweight.git.scan import ScanError

    workspace = open_clone(environment)
    updates = [Update(local, commit, target, replaced) for local, commit, target, replaced in moved]
    try:
        remote = checked_remote(workspace, _name_of(workspace, remote))
        return push_updates(workspace, environment, remote, updates, dry_run=dry_run)
    except (CommandRefused, ScanError) as error:
        return refuse(error)


def _name_of(workspace: Workspace, remote: str) -> str:
    """The remote's name where git was given its URL."""
    config = workspace.config
    for name in config.subsections("remote", "url"):
        urls = config.all(f"remote.{name}.pushurl") or config.all(f"remote.{name}.url")
        if urls == [remote]:
            return name
    return remote
