"""Markdown that people read in merge requests: cells and tables, whatever the texts hold."""

from __future__ import annotations

from hundredweight.cli.weights import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """A text on one line that ends no cell and no code."""
    return printable(text).replace("|", "\\|").replace("`", "'")


def code(text: str) -> str:
    return f"`{cell(text)}`"


def format_markdown(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table of cells that are Markdown already; columns in `right` are aligned to their right. Ends with a line feed."""
    lines = [_line(head), "|" + "|".join("---:" if place in right else "---" for place in range(len(head))) + "|"]
    return "\n".join([*lines, *(_line(row) for row in rows)]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
