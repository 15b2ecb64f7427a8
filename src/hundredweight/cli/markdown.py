"""Markdown that people read in merge requests: names and tables, whatever the texts hold."""

from __future__ import annotations

from hundredweight.cli.weights import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def escape(text: str) -> str:
    """A text as it is, on one line and inside a cell."""
    made = printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`").replace("*", "\\*")
    return made.replace("<", "&lt;").replace("_", "\\_")


def code(text: str) -> str:
    """A text as code; a backtick would end it."""
    made = printable(text).replace("|", "\\|").replace("`", "'")
    return f"`{made}`"


def format_markdown(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table of cells that are Markdown already; columns in `right` are aligned to their right. Ends with a line feed."""
    lines = [_line(head), "|" + "|".join("---:" if place in right else "---" for place in range(len(head))) + "|"]
    return "\n".join([*lines, *(_line(row) for row in rows)]) + "\n"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table of texts."""
    return format_markdown([escape(text) for text in head], ([escape(text) for text in row] for row in rows), right)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
