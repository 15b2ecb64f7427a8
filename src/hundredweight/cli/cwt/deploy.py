"""`cwt deploy`: put a release into a folder, switch to it, and go back when it is not healthy."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hundredweight.cli import deploying
from hundredweight.client.deploy import source
from hundredweight.client.deploy.deploy import deploy

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Put a release into a folder, switch to it, and go back when it is not healthy. Only what the release needs is fetched, "
    "of weights what differs from the versions before; every byte is verified; then DIR/current, a symbolic link, is switched in "
    "one step, the service is started anew, and its health is awaited. When that fails, the version before is current again and "
    "its service runs (exit code 5; 6 when that one is not healthy either). Options left out are as in the deployment before; "
    "an empty value clears one."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt deploy", description=DESCRIPTION)
    made.add_argument(
        "what",
        metavar="SOURCE@REF",
        help="a repository (URL or folder, '.' or nothing for this one) and a release, branch or commit of it: URL@model@v1.2.0; "
        "or what is in a stage: URL#prod, URL#model#prod",
    )
    add = made.add_argument
    add("--include", metavar="GLOB", action="append", help="only files that match; may be given several times")
    add("--exclude", metavar="GLOB", action="append", help="no files that match; may be given several times")
    deploying.add_arguments(made, "default: as before")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    changes = deploying.changes(options)
    wanted = source.parse(options.what, environment.cwd)
    stage = deploying.stage(options, environment)
    deploying.heed_signals()
    deploying.tell(deploy(stage, wanted, changes), options, stage.target)
    return 0
