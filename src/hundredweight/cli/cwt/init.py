"""`cwt init`: make a repository ready for weights: LFS, attributes, diff and merge drivers, packs, settings."""

from __future__ import annotations

import argparse
import os
import sys

from hundredweight.cli.weights import printable
from hundredweight.client.ci.init import Host
from hundredweight.client.init import (
    InitOptions,
    InitPlan,
    execute,
    find_repository,
    make_repository,
    opened,
    plan_init,
)
from hundredweight.git.repository import NotARepository
from hundredweight.git.run import Git
from hundredweight.lineage.settings import FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Make a repository ready for model weights: the LFS filter and hooks, .gitattributes lines for the weight formats, drivers "
    "by which git diff and git merge understand tensors, packs, which keep versions as deltas, experiments on fetch, and "
    "hundredweight.toml, which says what is model, data, parameters and metrics, guessed from what is there. Where there is "
    "no repository, one is made, as by 'git init'. What is there already is kept, and a second run changes nothing. In a clone "
    "of such a repository it sets up what git does not clone: filter, hooks and drivers."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt init", description=DESCRIPTION)
    made.add_argument(
        "folder", nargs="?", default="", metavar="DIR", help="the repository, by default the one around here"
    )
    packs = made.add_mutually_exclusive_group()
    packs.add_argument(
        "--packs", action="store_true", default=None, help="keep versions as deltas, which is the default"
    )
    packs.add_argument(
        "--no-packs", action="store_false", dest="packs", help="keep every version whole, as git-lfs does"
    )
    made.add_argument(
        "--agent", action="store_true", help="configure stock git-lfs to move deltas by 'cwt transfer-agent'"
    )
    made.add_argument(
        "--ci",
        choices=[host.value for host in Host],
        help="also write the workflow files of 'cwt ci init' for this host",
    )
    made.add_argument("--check", action="store_true", help="change nothing; say what is missing, with exit code 1")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    git, folder = Git(), options.folder
    if not find_repository(git, folder):
        if options.check:
            raise NotARepository(f"'{folder or '.'}' is no git repository", hint="run 'cwt init' to make one")
        make_repository(git, folder)
        print(f"made a git repository in '{os.path.abspath(folder)}'")
    workspace = opened(git, folder, environment.variables)
    plan = plan_init(workspace, InitOptions(options.packs, options.agent, Host(options.ci) if options.ci else None))
    if options.check:
        for step in plan.steps:
            print(f"missing: {step.subject}")
    else:
        execute(plan, lambda step: print(f"set up: {step.subject}"))
    _tell_kept(plan)
    if plan.ready:
        print("everything is set up already")
    elif options.check:
        sys.stderr.write("hint: run 'cwt init' to set it up\n")
    else:
        written = (".gitattributes", FILE, "workflows")
        files = [name for name in written if any(name in step.subject for step in plan.steps)]
        if files:
            print(f"next: commit {' and '.join(files)}")
    return 1 if plan.blocked or (options.check and plan.steps) else 0


def _tell_kept(plan: InitPlan) -> None:
    for text in plan.kept:
        print(f"kept: {text}")
    for text in plan.blocked:
        print(f"in the way: {text}")
    if plan.in_git:
        some = f"'{printable(plan.in_git[0])}'" + (f" and {len(plan.in_git) - 1} more" if len(plan.in_git) > 1 else "")
        print(f"note: git itself holds {some}; 'git add --renormalize .' moves them to LFS with the next commit")
