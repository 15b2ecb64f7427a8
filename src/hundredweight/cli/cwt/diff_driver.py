"""`cwt diff-driver`: the tensors that changed between two files, for git's external diff driver."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.cli.pager import colour_wanted
from hundredweight.cli.weights import clone_here, printable
from hundredweight.client.summary import FETCH, NOT_HERE, describe
from hundredweight.client.weight_files import NotWeights, ObjectNotHere
from hundredweight.git.run import Git

if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace

DESCRIPTION = (
    "Print what changed in weights between two files, as 'cwt diff' does. Git runs it as 'diff.lfs.command' with seven "
    "arguments, nine for a renamed file, or one for an unmerged path. Files that are no weights, or damaged, are shown by id "
    "and size."
)
_NOTHING = "/dev/null"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("cwt diff-driver", description=DESCRIPTION)
    add = made.add_argument
    add("path", metavar="PATH", help="the path in the repository")
    for side in ("old", "new"):
        add(f"{side}_file", nargs="?", metavar=f"{side.upper()}-FILE", help=f"where the {side} content is")
        add(f"{side}_hex", nargs="?", metavar=f"{side.upper()}-HEX", help=f"the {side} blob")
        add(f"{side}_mode", nargs="?", metavar=f"{side.upper()}-MODE", help=f"the {side} mode")
    add("new_path", nargs="?", metavar="NEW-PATH", help="of a renamed file its new path")
    add("similarity", nargs="?", metavar="TEXT", help="what git says about the renaming")
    return made


def run(args: list[str], environment: Environment) -> int:
    if args in (["-h"], ["--help"]):
        parser().print_help()
        return 0
    # Not by the parser: paths may look like options.
    if len(args) == 1:
        print(f"* Unmerged path {printable(args[0])}")
        return 0
    if len(args) not in (7, 9):
        parser().error("git gives one argument, seven or nine")
    name, old, _, old_mode, new, _, new_mode = args[:7]
    if len(args) == 9:
        name = f"{name} -> {args[7]}"
    try:
        text = _table(name, old, new, environment)
    except Exception as error:  # noqa: BLE001 - git gives up the whole diff when a driver fails: any fault is told in its place
        text = _lines(name, old, new, environment, error)
    if old_mode != new_mode and "." not in (old_mode, new_mode):
        text += f"  mode {old_mode} -> {new_mode}\n"
    sys.stdout.write(text + "\n")
    return 0


def _table(name: str, old: str, new: str, environment: Environment) -> str:
    from hundredweight.cli.tensor_report import as_text
    from hundredweight.client.diff import compare_files

    found = compare_files(old, new, clone_here(environment), name)
    if found.missing is not None:
        # git does not tell which commit it is.
        found.missing.hint = FETCH
    # Where git has a pager, it is a terminal that is written to.
    terminal = sys.stdout.isatty() or environment.bool("GIT_PAGER_IN_USE")
    colour = colour_wanted(Git(), "color.diff", terminal=terminal) if terminal else False
    return as_text(found, strip=terminal, colour=colour)


def _lines(name: str, old: str, new: str, environment: Environment, error: Exception) -> str:
    """What the textconv says of both sides, as a diff."""
    clone = clone_here(environment)
    told = ""
    if isinstance(error, ObjectNotHere):
        told = f"  {NOT_HERE}\n"
    elif not isinstance(error, NotWeights):
        # The names of git's temporary files say nothing to anybody.
        told = f"  {printable(str(error) or repr(error)).replace(old, name).replace(new, name)}\n"
    before, after = ([] if path == _NOTHING else _described(path, clone) for path in (old, new))
    changed = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    return f"object {printable(name)}\n{told}" + "".join(f"  {line}\n" for line in changed if not line.startswith("@@"))


def _described(path: str, clone: Callable[[str], Workspace | None]) -> list[str]:
    try:
        return list(describe(path, clone))
    except CwtError as error:
        return [printable(str(error))]
