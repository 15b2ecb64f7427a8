"""`cwt data experiments`: which experiments used which version of the data."""

from __future__ import annotations

import argparse
import json
import sys

from hundredweight.base.sizes import format_size
from hundredweight.cli.data_report import version_json
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.table import format_table
from hundredweight.client.data import sides
from hundredweight.client.data.sides import NoDataPaths
from hundredweight.client.data.uses import uses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.data.uses import Use
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.record import DataVersion

DESCRIPTION = (
    "List every version of the data that an experiment used, in the order of first use, with the experiments. Versions are told "
    "apart by their content, or by the names in messages where no content is recorded. The one marked * is that of REV."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt data experiments", description=DESCRIPTION)
    made.add_argument("revision", nargs="?", default="HEAD", metavar="REV", help="the version to mark (HEAD)")
    made.add_argument("--json", action="store_true", help="print everything as JSON")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    found = uses(workspace, _current(workspace, options.revision))
    sys.stdout.write(as_json(found) if options.json else as_text(found))
    return 0


def as_json(found: tuple[Use, ...]) -> str:
    versions = [
        version_json(use.data)
        | {"current": use.current, "experiments": [{"id": e.record.id, "name": e.record.name} for e in use.experiments]}
        for use in found
    ]
    return json.dumps(versions, indent=2) + "\n"


def as_text(found: tuple[Use, ...]) -> str:
    if not found:
        return "no experiment says which data it used\n"
    rows = [
        (
            "*" if use.current else "",
            use.data.path,
            use.data.version or "-",
            use.data.digest[:12] or "-",
            format_size(use.data.bytes) if use.data.files else "-",
            f"{len(use.experiments):,}",
            ", ".join(made.record.name or made.record.id for made in use.experiments[:5])
            + (", ..." if len(use.experiments) > 5 else ""),
        )
        for use in found
    ]
    return format_table(("", "PATH", "VERSION", "DIGEST", "SIZE", "USED", "EXPERIMENTS"), rows, (4, 5))


def _current(workspace: Workspace, revision: str) -> tuple[DataVersion, ...]:
    try:
        return sides.versions(workspace, sides.open_revision(workspace, revision))
    except NoDataPaths:
        return ()
