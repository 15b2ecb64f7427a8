"""How merges of weights tell what is in conflict."""

from __future__ import annotations

import sys

from hundredweight.cli.weights import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.merge import Merged
    from hundredweight.client.merge_weights import MergeConflict

_MAX_LINES = 100


def report_conflicts(conflict: MergeConflict, *, again: str = "") -> None:
    """Each name with its reason, on stderr. `again` is the git command that merges once more, with a strategy."""
    lines = [f"{conflict.message}\n"]
    lines += [f"  {printable(item.name)}: {printable(item.reason)}\n" for item in conflict.conflicts[:_MAX_LINES]]
    if len(conflict.conflicts) > _MAX_LINES:
        lines.append(f"  ... and {len(conflict.conflicts) - _MAX_LINES} more\n")
    if again:
        lines.append(f"hint: ours is kept; choose with: git -c hundredweight.merge.strategy=average {again}\n")
        lines.append("hint: (or ours, theirs, sum; hundredweight.merge.rule for some of the tensors), then 'git add'\n")
    sys.stderr.write("".join(lines))


def report_kept(path: str, merged: Merged) -> None:
    """Say which metadata was not merged, since a strategy for numbers says nothing about texts."""
    if merged.kept:
        keys = ", ".join(printable(key) for key in merged.kept[:10]) + (", ..." if len(merged.kept) > 10 else "")
        sys.stderr.write(f"note: '{path}': both sides changed metadata; ours is kept of: {keys}\n")
