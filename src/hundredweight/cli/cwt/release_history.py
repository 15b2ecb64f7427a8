"""`cwt release history`: which version was in which stage when, and who put it there."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.release_report import history_text, period_json
from hundredweight.lineage import releases

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment


DESCRIPTION = (
    "List, the newest first, which release was in a stage from when until when (UTC), and who put it there. The tags "
    "of assignments are what is known: 'git fetch --tags' brings those of others."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt release history", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument("name", nargs="?", default="", metavar="MODEL|MODEL#STAGE|STAGE", help="only of this one")
    made.add_argument("--stage", default="", metavar="STAGE", help="only of this stage")
    made.add_argument(
        "--at", default="", metavar="WHEN", help="only what was there then: 2026-11-23, or 2026-11-23T14:00"
    )
    made.add_argument("--json", action="store_true", help="print a JSON array, the oldest first")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    model, _, stage = options.name.partition("#")
    registry = releases.read(open_clone(environment).git)
    if model and not stage and model not in registry.models:
        # As in all commands a stage may stand alone; here of every model that has, or had, one.
        model, stage = "", model
    found = list(registry.history(model, options.stage or stage))
    if options.at:
        moment = _moment(options.at)
        found = [period for period in found if period.since <= moment and (not period.until or moment < period.until)]
    if options.json:
        told = [period_json(period) for period in found]
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    elif found:
        sys.stdout.write(history_text(found))
    else:
        where = f"in '{options.name}'" if options.name else "in a stage"
        when = f"at {options.at}" if options.at else "so far"
        sys.stderr.write(f"nothing was {where} {when}; 'git fetch --tags' brings the tags of others\n")
    return 0


def _moment(text: str) -> str:
    """As the registry writes moments; of a day its end, since that is what one asks for."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"'{text}' is no date", hint="write 2026-11-23 or 2026-11-23T14:00, in UTC") from None
    if "T" not in text and " " not in text:
        found = found.replace(hour=23, minute=59, second=59)
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
