"""`git lfs post-commit`: git's post-commit hook: lockable files of the new commit become read-only."""

from __future__ import annotations

from hundredweight.cli.lfs.hooks import hook_parser, hook_workspace, tell_failed
from hundredweight.client.post_commit import fix_write_bits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment

NAME = "post-commit"


def parser() -> ArgumentParser:
    return hook_parser(NAME, __doc__)


def run(args: list[str], environment: Environment) -> int:
    if args:
        parser().parse_args(args)
    tell_failed(NAME, fix_write_bits(hook_workspace(environment)))
    return 0
