"""`git lfs env`: show everything that decides what LFS does in this place."""

from __future__ import annotations

import os
import sys

from hundredweight.base.clock import SystemClock
from hundredweight.cli.arguments import make_parser, parse
from hundredweight.cli.main import version_line
from hundredweight.client.env import Surroundings
from hundredweight.client.sweep import sweep
from hundredweight.client.workspace import open_workspace
from hundredweight.git.config import Config, load
from hundredweight.git.repository import NotARepository
from hundredweight.git.run import Git, GitError, GitMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment


def parser() -> ArgumentParser:
    return make_parser("git lfs env", "Show what decides what LFS does in this place.")


def run(args: list[str], environment: Environment) -> int:
    parse(args, parser, {})
    git = Git()
    around = surroundings(git, environment)
    for kind, alias in around.ambiguous_aliases():
        sys.stderr.write(f"warning: Multiple 'url.*{kind}' keys with the same alias: \"{alias}\"\n")
    for line in report(git, around):
        print(line)
    return 0


def surroundings(git: Git, environment: Environment) -> Surroundings:
    """What is around the current folder, a clone or none."""
    try:
        workspace = open_workspace(git, environment.variables)
    except (NotARepository, GitMissing):
        return Surroundings(git, _config_outside(git), environment.variables, None)
    sweep(workspace.store, SystemClock().now())
    return Surroundings(git, workspace.config, environment.variables, workspace)


def report(git: Git, around: Surroundings) -> list[str]:
    """Versions, a blank line, then the rest."""
    try:
        version = os.fsdecode(git.run("version").out).strip()
    except GitMissing as error:
        version = f"Error getting Git version: {error}"
    return [version_line(), version, "", *around.lines()]


def _config_outside(git: Git) -> Config:
    try:
        return load(git)
    except (GitError, GitMissing):
        # GIT_DIR or GIT_WORK_TREE names a place that is none, and git reads no configuration then; or there is no git.
        return Config()
