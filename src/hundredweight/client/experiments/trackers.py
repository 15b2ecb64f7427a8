"""Runs of experiment trackers that belong to a training: named by its environment, or left in its folders."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from hundredweight.lineage.record import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WANDB = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(?P<id>[\w-]+)")
_MLFLOW_RUN = re.compile(r"[0-9a-f]{32}")
MLFLOW, WANDB, SLURM = "mlflow", "wandb", "slurm"


def find(folder: str, variables: Mapping[str, str], since: float = 0.0) -> tuple[Tracker, ...]:
    """Those of a training in `folder`; of what lies in folders only what changed after `since` (seconds since 1970)."""
    found = dict.fromkeys(
        [*_of_variables(variables), *_mlruns(folder, variables, since), *_wandb(folder, variables, since)]
    )
    return tuple(found)


def _of_variables(variables: Mapping[str, str]) -> Iterator[Tracker]:
    run = variables.get("MLFLOW_RUN_ID", "")
    if run:
        yield _mlflow(run, variables)
    run = variables.get("WANDB_RUN_ID", "")
    if run:
        yield _wandb_run(run, variables)
    job = variables.get("SLURM_JOB_ID", "")
    if job:
        yield Tracker(SLURM, job)


def _mlflow(run: str, variables: Mapping[str, str], experiment: str = "") -> Tracker:
    server = variables.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    experiment = experiment or variables.get("MLFLOW_EXPERIMENT_ID", "")
    web = server.startswith(("http://", "https://")) and experiment
    return Tracker(MLFLOW, run, f"{server}/#/experiments/{experiment}/runs/{run}" if web else "")


def _wandb_run(run: str, variables: Mapping[str, str]) -> Tracker:
    entity, project = variables.get("WANDB_ENTITY", ""), variables.get("WANDB_PROJECT", "")
    server = variables.get("WANDB_BASE_URL", "https://wandb.ai").rstrip("/")
    server = "https://wandb.ai" if server == "https://api.wandb.ai" else server
    return Tracker(WANDB, run, f"{server}/{entity}/{project}/runs/{run}" if entity and project else "")


def _mlruns(folder: str, variables: Mapping[str, str], since: float) -> Iterator[Tracker]:
    """mlruns/EXPERIMENT/RUN/meta.yaml, the oldest first."""
    uri = variables.get("MLFLOW_TRACKING_URI", "")
    place = uri.removeprefix("file://") if uri.startswith(("file://", "/", "./")) else "mlruns"
    top = os.path.join(folder, place)
    runs = []
    for experiment in _names(top):
        for run in _names(os.path.join(top, experiment)):
            changed = _changed(os.path.join(top, experiment, run, "meta.yaml"))
            if _MLFLOW_RUN.fullmatch(run) and changed is not None and changed >= since:
                runs.append((changed, run))
    for _, run in sorted(runs) if since else sorted(runs)[-1:]:
        yield _mlflow(run, variables)


def _wandb(folder: str, variables: Mapping[str, str], since: float) -> Iterator[Tracker]:
    """wandb/latest-run, which leads to wandb/run-TIME-ID."""
    link = os.path.join(variables.get("WANDB_DIR") or folder, "wandb", "latest-run")
    match = _WANDB.fullmatch(os.path.basename(os.path.realpath(link)))
    changed = _changed(link)
    if match and changed is not None and changed >= since:
        yield _wandb_run(match["id"], variables)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _changed(path: str) -> float | None:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return None
