"""The process's environment, read here and nowhere below (only `git/run.py` builds git's own from it)."""

from __future__ import annotations

import os
import sys

from hundredweight.base import trace
from hundredweight.git.config import parse_bool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Environment:
    """Variables, the current folder and who is listening. Immutable."""

    __slots__ = ("cwd", "variables")

    def __init__(self, variables: Mapping[str, str], cwd: str) -> None:
        self.variables = dict(variables)
        self.cwd = cwd

    def get(self, name: str, default: str = "") -> str:
        return self.variables.get(name, default)

    def bool(self, name: str, default: bool = False) -> bool:
        return parse_bool(self.variables[name], default) if name in self.variables else default


def read_environment() -> Environment:
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = ""
    return Environment(os.environ, cwd)


def start_trace(environment: Environment) -> None:
    """Send notices to stderr, trace lines where GIT_TRACE says (1, 2 or true is stderr, an absolute path a file to append
    to), and HTTP dialogues to stderr when GIT_CURL_VERBOSE asks."""
    trace.set_notice_sink(_write_line)
    if environment.bool("GIT_CURL_VERBOSE"):
        trace.set_http_sink(_write)
    target = environment.get("GIT_TRACE")
    if target in ("", "0") or target.lower() == "false":
        return
    from hundredweight.cli.tracing import open_sink

    trace.set_sink(open_sink(target, sys.stderr))


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _write_line(text: str) -> None:
    _write(text + "\n")
