"""`cwt ci init`: write the workflow files for GitHub or GitLab."""

from __future__ import annotations

import argparse

from hundredweight.cli.weights import printable
from hundredweight.client.ci.init import Host, State, plan_ci, write_ci
from hundredweight.client.init import BareRepository
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Write the files by which GitHub or GitLab works with models: a gate on pull and merge requests that checks them and reports "
    "what they change, a training of what is pushed to exp/NAME, whose result is pushed back, and the deployment of a release "
    "that is assigned to prod. What to train is 'command' in [experiment] of hundredweight.toml."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt ci init", description=DESCRIPTION)
    made.add_argument("host", choices=[host.value for host in Host], help="whose files to write")
    made.add_argument("--force", action="store_true", help="write files anew that somebody changed")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_workspace(Git(), environment.variables)
    if workspace.repository.bare:
        raise BareRepository
    work_tree = workspace.repository.work_tree
    plan = plan_ci(work_tree, Host(options.host))
    written = write_ci(work_tree, plan, replace=options.force)
    for file in written:
        print(f"wrote {printable(file.path)}")
    for file in plan.files:
        if file.state is State.CHANGED and file not in written:
            print(f"kept: {printable(file.path)}, which is changed; --force writes it anew")
    for text in plan.advice:
        print(f"next: {text}")
    if not written and not plan.advice:
        print("everything is there already")
    return 0
