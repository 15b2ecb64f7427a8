"""A command that has commands: `cwt hub serve` is the module `cli/cwt/hub_serve.py`, with `run` and `parser` as they all have."""

from __future__ import annotations

import sys
from importlib import import_module

from hundredweight.base.errors import EXIT_USAGE, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from types import ModuleType

    from hundredweight.cli.env import Environment


class Group:
    """`hidden` are commands that are not for people, so no list shows them."""

    def __init__(self, name: str, description: str, commands: tuple[str, ...], hidden: tuple[str, ...] = ()) -> None:
        self.name = name
        self.description = description
        self.commands = commands
        self.hidden = hidden

    def run(self, args: list[str], environment: Environment) -> int:
        """Run the command that `args` begin with, with the rest of them. Raises `UsageError`, and what the command raises."""
        name = args[0] if args else ""
        if name in ("", "-h", "--help"):
            sys.stdout.write(self.parser().format_help())
            return 0 if name else EXIT_USAGE
        if name not in self.commands + self.hidden:
            raise UsageError(
                f"unknown command '{self.name} {name}'", hint=f"run 'cwt {self.name} --help' for the list of commands"
            )
        code: int = self._module(name).run(args[1:], environment)
        return code

    def parser(self) -> argparse.ArgumentParser:
        """For the help; the commands' own parsers are its sub-parsers."""
        import argparse

        def load_parser(*, prog: str, **_: object) -> argparse.ArgumentParser:
            found: argparse.ArgumentParser = self._module(prog.rpartition(" ")[2]).parser()
            return found

        result = argparse.ArgumentParser(prog=f"cwt {self.name}", description=self.description)
        commands = result.add_subparsers(metavar="COMMAND", parser_class=load_parser)  # type: ignore[call-overload]
        for name in self.commands:
            summary = (self._module(name).__doc__ or "").strip().splitlines()[0].partition(": ")[2].rstrip(".")
            commands.add_parser(name, help=summary)
        return result

    def _module(self, name: str) -> ModuleType:
        return import_module(f"hundredweight.cli.cwt.{self.name}_{name.replace('-', '_')}")
