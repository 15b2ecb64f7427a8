"""`git lfs locks`: list locks."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.locking import BadLockPath, Locking, lock_path, reason
from hundredweight.client.locks import LockFilter, own_locks, remote_locks, verifiable_locks

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.protocol.locks import Lock


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("git lfs locks", description="List the locks of the LFS server.")
    made.add_argument("-r", "--remote", default="", help="the remote whose server keeps the locks")
    made.add_argument("-p", "--path", default="", help="only the lock on this file")
    made.add_argument("-i", "--id", default="", help="only the lock of this id")
    made.add_argument("-l", "--limit", type=int, default=0, metavar="N", help="at most N locks")
    made.add_argument("--local", action="store_true", help="your own locks as remembered here; asks nobody")
    made.add_argument("--cached", action="store_true", help="what the server answered the last time")
    made.add_argument("--verify", action="store_true", help="mark your own locks with O, as the server knows them")
    made.add_argument("-j", "--json", action="store_true", help="print JSON")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    try:
        path = lock_path(workspace, environment.cwd, options.path) if options.path else ""
    except BadLockPath as error:
        return _stop(f"Error building filters: {error}")
    wanted = LockFilter(path, options.id, max(0, options.limit))
    if conflict := _conflict(options, wanted):
        return _stop(conflict)
    with Locking(workspace, options.remote) as locking:
        try:
            if options.verify:
                ours, theirs = _verifiable(locking, options)
                _print(ours, theirs, options, verified=True)
            else:
                _print(_plain(locking, options, wanted), [], options, verified=False)
        except CwtError as error:
            return _stop(f"Error while retrieving locks: {reason(error)}", error.hint)
    return 0


def _conflict(options: argparse.Namespace, wanted: LockFilter) -> str:
    narrowed = bool(wanted.path or wanted.id)
    if options.cached and wanted.limit:
        return "--cached option can't be combined with --limit"
    for name in ("cached", "verify"):
        if getattr(options, name):
            if narrowed:
                return f"--{name} option can't be combined with filters"
            if options.local:
                return f"--{name} option can't be combined with --local"
    return ""


def _verifiable(locking: Locking, options: argparse.Namespace) -> tuple[list[Lock], list[Lock]]:
    if options.cached:
        return locking.cache.kept_verifiable(locking.ref)
    return verifiable_locks(locking, max(0, options.limit))


def _plain(locking: Locking, options: argparse.Namespace, wanted: LockFilter) -> list[Lock]:
    if options.local:
        return own_locks(locking, wanted)
    return locking.cache.kept_list(locking.ref) if options.cached else remote_locks(locking, wanted)


def _print(ours: list[Lock], theirs: list[Lock], options: argparse.Namespace, *, verified: bool) -> None:
    """`ours` are simply all locks unless `verified`."""
    if options.json:
        fields: object = [lock.fields() for lock in ours]
        if verified:
            fields = {"ours": fields, "theirs": [lock.fields() for lock in theirs]}
        print(json.dumps(fields, separators=(",", ":"), ensure_ascii=False))
        return
    marked = [(lock, "O ") for lock in ours] + [(lock, "  ") for lock in theirs]
    path_width = max((len(lock.path) for lock, _ in marked), default=0)
    owner_width = max((len(lock.owner) for lock, _ in marked), default=0)
    for lock, mark in sorted(marked, key=lambda item: item[0].path):
        kind = mark if verified else ""
        print(f"{kind}{lock.path:<{path_width}}\t{lock.owner:<{owner_width}}\tID:{lock.id}")


def _stop(message: str, hint: str = "") -> int:
    sys.stderr.write(f"{message}\n" + (f"hint: {hint}\n" if hint else ""))
    return 2
