"""Parsing argv as git-lfs does: options may stand between arguments, and end at `--`. Without arguments there is nothing to
parse, and argparse (10 ms) is not loaded."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Mapping
    from typing import Any


class Defaults:
    """What argparse would give for an empty argv."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)


def parse(
    args: list[str], parser: Callable[[], ArgumentParser], defaults: Mapping[str, Any], *, mixed: bool = False
) -> Any:
    """The options, as attributes. `defaults` are those of `parser` for no arguments. `mixed` is for a parser whose arguments
    repeat: argparse can either mix them with options or heed `--`, so options stand first when that is used."""
    if not args:
        return Defaults(defaults)
    made = parser()
    return made.parse_intermixed_args(args) if mixed and "--" not in args else made.parse_args(args)


def make_parser(command: str, description: str) -> ArgumentParser:
    import argparse

    return argparse.ArgumentParser(command, description=description)
