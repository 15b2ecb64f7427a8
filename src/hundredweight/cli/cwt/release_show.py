"""`cwt release show`: what is behind one release."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.pager import Pager
from hundredweight.cli.release_report import as_json, show_text, stages_by_release
from hundredweight.client.releases.assign import find_release
from hundredweight.client.releases.facts import facts_of_release
from hundredweight.lineage import releases

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

NAME_HELP = "a tag, MODEL@latest, MODEL#STAGE, or a version or stage that only one model has"
DESCRIPTION = (
    "Show a release: who made it when and why, metrics, parameters, weights, data and environment. Of a tag without "
    "our block (GTO's, a plain one) that is what its commit says, where that is about the same model."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt release show", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument("name", metavar="RELEASE", help=NAME_HELP)
    made.add_argument("--json", action="store_true", help="print it as JSON")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    registry = releases.read(workspace.git)
    release = find_release(registry, options.name)
    release = replace(release, facts=facts_of_release(workspace, release))
    stages = stages_by_release(registry).get(release.name, [])
    if options.json:
        sys.stdout.write(json.dumps(as_json(release, stages), indent=1) + "\n")
        return 0
    with Pager(workspace.git):
        sys.stdout.write(show_text(release, stages))
        sys.stdout.flush()
    return 0
