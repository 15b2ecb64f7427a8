"""`cwt release assign`: put a release into a stage, such as prod."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from hundredweight.base.clock import SystemClock
from hundredweight.cli.cwt.release_show import NAME_HELP
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.release_push import add_option, bring_tags, push
from hundredweight.client.releases.assign import assign

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.releases.assign import Assigned
    from hundredweight.client.workspace import Workspace

DESCRIPTION = (
    "Put a release into a stage, by the tag MODEL#STAGE#N on its commit, as GTO does: who did it when stays in the "
    "repository. What was in the stage is below it, and there again when this one is unassigned."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt release assign", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument("name", metavar="RELEASE", help=NAME_HELP)
    made.add_argument("stage", metavar="STAGE", help="prod, staging, or any other word")
    add_shared(made)
    return made


def add_shared(made: argparse.ArgumentParser) -> None:
    """What `assign` and `unassign` both have."""
    made.add_argument("-m", "--message", default="", metavar="TEXT", help="why, for the tag's message")
    made.add_argument("--sign", action="store_true", help="sign the tag whatever the configuration says")
    made.add_argument("--json", action="store_true", help="print what became of the stage as JSON")
    add_option(made)


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    bring_tags(workspace, options.push)
    made = assign(
        workspace.git, options.name, options.stage, SystemClock().now(), notes=options.message, sign=options.sign
    )
    return finish(workspace, environment, options, made)


def finish(workspace: Workspace, environment: Environment, options: argparse.Namespace, made: Assigned) -> int:
    """Tell, and push where that was asked for."""
    where = f"{made.model}#{made.stage}"
    if options.json:
        told = asdict(made)
        del told["shared"]
        sys.stdout.write(json.dumps({**told, "tags": list(made.tags)}) + "\n")
    elif not made.tags:
        sys.stdout.write(f"{where} is {made.now} already\n")
    else:
        before = f", before {made.before}" if made.before else ""
        sys.stdout.write(f"{where} is {made.now or 'empty'} now{before} ({', '.join(made.tags)})\n")
    if options.push is not None and made.shared:
        push(workspace, environment, options.push, made.shared)
    return 0
