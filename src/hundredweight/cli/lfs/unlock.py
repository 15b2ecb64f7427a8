"""`git lfs unlock`: give a lock back."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.cli.lfs.lock import say
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.locking import BadLockPath, Locking, lock_path
from hundredweight.client.unlock import unlock_id, unlock_path

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace

_ONE_WAY = "Exactly one of --id or a set of paths must be provided"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("git lfs unlock", description="Remove locks from the LFS server.")
    made.add_argument("-r", "--remote", default="", help="the remote whose server keeps the lock")
    made.add_argument("-f", "--force", action="store_true", help="break another user's lock, or one on a changed file")
    made.add_argument("-i", "--id", default="", help="the lock's id, instead of paths")
    made.add_argument("-j", "--json", action="store_true", help="print the outcome as JSON")
    made.add_argument("paths", nargs="*", metavar="PATH", help="a locked file")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    if bool(options.paths) == bool(options.id):
        print(_ONE_WAY, file=sys.stderr)
        return 2
    workspace = open_clone(environment)
    outcomes: list[dict[str, object]] = []
    with Locking(workspace, options.remote) as locking:
        if options.id:
            outcomes.append(_unlock_id(locking, options))
        outcomes += [_unlock_path(locking, workspace, environment.cwd, path, options) for path in options.paths]
    if options.json:
        print(json.dumps(outcomes, separators=(",", ":"), ensure_ascii=False))
    return 0 if all(outcome["unlocked"] for outcome in outcomes) else 2


def _unlock_id(locking: Locking, options: argparse.Namespace) -> dict[str, object]:
    try:
        unlock_id(locking, options.id, force=options.force, warn=_warn)
    except CwtError as error:
        say(error)
        return {"id": options.id, "unlocked": False, "reason": error.message}
    if not options.json:
        print(f"Unlocked Lock {options.id}")
    return {"id": options.id, "unlocked": True}


def _unlock_path(
    locking: Locking, workspace: Workspace, folder: str, text: str, options: argparse.Namespace
) -> dict[str, object]:
    path = text
    try:
        path = _path(workspace, folder, text, options.force)
        unlock_path(locking, path, force=options.force, warn=_warn)
    except CwtError as error:
        say(error)
        return {"path": path, "unlocked": False, "reason": error.message}
    if not options.json:
        print(f"Unlocked {path}")
    return {"path": path, "unlocked": True}


def _path(workspace: Workspace, folder: str, text: str, force: bool) -> str:
    """With `--force` also a path that cannot be: the lock on it must be removable."""
    try:
        return lock_path(workspace, folder, text)
    except BadLockPath as error:
        if force:
            return text
        raise BadLockPath(f"Unable to determine path: {error}", hint=error.hint) from error


def _warn(text: str) -> None:
    sys.stderr.write(text + "\n")
