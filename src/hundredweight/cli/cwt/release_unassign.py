"""`cwt release unassign`: take a release out of a stage."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hundredweight.base.clock import SystemClock
from hundredweight.cli.cwt.release_assign import add_shared, finish
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.release_push import bring_tags
from hundredweight.client.releases.assign import unassign

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Take a release out of a stage, by the tag MODEL#STAGE!#N. As in GTO what was in the stage before it is there "
    "again, so this is also the way back from a bad release; --all leaves the stage empty."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt release unassign", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument("name", metavar="RELEASE|MODEL", help="which one; of a model what is in the stage now")
    made.add_argument("stage", metavar="STAGE", help="prod, staging, or any other word")
    made.add_argument("--all", action="store_true", help="end all assignments to the stage, so that nothing is in it")
    add_shared(made)
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    bring_tags(workspace, options.push)
    now = SystemClock().now()
    made = unassign(
        workspace.git,
        options.name,
        options.stage,
        now,
        everything=options.all,
        notes=options.message,
        sign=options.sign,
    )
    return finish(workspace, environment, options, made)
