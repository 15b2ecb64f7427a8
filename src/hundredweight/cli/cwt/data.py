"""`cwt data`: what versions of the data hold, how they differ, and who used them: status, diff, experiments.

`cwt data NAME` is the module `cli/cwt/data_NAME.py`, with `run` and `parser` as every command module.
"""

from __future__ import annotations

import sys

from hundredweight.base.errors import EXIT_USAGE, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from hundredweight.cli.env import Environment

COMMANDS = ("status", "diff", "experiments")


def run(args: list[str], environment: Environment) -> int:
    name = args[0] if args else ""
    if name in ("", "-h", "--help"):
        sys.stdout.write(parser().format_help())
        return 0 if name else EXIT_USAGE
    if name not in COMMANDS:
        raise UsageError(f"unknown command 'data {name}'", hint="run 'cwt data --help' for the list of commands")
    module = __import__(f"hundredweight.cli.cwt.data_{name}", fromlist=["run"])
    code: int = module.run(args[1:], environment)
    return code


def parser() -> argparse.ArgumentParser:
    import argparse

    def load_parser(*, prog: str, **_: object) -> argparse.ArgumentParser:
        module = __import__(f"hundredweight.cli.cwt.data_{prog.rpartition(' ')[2]}", fromlist=["parser"])
        found: argparse.ArgumentParser = module.parser()
        return found

    result = argparse.ArgumentParser(prog="cwt data", description="See and compare versions of the data.")
    commands = result.add_subparsers(metavar="COMMAND", parser_class=load_parser)  # type: ignore[call-overload]
    for name in COMMANDS:
        commands.add_parser(name, help=_summary(name))
    return result


def _summary(name: str) -> str:
    module = __import__(f"hundredweight.cli.cwt.data_{name}", fromlist=["__doc__"])
    return (module.__doc__ or "").strip().splitlines()[0].partition(": ")[2].rstrip(".")
