"""Aligned text tables and moments, for commands that list things."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def format_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Columns two spaces apart, those in `right` aligned to their right, no trailing spaces. Ends with a line feed."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = []
    for line in lines:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text) + "\n"


def format_moment(seconds: float | None, missing: str = "-") -> str:
    """`2026-08-31 14:05`, in UTC."""
    return missing if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
