"""`cwt data diff`: rows, items and files added, removed and changed between two versions of the data, by split and label."""

from __future__ import annotations

import argparse
import json
import sys

from hundredweight.base.errors import EXIT_FAILURE
from hundredweight.base.sizes import format_size
from hundredweight.cli.data_report import (
    add_options,
    columns,
    counted,
    label_name,
    leak_text,
    make_available,
    split_name,
    survey_json,
    version_json,
)
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.table import format_table
from hundredweight.cli.weights import printable
from hundredweight.client.data import sides
from hundredweight.client.data.compare import compare
from hundredweight.client.data.names import split_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import Counter

    from hundredweight.cli.env import Environment
    from hundredweight.client.data.compare import Difference, FileChange
    from hundredweight.client.data.sides import Side
    from hundredweight.client.workspace import Workspace

DESCRIPTION = (
    "Compare two versions of the data. Without B it is A against the work tree, without both the last commit against the work "
    "tree. Rows are compared as sets: neither their order nor that of columns counts. A row with an id that has other content "
    "changed; without an id, a row whose label alone differs changed. Rows that stand in another split now have moved. Files of "
    "one item are known by content and path."
)
SHOWN_FILES = 20
_HEAD = ("SPLIT", "LABEL", "BEFORE", "AFTER", "ADDED", "REMOVED", "CHANGED")
_RIGHT = (2, 3, 4, 5, 6)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt data diff", description=DESCRIPTION)
    made.add_argument(
        "before", nargs="?", default="HEAD", metavar="A", help="the old version: a commit, tag or branch (HEAD)"
    )
    made.add_argument("after", nargs="?", default="", metavar="B", help="the new version (the work tree)")
    made.add_argument(
        "--path", action="append", default=[], dest="paths", metavar="PATH", help="only this data path; repeatable"
    )
    made.add_argument("--exit-code", action="store_true", help="exit with 1 when the data differs")
    add_options(made)
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment, work_tree=not options.after)
    before = sides.open_revision(workspace, options.before, options.paths)
    if options.after:
        after = sides.open_revision(workspace, options.after, options.paths)
    else:
        after = sides.open_work_tree(workspace, options.paths)
    both = (before, after)
    make_available(workspace, both, fetch=options.fetch)
    files = (sides.files(workspace, before), sides.files(workspace, after))
    with sides.Contents(workspace) as contents:
        found = compare(both, files, contents, workspace.store.temp, columns(options))
    if options.json:
        sys.stdout.write(as_json(workspace, both, found))
    else:
        sys.stdout.write(as_markdown(found) if options.md else as_text(found))
    return EXIT_FAILURE if options.exit_code and not found.same else 0


def as_json(workspace: Workspace, both: tuple[Side, Side], found: Difference) -> str:
    added, removed = found.columns
    document = {
        "before": _side(workspace, both[0]) | survey_json(found.before),
        "after": _side(workspace, both[1]) | survey_json(found.after),
        "same": found.same,
        "files": {kind: found.file_counts[kind] for kind in ("added", "removed", "changed")}
        | {
            "listed": [{"path": file.path, "before": file.old, "after": file.new} for file in found.files],
            "more": found.more_files,
        },
        "changes": [
            {
                "split": split,
                "label": label,
                "before": found.before.counts[split, label],
                "after": found.after.counts[split, label],
                "added": found.added[split, label],
                "removed": found.removed[split, label],
                "changed": found.changed[split, label],
            }
            for split, label in _groups(found)
        ],
        "totals": {
            "added": found.added.total(),
            "removed": found.removed.total(),
            "changed": found.changed.total(),
            "moved": found.moves.total(),
            "renamed": found.renamed,
        },
        "moves": [{"from": old, "to": new, "count": count} for (old, new), count in _sorted(found.moves)],
        "relabelled": [{"from": old, "to": new, "count": count} for (old, new), count in _sorted(found.relabelled)],
        "columns": {"added": added, "removed": removed},
    }
    return json.dumps(document, indent=2) + "\n"


def as_text(found: Difference) -> str:
    if found.same:
        return "the data is the same\n"
    text = _totals(found) + "\n"
    rows = _table(found)
    if rows:
        text += "\n" + format_table(_HEAD, rows, _RIGHT)
    notes = _notes(found)
    if notes:
        text += "\n" + "".join(f"{note}\n" for note in notes)
    return text + "\n" + "".join(f"{_file(file)}\n" for file in found.files[:SHOWN_FILES]) + _more(found)


def as_markdown(found: Difference) -> str:
    if found.same:
        return "The data is the same.\n"
    text = f"**Data:** {_totals(found)}\n"
    rows = _table(found)
    if rows:
        text += f"\n| {' | '.join(name.lower() for name in _HEAD)} |\n|---|---|--:|--:|--:|--:|--:|\n"
        text += "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)
    notes = _notes(found) + [_file(file) for file in found.files[:SHOWN_FILES]]
    more = _more(found).strip()
    return text + "\n" + "".join(f"- {note}\n" for note in [*notes, *([more] if more else [])])


def _side(workspace: Workspace, side: Side) -> dict[str, object]:
    data = [] if side.is_work_tree else [version_json(version) for version in sides.versions(workspace, side)]
    return {"revision": side.name or None, "commit": None if side.is_work_tree else side.commit, "data": data}


def _totals(found: Difference) -> str:
    files = [
        f"{found.file_counts[kind]:,} {kind}" for kind in ("added", "removed", "changed") if found.file_counts[kind]
    ]
    size = f"{format_size(found.before.bytes)} -> {format_size(found.after.bytes)}"
    said = f"files: {', '.join(files)} ({size})"
    noun = found.after.noun if found.after.total else found.before.noun
    counts = (("added", found.added), ("removed", found.removed), ("changed", found.changed), ("moved", found.moves))
    items = [f"{count.total():,} {kind}" for kind, count in counts if count.total()]
    items += [f"{found.renamed:,} renamed"] if found.renamed else []
    if found.before.total or found.after.total:
        said = f"{noun}: {', '.join(items) or 'the same'} ({found.before.total:,} -> {found.after.total:,}); {said}"
    return said


def _groups(found: Difference) -> list[tuple[str, str]]:
    """Every (split, label) there is, in the order of splits."""
    counters = (found.before.counts, found.after.counts)
    groups = {group for counter in counters for group in counter}
    return sorted(groups, key=lambda group: (split_order(group[0]), group[1]))


def _table(found: Difference) -> list[tuple[str, ...]]:
    """What changed by split and label, and every split's total where it has labels."""
    rows = []
    groups = _groups(found)
    for split in dict.fromkeys(split for split, _ in groups):
        labels = [label for name, label in groups if name == split]
        rows.append(_row(found, split, labels, "" if labels == [""] else "all"))
        if labels != [""]:
            rows += [
                _row(found, split, [label], label_name(label)) for label in labels if _touched(found, split, label)
            ]
    return rows


def _touched(found: Difference, split: str, label: str) -> bool:
    key = (split, label)
    return bool(
        found.added[key]
        or found.removed[key]
        or found.changed[key]
        or found.before.counts[key] != found.after.counts[key]
    )


def _row(found: Difference, split: str, labels: list[str], shown: str) -> tuple[str, ...]:
    def total(counts: Counter[tuple[str, str]]) -> int:
        return sum(counts[split, label] for label in labels)

    before, after = total(found.before.counts), total(found.after.counts)
    changes = [f"{total(counts):,}" if total(counts) else "" for counts in (found.added, found.removed, found.changed)]
    return (split_name(split), shown, f"{before:,}", f"{after:,}", *changes)


def _notes(found: Difference) -> list[str]:
    noun = found.after.noun
    notes = [
        f"moved: {counted(count, noun)} from {split_name(a)} to {split_name(b)}"
        for (a, b), count in _sorted(found.moves)
    ]
    notes += [
        f"relabelled: {counted(count, noun)} from {label_name(a)} to {label_name(b)}"
        for (a, b), count in _sorted(found.relabelled)
    ]
    known = {leak.splits: leak.rows for leak in found.before.leaks}
    for leak in found.after.leaks:
        notes.append(f"leakage: {leak_text(leak, noun)}; before: {known.pop(leak.splits, 0):,}")
    notes += [
        f"no longer leaking: {counted(rows, noun)} of {split_name(pair[1])} (in {split_name(pair[0])} too before)"
        for pair, rows in known.items()
    ]
    if found.after.conflicts or found.before.conflicts:
        notes.append(
            f"conflicts: {counted(found.after.conflicts, noun)} with more than one label; before: {found.before.conflicts:,}"
        )
    added, removed = found.columns
    notes += [f"columns added: {printable(', '.join(added))}"] if added else []
    notes += [f"columns removed: {printable(', '.join(removed))}"] if removed else []
    return notes


def _sorted(counts: Counter[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _file(change: FileChange) -> str:
    path = printable(change.path)
    if change.old is None:
        return f"added {path} ({format_size(change.new or 0)})"
    if change.new is None:
        return f"removed {path} ({format_size(change.old)})"
    return f"changed {path} ({format_size(change.old)} -> {format_size(change.new)})"


def _more(found: Difference) -> str:
    more = max(len(found.files) - SHOWN_FILES, 0) + found.more_files
    return f"and {counted(more, 'files')} more\n" if more else ""
