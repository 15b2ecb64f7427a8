"""`cwt log`: the history, and with -p the tensors that each commit changed, at constant memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.cli.git_view import run_view, view_parser

if TYPE_CHECKING:
    import argparse

    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Run 'git log' so that patches (-p) show weights as tables of the tensors that changed. Git keeps its options and their "
    "meaning; the content of LFS files is never loaded by git, so memory stays constant. With --no-ext-diff a weight file is "
    "shown in lines, one a tensor with its hash."
)


def parser() -> argparse.ArgumentParser:
    return view_parser("log", DESCRIPTION)


def run(args: list[str], environment: Environment) -> int:
    del environment
    return run_view("log", parser(), args)
