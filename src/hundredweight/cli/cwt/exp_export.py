"""`cwt exp export`: experiments as runs of an MLflow server."""

from __future__ import annotations

import argparse
import os
import sys

from hundredweight.cli.cwt.exp_show import tell
from hundredweight.cli.experiment_view import counted
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.weights import printable
from hundredweight.client import lineage_settings
from hundredweight.client.experiments.names import Names, rows_of
from hundredweight.client.experiments.table import Condition, select
from hundredweight.client.trackers import mlflow
from hundredweight.lineage.listing import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace

DESCRIPTION = (
    "Publish experiments on an MLflow tracking server: parameters, metrics, curves, status and times; and as tags the "
    "commit, data, weights, hardware, environment. What was published before, or was written there by the training "
    "itself, is not published again."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp export", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument(
        "names", metavar="EXPERIMENT", nargs="*", help="which ones: ids, parts of them, names; by default all"
    )
    made.add_argument(
        "--where", nargs="+", action="extend", default=[], metavar="CONDITION", help="as for 'cwt exp list'"
    )
    made.add_argument("--mlflow", required=True, metavar="URI", help="the tracking server")
    made.add_argument(
        "--experiment",
        default="",
        metavar="NAME",
        help="MLflow's experiment; by default the model's name, else the folder's",
    )
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    listed = rows_of(workspace).rows
    finder = Names(workspace.git, listed)
    rows = select(
        finder.rows(options.names) if options.names else listed, [Condition.parse(text) for text in options.where]
    )
    tell(finder.notes)
    new = 0
    with mlflow.Server(options.mlflow, environment.variables) as server:
        target = mlflow.target(server, options.experiment or _name(workspace))
        for found in whole(workspace.git, rows):
            identity, fresh = mlflow.publish(server, workspace.git, found, target)
            new += fresh
            said = "published" if fresh else "was there:"
            sys.stdout.write(f"{said} {found.record.id} ({printable(found.record.name)}) as run {identity}\n")
    sys.stdout.write(
        f"{counted(new, 'experiment')} published"
        + (f"; {len(rows) - new} there already" if len(rows) > new else "")
        + "\n"
    )
    return 0


def _name(workspace: Workspace) -> str:
    folder = workspace.repository.work_tree or workspace.repository.common_dir
    return lineage_settings.of_work_tree(workspace).model or os.path.basename(folder)
