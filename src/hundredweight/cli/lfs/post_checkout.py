"""`git lfs post-checkout`: git's post-checkout hook: lockable files read-only, a word about pointers left in place."""

from __future__ import annotations

from hundredweight.cli.lfs.hooks import hook_parser, hook_workspace, not_a_hook, tell_failed, tell_pointers
from hundredweight.client.post_checkout import fix_write_bits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment

NAME = "post-checkout"


def parser() -> ArgumentParser:
    return hook_parser(NAME, __doc__, "before", "after", "flag")


def run(args: list[str], environment: Environment) -> int:
    if "--help" in args or "-h" in args:
        parser().parse_args(args)
    if len(args) != 3:
        return not_a_hook(NAME)
    before, after, flag = args
    workspace = hook_workspace(environment)
    tell_failed(NAME, fix_write_bits(workspace, before, after, flag == "1"))
    if flag == "1":
        tell_pointers(workspace)
    return 0
