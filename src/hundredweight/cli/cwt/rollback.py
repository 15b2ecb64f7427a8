"""`cwt rollback`: let the version before serve again, or a named one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hundredweight.cli import deploying
from hundredweight.client.deploy.deploy import rollback

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Let the version before serve again: the newest healthy one that is older than the current one; or NAME, any that was "
    "deployed there. A version that is kept is switched to at once, without network; another is fetched again. The service is "
    "started and its health awaited as by 'cwt deploy', with the options of that version's deployment."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt rollback", description=DESCRIPTION)
    made.add_argument(
        "name", metavar="NAME", nargs="?", default="", help="a release, or the number, folder or commit of a deployment"
    )
    deploying.add_arguments(made, "default: as that version was deployed")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    changes = deploying.changes(options)
    stage = deploying.stage(options, environment)
    deploying.heed_signals()
    deploying.tell(rollback(stage, options.name, changes), options, stage.target)
    return 0
