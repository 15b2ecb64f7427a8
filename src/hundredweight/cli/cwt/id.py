"""`cwt id`: the weights id of files: equal for equal tensors, whatever the format, header order or sharding."""

from __future__ import annotations

import argparse
import sys

from hundredweight.cli.weights import opened
from hundredweight.client.weights_id import identify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Print the weights id and the name of each file. The id is a hash over name, type, shape and bytes of all tensors: files "
    "with the same tensors have the same id, whatever their format, the order in their header, or how they are sharded. All "
    "data is read once, at constant memory."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt id", description=DESCRIPTION)
    made.add_argument(
        "files", nargs="+", metavar="FILE", help="a weight file, a sharded model's index.json, REV:PATH, or a URL"
    )
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    for name in options.files:
        with opened(name, environment) as model:
            sys.stdout.write(f"{identify(model)}  {name}\n")
            sys.stdout.flush()
    return 0
