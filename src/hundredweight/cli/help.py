"""`git lfs help [COMMAND]`, `cwt help [COMMAND]`: the list of commands, or one command's own help."""

from __future__ import annotations

import importlib
import sys

from hundredweight.base.errors import EXIT_USAGE, UsageError

PROGRAMS = {"lfs": "git lfs", "cwt": "cwt"}


def show(program: str, commands: tuple[str, ...], argv: list[str]) -> int:
    """Print the list (exit code 2 when nothing was asked at all), or the help of the command behind `help`."""
    args = argv[1:]
    if args and args[0] not in ("-h", "--help"):
        if args[0] not in commands:
            raise UsageError(f"unknown command '{args[0]}'", hint=f"run '{PROGRAMS[program]} help'")
        module = importlib.import_module(f"hundredweight.cli.{program}.{args[0].replace('-', '_')}")
        sys.stdout.write(module.parser().format_help())
        return 0
    sys.stdout.write(f"usage: {PROGRAMS[program]} COMMAND [OPTION...]\n\ncommands:\n")
    for name in commands:
        sys.stdout.write(f"  {name:<16} {summary(program, name)}\n")
    sys.stdout.write(f"\nrun '{PROGRAMS[program]} COMMAND --help' for one command\n")
    return 0 if argv else EXIT_USAGE


def summary(program: str, name: str) -> str:
    """The first line of the command module's docstring, after the colon."""
    if name == "version":
        return "print the version"
    module = importlib.import_module(f"hundredweight.cli.{program}.{name.replace('-', '_')}")
    first = (module.__doc__ or "").strip().splitlines()[0]
    return first.partition(": ")[2].rstrip(".") or first
