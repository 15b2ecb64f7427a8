"""`git lfs fsck`: check objects against their names, and files against being pointers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hundredweight.base.errors import EXIT_FAILURE
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.fsck import Finding, check_objects, check_packs, check_pointers, parse_scope, quarantine
from hundredweight.client.hook_scripts import ensure_hooks

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "git lfs fsck",
        description="Check that objects are what their names say, and that files which should be pointers are. "
        "Corrupt objects are moved to lfs/bad. Exits with 1 when something is wrong.",
    )
    made.add_argument("-d", "--dry-run", action="store_true", help="only tell, move nothing")
    made.add_argument("--objects", action="store_true", help="check objects (default: both)")
    made.add_argument("--pointers", action="store_true", help="check pointers (default: both)")
    made.add_argument(
        "revision", nargs="?", default="", help="a commit, or a range A..B; by default HEAD and the index"
    )
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    ensure_hooks(workspace)
    scope = parse_scope(workspace, options.revision)
    both = options.objects == options.pointers
    damaged: list[Finding] = []
    good = True
    if options.objects or both:
        for finding in check_objects(workspace, scope):
            print(f"objects: {finding.kind}: {finding.message}")
            damaged.append(finding)
        for finding in check_packs(workspace):
            print(f"packs: {finding.kind}: {finding.message}")
            damaged.append(finding)
    if options.pointers or both:
        for finding in check_pointers(workspace, scope):
            print(f"pointer: {finding.kind}: {finding.message}")
            good = False
    if good and not damaged:
        print("Git LFS fsck OK")
        return 0
    if damaged and not options.dry_run:
        print(f"objects: repair: moving corrupt objects to {workspace.store.bad}")
        quarantine(workspace.store, damaged)
    return EXIT_FAILURE
