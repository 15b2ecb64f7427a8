"""`cwt hub`: run and administer a hub: serve, repo, token, stats.

`cwt hub NAME` is the module `cli/cwt/hub_NAME.py`, with `run` and `parser` as every command module. `pre-receive` is git's hook
on the hub's side and not for people, so no list shows it.
"""

from __future__ import annotations

import sys

from hundredweight.base.errors import EXIT_USAGE, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from hundredweight.cli.env import Environment

COMMANDS = ("serve", "repo", "token", "stats")
_HIDDEN = ("pre-receive",)


def run(args: list[str], environment: Environment) -> int:
    name = args[0] if args else ""
    if name in ("", "-h", "--help"):
        sys.stdout.write(parser().format_help())
        return 0 if name else EXIT_USAGE
    if name not in COMMANDS + _HIDDEN:
        raise UsageError(f"unknown command 'hub {name}'", hint="run 'cwt hub --help' for the list of commands")
    module = __import__(f"hundredweight.cli.cwt.hub_{name.replace('-', '_')}", fromlist=["run"])
    code: int = module.run(args[1:], environment)
    return code


def parser() -> argparse.ArgumentParser:
    import argparse

    lines = [f"  {name:<8} {_summary(name)}" for name in COMMANDS]
    result = argparse.ArgumentParser(
        prog="cwt hub",
        description="Run and administer a hub.",
        epilog="commands:\n" + "\n".join(lines) + "\n\nrun 'cwt hub COMMAND --help' for one command",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("command", metavar="COMMAND", help="one of: " + ", ".join(COMMANDS))
    return result


def _summary(name: str) -> str:
    module = __import__(f"hundredweight.cli.cwt.hub_{name}", fromlist=["__doc__"])
    return (module.__doc__ or "").strip().splitlines()[0].partition(": ")[2].rstrip(".")
