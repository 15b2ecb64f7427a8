"""docs/benchmarks.md has two makers: each writes its own part and keeps the other's."""

from __future__ import annotations

from pathlib import Path

from bench.stage import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
SCALE = "## Weights at scale: memory\n"
"""The last section's title."""


def write_comparison(page: Path, text: str) -> None:
    """Everything before the section on scale."""
    _, title, scale = _read(page).partition(SCALE)
    page.parent.mkdir(exist_ok=True)
    page.write_text(text + ("\n" if title else "") + title + scale)


def write_scale(page: Path, text: str) -> None:
    """The section on scale, which begins with its title."""
    comparison, _, _ = _read(page).partition(SCALE)
    page.write_text(comparison.rstrip() + "\n\n" * bool(comparison.strip()) + text)


def _read(page: Path) -> str:
    return page.read_text() if page.exists() else ""
