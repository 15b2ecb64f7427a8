"""`cwt transfer-agent`: the custom transfer agent for stock git-lfs: weights move as deltas."""

from __future__ import annotations

import argparse
import json
import sys
import threading

from hundredweight.client.transfer_agent import serve
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment


def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="cwt transfer-agent",
        description="Move LFS objects for stock git-lfs, which starts this program by itself and speaks JSON on stdin and "
        "stdout: with a hub, weights then go as deltas against the versions that the other side has; with any other "
        "server nothing changes. 'cwt init --agent' configures a repository for it.",
    )


def run(args: list[str], environment: Environment) -> int:
    parser().parse_args(args)
    lock = threading.Lock()

    def send(answer: dict[str, object]) -> None:
        with lock:
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    serve(open_workspace(Git(), environment.variables), iter(sys.stdin.readline, ""), send)
    return 0
