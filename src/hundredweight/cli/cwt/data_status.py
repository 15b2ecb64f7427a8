"""`cwt data status`: rows or items of the data by split and label, what leaks between splits, and who used this version."""

from __future__ import annotations

import argparse
import json
import sys

from hundredweight.base.sizes import format_size
from hundredweight.cli.data_report import (
    add_options,
    columns,
    counted,
    labels_text,
    leak_text,
    make_available,
    split_name,
    survey_json,
    version_json,
)
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.table import format_table
from hundredweight.client.data import sides
from hundredweight.client.data.survey import Reader, survey
from hundredweight.client.data.uses import uses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.data.sides import Side
    from hundredweight.client.data.survey import Survey
    from hundredweight.client.data.uses import Use
    from hundredweight.lineage.record import DataVersion

DESCRIPTION = (
    "Show what the data holds: files, bytes, and of CSV, TSV and JSONL files the rows, of folders of images, recordings or texts "
    "the items, by split (from names of files and folders, or a column) and label (from a column, or the folder's name). Rows "
    "that stand in two splits are told, whatever their id and label; so are repeated rows, and equal rows with different labels. "
    "Without REV it is the work tree. Data paths are those of 'hundredweight.toml'."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt data status", description=DESCRIPTION)
    made.add_argument("revision", nargs="?", default="", metavar="REV", help="a commit, tag or branch")
    made.add_argument(
        "--path", action="append", default=[], dest="paths", metavar="PATH", help="only this data path; repeatable"
    )
    add_options(made)
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment, work_tree=not options.revision)
    if options.revision:
        side = sides.open_revision(workspace, options.revision, options.paths)
    else:
        side = sides.open_work_tree(workspace, options.paths)
    make_available(workspace, (side,), fetch=options.fetch)
    with sides.Contents(workspace) as contents:
        reader = Reader(contents, side, columns(options))
        found = survey(sides.files(workspace, side), reader, workspace.store.temp)
    versions = sides.versions(workspace, side)
    used = [use for use in uses(workspace, versions) if use.current] if not side.changed and not side.gone else []
    show = as_json if options.json else as_markdown if options.md else as_text
    sys.stdout.write(show(side, versions, found, used))
    return 0


def as_json(side: Side, versions: tuple[DataVersion, ...], found: Survey, used: list[Use]) -> str:
    document = {
        "revision": side.name or None,
        "commit": side.commit,
        "modified": [file.path for file in side.changed] + sorted(side.gone),
        "data": [version_json(version) for version in versions],
        **survey_json(found),
        "experiments": [made.record.id for use in used for made in use.experiments],
    }
    return json.dumps(document, indent=2) + "\n"


def as_text(side: Side, versions: tuple[DataVersion, ...], found: Survey, used: list[Use]) -> str:
    lines = [
        f"{version.path or '.'}: {version_name(version)}, {counted(version.files, 'files')}, {format_size(version.bytes)}"
        for version in versions
    ]
    lines += _modified(side)
    text = "\n".join(lines) + "\n"
    if found.total:
        rows = [_row(found, split) for split in found.splits]
        if len(rows) > 1:
            rows.append(("all", f"{found.total:,}", ""))
        text += "\n" + format_table(("SPLIT", found.noun.upper(), "LABELS"), rows, (1,))
    notes = _notes(found)
    if notes:
        text += "\n" + "".join(f"{note}\n" for note in notes)
    return text + "".join(f"used by {_experiments(use)}\n" for use in used)


def as_markdown(side: Side, versions: tuple[DataVersion, ...], found: Survey, used: list[Use]) -> str:
    text = "| data | version | files | bytes |\n|---|---|--:|--:|\n"
    for version in versions:
        text += (
            f"| {version.path or '.'} | {version_name(version)} | {version.files:,} | {format_size(version.bytes)} |\n"
        )
    if found.total:
        text += f"\n| split | {found.noun} | labels |\n|---|--:|---|\n"
        text += "".join(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in _row(found, split))} |\n"
            for split in found.splits
        )
    notes = _modified(side) + _notes(found) + [f"used by {_experiments(use)}" for use in used]
    return text + ("\n" + "".join(f"- {note}\n" for note in notes) if notes else "")


def version_name(version: DataVersion) -> str:
    """How people call a version: the team's name and the start of its digest."""
    short = version.digest[:12] or "nothing there"
    return f"{version.version} ({short})" if version.version else short


def _row(found: Survey, split: str) -> tuple[str, str, str]:
    labels = found.by_split(split)
    return split_name(split), f"{sum(labels.values()):,}", labels_text(labels)


def _modified(side: Side) -> list[str]:
    changed = len(side.changed) + len(side.gone)
    return (
        [f"in the work tree {counted(changed, 'files')} not as committed: 'cwt data diff' says how"] if changed else []
    )


def _notes(found: Survey) -> list[str]:
    notes = [f"leakage: {leak_text(leak, found.noun)}" for leak in found.leaks]
    repeated = [f"{count:,} in {split_name(split)}" for split, count in found.repeated.items() if count]
    if repeated:
        notes.append(f"repeated {found.noun}: {', '.join(repeated)}")
    if found.conflicts:
        notes.append(f"conflicts: {counted(found.conflicts, found.noun)} with more than one label")
    if found.ragged:
        notes.append(f"malformed: {counted(found.ragged, 'rows')} with more or fewer fields than the header")
    return notes


def _experiments(use: Use) -> str:
    names = [made.record.name or made.record.id for made in use.experiments[-3:]]
    return f"{counted(len(use.experiments), 'experiments')}: {', '.join(names)}" + (
        ", ..." if len(use.experiments) > len(names) else ""
    )
