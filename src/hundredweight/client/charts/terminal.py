"""A chart on a terminal: dots of Braille patterns, two by four in a cell, or a letter a series where there is no colour."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hundredweight.client.charts.axis import Axis, axis, categorical

if TYPE_CHECKING:
    from hundredweight.client.charts.chart import Chart, Figure

_BRAILLE = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_COLOURS = (34, 31, 32, 35, 36, 33, 90)
"""Of the terminal, in the order of the palette."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def draw_figure(figure: Figure, width: int = 80, height: int = 14, *, colour: bool = False) -> str:
    """All charts, one below the other, and the legend at the end."""
    letters = not colour and len(figure.legend) > 1
    parts = [draw(chart, width, height, colour=colour, letters=letters) for chart in figure.charts]
    legend = []
    for series in figure.legend:
        mark = _LETTERS[series.place % len(_LETTERS)] if letters else "━━" if figure.legend_lines else "●"
        legend.append(_paint(mark, series.place if colour else None) + f" {series.name}")
    return "\n".join(parts) + ("\n" + "\n".join(legend) + "\n" if legend else "")


def draw(chart: Chart, width: int = 80, height: int = 14, *, colour: bool = False, letters: bool = False) -> str:
    """One chart in lines of at most `width` characters."""
    shown = chart.drawable()
    ys = axis((value for series in shown.series for value in series.ys), log=chart.log_y, count=max(2, height // 4))
    xs = categorical(chart.categories) if chart.categories else axis(
        (value for series in shown.series for value in series.xs), log=chart.log_x, count=max(2, width // 16), padding=0.0
    )  # fmt: skip
    margin = max([len(text) for _, text in ys.ticks] + [1])
    columns = max(8, width - margin - 2)
    canvas = _Canvas(columns, height, letters=letters)
    for series in shown.series:
        points = [(xs.place(x), ys.place(y)) for x, y in zip(series.xs, series.ys, strict=True)]
        canvas.draw(points, series.place, joined=chart.lines)
    labels = {height - 1 - min(height - 1, int(ys.place(value) * height)): text for value, text in ys.ticks}
    head = chart.y_label + (" (log)" if chart.log_y else "")
    lines = [" " * (margin + 2) + head[:columns]]
    for row, cells in enumerate(canvas.rows(colour=colour)):
        lines.append(f"{labels.get(row, '').rjust(margin)} {'┤' if row in labels else '│'}{cells}".rstrip())
    lines.append(" " * (margin + 1) + "└" + "─" * columns)
    lines.append(" " * (margin + 2) + _ticks(xs, columns))
    label = chart.x_label + (" (log)" if chart.log_x else "")
    lines.append(" " * (margin + 2) + label[:columns].center(columns).rstrip())
    return "\n".join(lines) + "\n"


class _Canvas:
    """Cells of a terminal. A cell shows the series that was drawn there last."""

    def __init__(self, columns: int, rows: int, *, letters: bool) -> None:
        self._columns = columns
        self._rows = rows
        self._letters = letters
        self._bits: dict[tuple[int, int], int] = {}
        self._owner: dict[tuple[int, int], int] = {}

    def draw(self, points: list[tuple[float, float]], owner: int, *, joined: bool) -> None:
        """Points with both coordinates between 0 and 1, y upwards."""
        wide, high = (self._columns, self._rows) if self._letters else (self._columns * 2, self._rows * 4)
        dots = [(min(wide - 1, int(x * wide)), high - 1 - min(high - 1, int(y * high))) for x, y in points]
        for dot in dots:
            self._set(dot, owner)
            if not joined and not self._letters:
                # One dot of Braille is hard to see.
                for neighbour in ((dot[0] ^ 1, dot[1]), (dot[0], dot[1] ^ 1), (dot[0] ^ 1, dot[1] ^ 1)):
                    self._set(neighbour, owner)
        for (x0, y0), (x1, y1) in itertools.pairwise(dots) if joined else ():
            steps = max(abs(x1 - x0), abs(y1 - y0))
            for step in range(1, steps):
                self._set((round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)), owner)

    def _set(self, dot: tuple[int, int], owner: int) -> None:
        x, y = dot
        cell = (x, y) if self._letters else (x // 2, y // 4)
        self._bits[cell] = self._bits.get(cell, 0) | (1 if self._letters else _BITS[y % 4][x % 2])
        self._owner[cell] = owner

    def rows(self, *, colour: bool) -> list[str]:
        lines = []
        for row in range(self._rows):
            cells = [self._cell((column, row), colour) for column in range(self._columns)]
            lines.append("".join(cells))
        return lines

    def _cell(self, cell: tuple[int, int], colour: bool) -> str:
        bits = self._bits.get(cell)
        if bits is None:
            return " "
        owner = self._owner[cell]
        mark = _LETTERS[owner % len(_LETTERS)] if self._letters else chr(_BRAILLE + bits)
        return _paint(mark, owner if colour else None)


def _paint(text: str, place: int | None) -> str:
    return text if place is None else f"\x1b[{_COLOURS[place % len(_COLOURS)]}m{text}\x1b[m"


def _ticks(xs: Axis, columns: int) -> str:
    """Labels at their places, as far as they do not touch."""
    line = ""
    for value, text in xs.ticks:
        at = int(xs.place(value) * (columns - 1)) - len(text) // 2
        at = max(0, min(at, columns - len(text)))
        if at >= len(line) + (1 if line else 0):
            line = line.ljust(at) + text
    return line
