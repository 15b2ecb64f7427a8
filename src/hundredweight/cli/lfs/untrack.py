"""`git lfs untrack`: stop sending files of a pattern through LFS."""

from __future__ import annotations

from hundredweight.base.quoting import quote
from hundredweight.cli.arguments import make_parser, parse
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.hook_scripts import ensure_hooks
from hundredweight.client.track import untrack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment


_DEFAULTS: dict[str, list[str]] = {"patterns": []}


def parser() -> ArgumentParser:
    made = make_parser("git lfs untrack", "Stop sending files of a pattern through LFS.")
    made.add_argument("patterns", nargs="*", metavar="PATTERN", help="as 'git lfs track' shows it")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parse(args, parser, _DEFAULTS, mixed=True)
    workspace = open_clone(environment, work_tree=True)
    ensure_hooks(workspace)
    if not options.patterns:
        print("git lfs untrack <path> [path]*")
        return 0
    for pattern in untrack(workspace, options.patterns):
        print(f"Untracking {quote(pattern)}")
    return 0
