"""`git lfs version`: print the version."""

from __future__ import annotations

import argparse

from hundredweight.cli.main import version_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment


def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser("git lfs version", description="Print the version.")


def run(args: list[str], environment: Environment) -> int:
    del environment
    parser().parse_args(args)
    print(version_line())
    return 0
