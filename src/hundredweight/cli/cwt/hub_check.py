"""`cwt hub check`: verify every stored object of a hub, and move damaged ones aside."""

from __future__ import annotations

import argparse
import json
import sys

from hundredweight.base.errors import EXIT_FAILURE
from hundredweight.base.sizes import format_size
from hundredweight.cli.hub_target import add_arguments, administration
from hundredweight.cli.tasks import Tasks

DESCRIPTION = (
    "Read and hash every object, and compare with what the hub has recorded; the hub may run meanwhile. Exits with 1 when "
    "something is damaged, unreadable or missing. What lies there without a record is named and does no harm."
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.hub.admin.interface import CheckEvent, CheckFinding, CheckProgress, CheckReport

_KINDS = ("damaged", "unreadable", "missing", "unrecorded", "stray")


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    tasks = Tasks(sys.stderr, live=sys.stderr.isatty())
    ok = True
    with administration(options, environment) as admin:
        try:
            for event in admin.check(repair=options.repair):
                if event["event"] == "progress":
                    tasks.line(_progress(event))
                    continue
                if event["event"] == "end":
                    tasks.finish()
                    ok = event["ok"]
                sys.stdout.write(json.dumps(event) + "\n" if options.json else _text(event, repair=options.repair))
                sys.stdout.flush()
        finally:
            tasks.abandon()
    return 0 if ok else EXIT_FAILURE


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="cwt hub check", description=DESCRIPTION)
    result.add_argument(
        "--repair",
        action="store_true",
        help="move damaged objects to quarantine/ beside the others, so that the hub takes them again from who pushes",
    )
    result.add_argument(
        "--json", action="store_true", help="print each finding, and the result last, as a line of JSON"
    )
    add_arguments(result)
    return result


def _progress(event: CheckProgress) -> str:
    total = max(event["total"], event["objects"])
    percent = 100 * event["objects"] // total if total else 100
    return f"Checking objects: {percent:3d}% ({event['objects']}/{total}), {format_size(event['bytes'])}"


def _text(event: CheckEvent, *, repair: bool) -> str:
    if event["event"] == "finding":
        return _finding(event)
    if event["event"] == "end":
        return _report(event, repair=repair)
    return _progress(event) + "\n"


def _finding(event: CheckFinding) -> str:
    owners = f" of {', '.join(event['repositories'])}" if event["repositories"] else ""
    moved = f"; moved to {event['place']}" if event["place"] else ""
    return f"{event['kind']}: {event['name']} ({format_size(event['size'])}){owners}: {event['reason']}{moved}\n"


def _report(event: CheckReport, *, repair: bool) -> str:
    numbers = {kind: event[kind] for kind in _KINDS}  # type: ignore[literal-required]
    said = ", ".join(f"{number} {kind}" for kind, number in numbers.items() if number) or "all good"
    text = f"{event['objects']} object{'s'[: event['objects'] != 1]}, {format_size(event['bytes'])}: {said}\n"
    if event["damaged"] and not repair:
        text += "hint: 'cwt hub check --repair' moves damaged objects aside, so that they can be sent again\n"
    if event["unreadable"]:
        text += "hint: see that the disk is whole and the hub's user may read it; then check again\n"
    if event["missing"] or event["quarantined"]:
        text += "hint: 'git lfs push --all REMOTE' in a clone that has the objects brings them back\n"
    return text
