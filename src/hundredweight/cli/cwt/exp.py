"""`cwt exp`: run trainings, record them as commits, compare and share them.

`cwt exp NAME` is the module `cli/cwt/exp_NAME.py`, with `run` and `parser` as every command module.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from hundredweight.base.errors import EXIT_USAGE, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from hundredweight.cli.env import Environment

_ORDER = (
    "run", "record", "list", "show", "compare", "plot", "apply", "branch", "remove", "push", "pull", "import", "export",
)  # fmt: skip
COMMANDS = tuple(name for name in _ORDER if find_spec(f"hundredweight.cli.cwt.exp_{name}") is not None)


def run(args: list[str], environment: Environment) -> int:
    name = args[0] if args else ""
    if name in ("", "-h", "--help"):
        sys.stdout.write(parser().format_help())
        return 0 if name else EXIT_USAGE
    if name not in COMMANDS:
        raise UsageError(f"unknown command 'exp {name}'", hint="run 'cwt exp --help' for the list of commands")
    module = __import__(f"hundredweight.cli.cwt.exp_{name}", fromlist=["run"])
    code: int = module.run(args[1:], environment)
    return code


def parser() -> argparse.ArgumentParser:
    import argparse

    def load_parser(*, prog: str, **_: object) -> argparse.ArgumentParser:
        module = __import__(f"hundredweight.cli.cwt.exp_{prog.rpartition(' ')[2]}", fromlist=["parser"])
        found: argparse.ArgumentParser = module.parser()
        return found

    result = argparse.ArgumentParser(
        prog="cwt exp", description="Run trainings, record them as commits of this repository, compare and share them."
    )
    commands = result.add_subparsers(metavar="COMMAND", parser_class=load_parser)  # type: ignore[call-overload]
    for name in COMMANDS:
        commands.add_parser(name, help=_summary(name))
    return result


def _summary(name: str) -> str:
    module = __import__(f"hundredweight.cli.cwt.exp_{name}", fromlist=["__doc__"])
    return (module.__doc__ or "").strip().splitlines()[0].partition(": ")[2].rstrip(".")
