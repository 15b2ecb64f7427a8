"""`cwt hub stats`: what a hub holds: repositories, objects, logical and stored bytes."""

from __future__ import annotations

import argparse
import json
import sys

from hundredweight.base.sizes import format_size
from hundredweight.cli.hub_target import add_arguments, administration
from hundredweight.cli.table import format_table

DESCRIPTION = (
    "Logical bytes are what clients see, an object counted for each repository that has it; stored bytes are what the objects "
    "take on the hub's disk, each once, in packs or whole; shared bytes are a repository's part of them that others have too."
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.hub.admin.interface import HubStats


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    with administration(options, environment) as admin:
        found = admin.stats()
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if options.json else _table(found))
    return 0


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="cwt hub stats", description=DESCRIPTION)
    result.add_argument("--json", action="store_true", help="print everything as JSON, in bytes")
    add_arguments(result)
    return result


def _table(found: HubStats) -> str:
    rows = [
        (
            one["name"],
            str(one["objects"]),
            format_size(one["logical_bytes"]),
            format_size(one["stored_bytes"]),
            format_size(one["shared_bytes"]),
        )
        for one in found["by_repository"]
    ]
    count = found["repositories"]
    total = f"{count} repositor{'y' if count == 1 else 'ies'}"
    rows.append(
        (total, str(found["objects"]), format_size(found["logical_bytes"]), format_size(found["stored_bytes"]), "")
    )
    return format_table(("REPOSITORY", "OBJECTS", "LOGICAL", "STORED", "SHARED"), rows, right=(1, 2, 3, 4))
