"""`cwt du`: what each version of each weight file costs in this clone, and what versions share."""

from __future__ import annotations

import argparse
import json
import sys

from hundredweight.base.sizes import format_size
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.table import format_moment, format_table
from hundredweight.cli.weights import printable
from hundredweight.client.du import measure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.du import Cost, Usage

DESCRIPTION = (
    "Show what each version of each LFS file costs in this clone. ADDED are the stored bytes that no earlier version needs, "
    "SHARED those that this version has in common with earlier ones; what is packed is counted as it stands in packs. So ADDED "
    "of all versions makes up what they take together. Versions that are not in this clone cost nothing and are only counted."
)
HEAD = ("PATH", "COMMIT", "DATE", "SIZE", "ADDED", "", "SHARED", "KEPT")
_RIGHT = (3, 4, 5, 6)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt du", description=DESCRIPTION)
    made.add_argument("paths", nargs="*", metavar="PATH", help="only versions of these paths, as in 'git log -- PATH'")
    made.add_argument("--json", action="store_true", help="print everything as JSON, sizes in bytes")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    usage = measure(open_clone(environment), options.paths)
    sys.stdout.write(as_json(usage) if options.json else as_text(usage, bold=sys.stdout.isatty()))
    return 0


def as_json(usage: Usage) -> str:
    """One object with every key always there."""
    found = {
        "versions": [
            {
                "path": cost.version.path or None,
                "commit": cost.version.commit or None,
                "time": cost.version.seconds or None,
                "oid": cost.version.oid,
                "size": cost.version.size,
                "added": cost.added,
                "shared": cost.shared,
                "kept": cost.kept,
            }
            for cost in _sorted(usage)
        ],
        "missing": usage.missing,
        "objects": usage.objects,
        "raw": usage.raw,
        "stored": usage.stored,
        "other": usage.other,
        "percent": round(100 * usage.stored / usage.raw, 2) if usage.raw else None,
        "clone": {"loose": usage.loose, "packs": usage.packs, "packed": usage.pack_bytes},
    }
    return json.dumps(found, indent=2) + "\n"


def as_text(usage: Usage, *, bold: bool = False) -> str:
    """A table of versions by path, the oldest first, and the totals."""
    text = ""
    if usage.costs:
        head, _, rows = format_table(HEAD, [_row(cost) for cost in _sorted(usage)], _RIGHT).partition("\n")
        text = (f"\x1b[1m{head}\x1b[m" if bold else head) + f"\n{rows}\n"
    percent = f" ({100 * usage.stored / usage.raw:.1f} %)" if usage.raw else ""
    noun = "1 object" if usage.objects == 1 else f"{usage.objects} objects"
    text += f"{noun}: {format_size(usage.raw)} raw, {format_size(usage.stored)} stored{percent}\n"
    if usage.other:
        text += f"{format_size(usage.other)} of that are indexes of packs and what no version needs\n"
    packs = "1 pack" if usage.packs == 1 else f"{usage.packs} packs"
    text += f"this clone: {format_size(usage.loose)} loose, {format_size(usage.pack_bytes)} in {packs}\n"
    if usage.missing:
        noun = "1 more version is" if usage.missing == 1 else f"{usage.missing} more versions are"
        text += f"{noun} not in this clone\n"
    return text


def _sorted(usage: Usage) -> list[Cost]:
    """By path, versions in the order of history; what no commit names last."""
    return sorted(usage.costs, key=lambda cost: (not cost.version.path, cost.version.path))


def _row(cost: Cost) -> tuple[str, ...]:
    version = cost.version
    commit = version.commit[:7] or ("(staged)" if version.path else "")
    date = format_moment(version.seconds)[:10] if version.commit else ""
    share = f"{100 * cost.added / version.size:.0f} %"
    sizes = (format_size(version.size), format_size(cost.added), share, format_size(cost.shared))
    return (printable(version.path) or f"(no commit) {version.oid[:12]}", commit, date, *sizes, cost.kept)
