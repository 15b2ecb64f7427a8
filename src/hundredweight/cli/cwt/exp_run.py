"""`cwt exp run`: run a training and record it as a commit of its own."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.cli.experiment_report import recorded_line, tell_killed
from hundredweight.client.experiments.killed import collect
from hundredweight.client.experiments.ranks import rank
from hundredweight.client.experiments.run import Experimenter, RunRequest
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.experiments.process import Echo
    from hundredweight.client.experiments.recording import Outcome

DESCRIPTION = (
    "Run a training and record it as a commit under refs/experiments: parameters, metrics and curves, hardware, data version, "
    "packages, seed, duration, exit code, log, code as it stood when the training began, and the weights that it wrote as Git "
    "LFS files. No branch moves, and the index stays as it is; the work tree keeps what the training wrote. A training that "
    "fails or is killed is recorded as such. 'hundredweight.toml' names the files. The exit code is the command's."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="cwt exp run",
        usage="cwt exp run [--name NAME] [--set KEY=VALUE[,VALUE...]] [--branch [BRANCH]] [--jobs N] [-- COMMAND...]",
        description=DESCRIPTION,
    )
    made.add_argument("--name", default="", help="what the experiment is called, by default like the model")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a parameter in its parameter file (FILE:KEY=VALUE where several have it); several values, with commas between "
        "them, make one run each. The command gets it as CWT_PARAM_KEY too, and in place of {KEY} among its words",
    )
    made.add_argument(
        "--branch",
        nargs="?",
        const="",
        metavar="BRANCH",
        help="make a branch too, by default of the experiment's name; one that stands at HEAD is moved",
    )
    made.add_argument(
        "--jobs",
        type=int,
        default=0,
        metavar="N",
        help="run so many at once, each in a work tree of its own; several runs get one each in any case",
    )
    made.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="the training, behind '--'; by default 'command' under [experiment] in hundredweight.toml",
    )
    return made


def run(args: list[str], environment: Environment) -> int:
    place = args.index("--") if "--" in args else len(args)
    options = parser().parse_args(args[:place])
    command = options.command + args[place + 1 :]
    if options.jobs < 0:
        raise UsageError(f"'{options.jobs}' is no number of jobs")
    workspace = open_workspace(Git(), environment.variables)
    request = RunRequest(
        tuple(command), options.name, tuple(options.set), options.branch, options.jobs, interactive=sys.stdin.isatty()
    )
    experimenter = Experimenter(workspace, request, _Terminal())
    if rank(environment.variables) > 0:
        # Under torchrun or srun every process comes here; the first one records.
        os.execvpe(experimenter.command[0], experimenter.command, environment.variables)
    tell_killed(collect(workspace))
    return experimenter.run()


class _Terminal:
    """Output passes through as it comes; with several runs by lines, each with its run's name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False

    def note(self, text: str) -> None:
        with self._lock:
            sys.stderr.write(f"note: {text}\n")
            sys.stderr.flush()

    def echo(self, name: str) -> Echo:
        if not name:
            return self._write
        rest = {1: b"", 2: b""}
        prefix = f"[{name}] ".encode()

        def by_lines(number: int, data: bytes) -> None:
            *lines, rest[number] = (rest[number] + data.replace(b"\r", b"\n")).split(b"\n")
            self._write(number, b"".join(prefix + line + b"\n" for line in lines if line))

        return by_lines

    def recorded(self, outcome: Outcome) -> None:
        with self._lock:
            sys.stderr.write(recorded_line(outcome))
            sys.stderr.flush()

    def _write(self, number: int, data: bytes) -> None:
        """Nobody listening any more is no reason to end a training."""
        with self._lock:
            try:
                while data and not self._closed:
                    data = data[os.write(number, data) :]
            except BrokenPipeError:
                self._closed = True
