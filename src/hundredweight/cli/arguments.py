"""Parsing argv as git-lfs does: options may stand between arguments, and end at `--`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def parse_mixed(parser: argparse.ArgumentParser, args: list[str]) -> argparse.Namespace:
    """For a parser whose arguments repeat. argparse can either mix or heed `--`, so options stand first when that is used."""
    return parser.parse_args(args) if "--" in args else parser.parse_intermixed_args(args)
