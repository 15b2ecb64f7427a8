"""`cwt release list`: all releases, with their stages and metrics."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.release_report import as_json, list_text, stages_by_release
from hundredweight.lineage import releases

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "List the releases, the newest first: those of 'cwt release create', GTO's, and tags that look like versions. "
    "STAGES are those that a release is in now."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt release list", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument("model", nargs="?", default="", metavar="MODEL", help="only those of this model")
    made.add_argument("--stage", default="", metavar="STAGE", help="only what is in this stage now")
    made.add_argument("--all", action="store_true", help="withdrawn ones too")
    made.add_argument("--json", action="store_true", help="print everything as a JSON array, the oldest first")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    registry = releases.read(open_clone(environment).git)
    stages = stages_by_release(registry)
    found = [
        release
        for release in registry.releases
        if (not options.model or release.model == options.model)
        and (not options.stage or options.stage in stages.get(release.name, ()))
        and (options.all or options.json or not release.withdrawn)
    ]
    if options.json:
        told = [as_json(release, stages.get(release.name, ())) for release in found]
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    elif found:
        sys.stdout.write(list_text(found, stages))
    return 0
