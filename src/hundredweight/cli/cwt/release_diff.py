"""`cwt release diff`: what is different between two releases."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hundredweight.cli import tensor_report
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.markdown import escape, markdown_table
from hundredweight.cli.pager import Pager, colour_wanted
from hundredweight.cli.release_report import shown
from hundredweight.cli.table import format_table
from hundredweight.cli.weights import printable
from hundredweight.client.releases.compare import compare_releases

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.releases.compare import ReleaseDiff, Side
    from hundredweight.lineage.compare import Row
    from hundredweight.lineage.fields import Value

DESCRIPTION = (
    "Show what is different between two releases: metrics, parameters, data, environment, and the weights tensor by "
    "tensor. Which tensors changed is known without the weights; statistics of the changes need them here. Any "
    "revision will do in the place of a release: it is compared by what its files say."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt release diff", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument("old", metavar="A", help="a release: a tag, MODEL@latest, MODEL#STAGE; or a revision")
    made.add_argument("new", metavar="B", nargs="?", default="HEAD", help="another one (default: HEAD)")
    made.add_argument(
        "--stat", action="store_true", help="only which tensors changed, without statistics of their data"
    )
    made.add_argument("--all", action="store_true", help="list what is the same, too")
    form = made.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    form.add_argument("--md", action="store_true", help="print Markdown, for a merge request")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    found = compare_releases(workspace, options.old, options.new, statistics=not options.stat)
    if options.json:
        sys.stdout.write(json.dumps(as_json(found), indent=1) + "\n")
    elif options.md:
        sys.stdout.write(as_markdown(found, everything=options.all))
    else:
        with Pager(workspace.git) as pager:
            colour = colour_wanted(workspace.git, "color.diff", terminal=pager.terminal, asked="")
            sys.stdout.write(as_text(found, everything=options.all, strip=pager.terminal, colour=colour))
            sys.stdout.flush()
    for name, error in found.failed:
        sys.stderr.write(
            f"error: {printable(name)}: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else "")
        )
    return max((error.exit_code for _, error in found.failed), default=0)


def as_text(found: ReleaseDiff, *, everything: bool, strip: bool, colour: bool) -> str:
    """What differs in sections, then each model."""
    text = f"{_title(found.old)} -> {_title(found.new)}\n"
    for name, rows in found.facts.parts():
        lines = [_cells(row) for row in rows if row.differs or everything]
        indented = [(f"  {line[0]}", *line[1:]) for line in lines]
        if indented:
            text += f"\n{name}\n" + format_table(indented[0], indented[1:])
    if not found.facts.differs and not found.models:
        text += "\nno differences\n"
    for model in found.models:
        text += "\n" + tensor_report.as_text(model, strip=strip, colour=colour)
    return text + "".join(f"\nobject {printable(name)} changed\n" for name in found.objects)


def as_markdown(found: ReleaseDiff, *, everything: bool) -> str:
    """The same for a merge request."""
    text = f"## {escape(found.old.name)} → {escape(found.new.name)}\n\n"
    rows = [
        (name, *_cells(row)) for name, part in found.facts.parts() for row in part if row.differs or everything
    ]  # fmt: skip
    if rows:
        text += markdown_table(("", "", found.old.name, found.new.name, "change"), rows) + "\n"
    text += "".join(tensor_report.as_markdown(model) + "\n" for model in found.models)
    return text if rows or found.models else text + "No differences.\n"


def as_json(found: ReleaseDiff) -> dict[str, object]:
    """Every row, and every tensor that changed."""
    return {
        "old": {"name": found.old.name, "commit": found.old.commit},
        "new": {"name": found.new.name, "commit": found.new.commit},
        "differs": found.facts.differs or bool(found.models),
        "facts": {name: [_row_json(row) for row in rows] for name, rows in found.facts.parts()},
        "models": [tensor_report.as_json(model) for model in found.models],
        "objects": list(found.objects),
        "failed": [{"name": name, "error": error.message, "hint": error.hint or None} for name, error in found.failed],
    }


def _row_json(row: Row) -> dict[str, object]:
    return {"key": row.key, "old": row.values[0], "new": row.values[-1], "differs": row.differs}


def _title(side: Side) -> str:
    return f"{printable(side.name)} ({side.commit[:12]})"


def _cells(row: Row) -> tuple[str, ...]:
    change = row.change
    return (
        printable(row.key),
        _shown(row.values[0]),
        _shown(row.values[-1]),
        f"{change:+.4g}" if change and row.differs else "",
    )


def _shown(value: Value) -> str:
    text = shown(value)
    return text if len(text) <= 24 or " " in text else text[:19] + "..."
