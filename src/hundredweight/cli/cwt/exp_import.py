"""`cwt exp import`: runs of MLflow or Weights & Biases as experiments."""

from __future__ import annotations

import argparse
import itertools
import os
import sys

from hundredweight.base.errors import UsageError
from hundredweight.cli.experiment_view import counted
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.weights import printable
from hundredweight.client.trackers import mlflow, wandb
from hundredweight.client.trackers.runs import bring_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hundredweight.cli.env import Environment
    from hundredweight.client.trackers.runs import Run

DESCRIPTION = (
    "Record runs of an experiment tracker as experiments: parameters, metrics, curves, times, status, and a link to "
    "the run. What was brought in before, or is linked with an experiment already, is left alone, so the command may "
    "be repeated. A run that names a git commit of this repository is recorded on that commit."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp import", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument(
        "--mlflow",
        action="append",
        default=[],
        metavar="URI|FOLDER",
        help="a tracking server (http...), or a folder 'mlruns'",
    )
    made.add_argument(
        "--wandb", action="append", default=[], metavar="FOLDER", help="a folder 'wandb' of offline or synced runs"
    )
    made.add_argument(
        "--experiment", default="", metavar="NAME", help="only runs of the server's experiment of this name"
    )
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    if not options.mlflow and not options.wandb:
        raise UsageError("no tracker named", hint="name one with --mlflow URI or --wandb FOLDER")
    workspace = open_clone(environment)
    new = known = 0
    runs = itertools.chain(
        *(_mlflow(place, options.experiment, environment) for place in options.mlflow),
        *map(wandb.read_folder, options.wandb),
    )
    for imported in bring_in(workspace, runs):
        if imported.already:
            known += 1
        else:
            new += 1
            sys.stdout.write(f"imported {imported.id} ({printable(imported.run.name or imported.run.id)})\n")
    sys.stdout.write(f"{counted(new, 'run')} imported" + (f"; {known} known already" if known else "") + "\n")
    return 0


def _mlflow(place: str, experiment: str, environment: Environment) -> Iterator[Run]:
    if place.startswith(("http://", "https://")):
        with mlflow.Server(place, environment.variables) as server:
            yield from mlflow.read_server(server, experiment)
        return
    folder = place.removeprefix("file://")
    if "://" in folder or folder.startswith("sqlite:"):
        raise UsageError(
            f"'{place}' is neither a server nor a folder", hint="start one: 'mlflow server --backend-store-uri URI'"
        )
    yield from mlflow.read_folder(os.path.expanduser(folder))
