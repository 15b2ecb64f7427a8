"""`git lfs lock`: tell everyone that you edit a file."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.lock import lock
from hundredweight.client.locking import Locking, lock_path

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("git lfs lock", description="Lock files on the LFS server.")
    made.add_argument("-r", "--remote", default="", help="the remote whose server keeps the lock")
    made.add_argument("-j", "--json", action="store_true", help="print the locks as JSON")
    made.add_argument("paths", nargs="*", metavar="PATH", help="a file to lock")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    made = []
    failed = False
    with Locking(workspace, options.remote) as locking:
        for path in options.paths:
            try:
                made.append(lock(locking, lock_path(workspace, environment.cwd, path)))
            except CwtError as error:
                say(error)
                failed = True
                continue
            if not options.json:
                print(f"Locked {made[-1].path}")
    if options.json:
        print(json.dumps([one.fields() for one in made], separators=(",", ":"), ensure_ascii=False))
    return 2 if failed else 0


def say(error: CwtError) -> None:
    """One of several failures, in git-lfs's own words, and what mends it."""
    sys.stderr.write(f"{error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
