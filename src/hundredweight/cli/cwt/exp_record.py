"""`cwt exp record`: record a training that ran elsewhere, from the files that it left here."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from hundredweight.cli.experiment_report import recorded_line, tell_killed
from hundredweight.client.experiments.killed import collect
from hundredweight.client.experiments.ranks import rank
from hundredweight.client.experiments.record import RecordRequest, record_training
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Record a training that did not run by 'cwt exp run': at the end of a Slurm job, from a notebook, by hand. What it left in "
    "the work tree becomes a commit under refs/experiments, with parameters, metrics, data version, packages and hardware as "
    "they are here and now, and the weights as Git LFS files. Any number of jobs may record at once, in one work tree too. Of "
    "the processes of a distributed training only the first (RANK 0) records. Prints the experiment's id."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="cwt exp record", usage="cwt exp record [OPTION...] [-- COMMAND...]", description=DESCRIPTION
    )
    add = made.add_argument
    add("--name", default="", help="what the experiment is called, by default like the model")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter that stands in no parameter file; files stay as they are",
    )
    add(
        "--metrics",
        action="append",
        default=[],
        metavar="FILE",
        help="a file or DVCLive folder with metrics, besides those of the settings",
    )
    add("--weights", action="append", default=[], metavar="FILE", help="a weight file, besides those of the settings")
    add("--log", default="", metavar="FILE", help="what the training printed")
    add("--started", default="", metavar="TIME", help="when it began: 2026-11-23T14:00:00Z, or seconds since 1970")
    add("--seconds", type=float, default=0.0, help="how long it took, by default the time since --started")
    add("--exit-code", type=int, default=0, metavar="N", help="how it ended; other than 0 is recorded as failed")
    add("--killed", action="store_true", help="record it as killed")
    add(
        "--python",
        default="",
        metavar="PROGRAM",
        help="the Python that trained, by default the command's, or the first on PATH",
    )
    add(
        "--branch",
        nargs="?",
        const="",
        metavar="BRANCH",
        help="make a branch too, by default of the experiment's name; one that stands at HEAD is moved",
    )
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what was run, behind '--'")
    return made


def run(args: list[str], environment: Environment) -> int:
    place = args.index("--") if "--" in args else len(args)
    options = parser().parse_args(args[:place])
    if rank(environment.variables) > 0:
        return 0
    workspace = open_workspace(Git(), environment.variables)
    tell_killed(collect(workspace))
    request = RecordRequest(
        tuple(options.command + args[place + 1 :]),
        options.name,
        tuple(options.set),
        options.branch,
        tuple(options.weights),
        tuple(options.metrics),
        options.log,
        options.started,
        options.seconds,
        options.exit_code,
        options.killed,
        options.python,
    )
    outcome, notes = record_training(workspace, request)
    for text in notes:
        sys.stderr.write(f"note: {text}\n")
    sys.stderr.write(recorded_line(outcome))
    sys.stdout.write(outcome.record.id + "\n")
    return 0
