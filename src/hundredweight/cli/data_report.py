"""What the data commands share: their options, fetching what is missing, and numbers as people read them."""

from __future__ import annotations

import sys

from hundredweight.base.errors import LocalError
from hundredweight.cli.weights import printable
from hundredweight.client.data import sides
from hundredweight.client.data.rows import Columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from hundredweight.client.data.sides import Side
    from hundredweight.client.data.survey import Leak, Survey
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.data import DataFile
    from hundredweight.lineage.record import DataVersion

SHOWN_LABELS = 12
LONGEST = 60
"""Characters of a label that are shown."""


class FetchFailed(LocalError):
    """Some content of the data could not be downloaded. What arrived is kept."""

    hint = "run 'git lfs fetch' to see each failure"


def add_options(made: argparse.ArgumentParser) -> None:
    """Options that say what to read and how to show it."""
    add = made.add_argument
    add("--id", default="", metavar="COLUMN", help="the column that says which row it is (default: id, uid, uuid, ...)")
    add("--label", default="", metavar="COLUMN", help="the column of labels (default: label, class or target)")
    add("--split", default="", metavar="COLUMN", help="the column of splits (default: split, subset or partition)")
    add("--fetch", action="store_true", help="first download content that is not here")
    shape = made.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print everything as JSON")
    shape.add_argument("--md", action="store_true", help="print Markdown tables, for reviews")


def columns(options: argparse.Namespace) -> Columns:
    return Columns(options.id, options.split, options.label)


def make_available(workspace: Workspace, wanted: Iterable[Side], *, fetch: bool) -> None:
    """See that all rows can be read. Raises `DataNotHere`, `FetchFailed`, and what a download raises."""
    absent: dict[str, DataFile] = {}
    for side in wanted:
        for file in sides.missing(workspace, sides.files(workspace, side)):
            absent.setdefault(file.content, file)
    if not absent:
        return
    if not fetch:
        raise sides.DataNotHere(list(absent.values()))
    from hundredweight.cli.progress import TransferMeter
    from hundredweight.client.fetch import Fetcher

    with Fetcher(workspace) as fetcher:
        meter = TransferMeter(sys.stderr, live=sys.stderr.isatty())
        failures = fetcher.execute(fetcher.plan(sides.as_pointers(absent.values())), meter)
    if failures:
        raise FetchFailed(f"cannot download '{failures[0].item.path}': {failures[0].error}")


def counted(count: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{count:,} {noun.removesuffix('s') if count == 1 else noun}"


def labels_text(counts: Mapping[str, int]) -> str:
    """`cat 600, dog 400, and 3 more`; nothing where there are no labels."""
    named = [f"{label_name(label)} {count:,}" for label, count in counts.items()]
    if list(counts) == [""]:
        return ""
    more = len(named) - SHOWN_LABELS
    return ", ".join(named[:SHOWN_LABELS]) + (f", and {more} more" if more > 0 else "")


def label_name(label: str) -> str:
    """A label as it may be shown: it comes from a file's content."""
    return printable(label[:LONGEST]) or "(none)"


def split_name(split: str) -> str:
    return printable(split[:LONGEST]) or "(no split)"


def leak_text(leak: Leak, noun: str) -> str:
    first, second = map(split_name, leak.splits)
    said = f"{counted(leak.rows, noun)} of {second} {'is' if leak.rows == 1 else 'are'} in {first} too"
    return said + (printable(f" ({leak.examples[0][0]} and {leak.examples[0][1]})") if leak.examples else "")


def version_json(version: DataVersion) -> dict[str, object]:
    return {
        "path": version.path,
        "version": version.version or None,
        "tree": version.tree or None,
        "digest": version.digest or None,
        "files": version.files,
        "bytes": version.bytes,
    }


def survey_json(found: Survey) -> dict[str, object]:
    return {
        "files": found.files,
        "bytes": found.bytes,
        "kind": found.noun,
        "total": found.total,
        "splits": {split: {"total": sum(labels.values()), "labels": labels} for split, labels in _by_split(found)},
        "columns": list(found.columns),
        "ragged": found.ragged,
        "repeated": dict(found.repeated),
        "conflicts": found.conflicts,
        "leaks": [
            {"splits": list(leak.splits), "items": leak.items, "rows": leak.rows, "examples": leak.examples}
            for leak in found.leaks
        ],
    }


def _by_split(found: Survey) -> list[tuple[str, dict[str, int]]]:
    return [(split, found.by_split(split)) for split in found.splits]
