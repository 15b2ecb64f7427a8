"""`git lfs post-merge`: git's post-merge hook: lockable files read-only, a word about pointers left in place."""

from __future__ import annotations

from hundredweight.cli.lfs.hooks import hook_parser, hook_workspace, not_a_hook, tell_failed, tell_pointers
from hundredweight.client.post_merge import fix_write_bits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment

NAME = "post-merge"


def parser() -> ArgumentParser:
    return hook_parser(NAME, __doc__, "squash")


def run(args: list[str], environment: Environment) -> int:
    if "--help" in args or "-h" in args:
        parser().parse_args(args)
    if len(args) != 1:
        return not_a_hook(NAME)
    workspace = hook_workspace(environment)
    tell_failed(NAME, fix_write_bits(workspace))
    tell_pointers(workspace)
    return 0
