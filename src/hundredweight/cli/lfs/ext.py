"""`git lfs ext`: list the configured pointer extensions."""

from __future__ import annotations

import argparse

from hundredweight.base.errors import UsageError
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.ext import configured_extensions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment


class UnknownExtension(UsageError):
    """No extension of that name is configured."""

    hint = "run 'git lfs ext' for the names there are"

    def __init__(self, name: str) -> None:
        super().__init__(f"no extension '{name}' is configured")
        self.name = name


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("git lfs ext", description="List the configured pointer extensions.")
    made.add_argument("what", nargs="?", choices=("list",), default="list", help="the only thing there is to do")
    made.add_argument("names", nargs="*", metavar="NAME", help="only these")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    known = {one.name: one for one in configured_extensions(open_clone(environment).config)}
    for name in options.names or known:
        if name not in known:
            raise UnknownExtension(name)
        print(f"Extension: {name}")
        for key in ("clean", "smudge", "priority"):
            print(f"    {key} = {getattr(known[name], key)}")
    return 0
