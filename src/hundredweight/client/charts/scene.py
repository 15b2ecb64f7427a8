"""A figure as shapes on a page, from which every kind of file is written alike."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hundredweight.client.charts.axis import Axis, axis, categorical

if TYPE_CHECKING:
    from hundredweight.client.charts.chart import Chart, Figure, Series

INK, QUIET, GRID, PAPER = "#222222", "#666666", "#e4e4e4", "#ffffff"
_SIZE, _SMALL, _TITLE = 12.0, 11.0, 15.0
_PANEL_WIDTH, _PANEL_HEIGHT, _WIDE = 430.0, 290.0, 720.0
_GAP = 18.0
_DOT = 4.0
_FEW = 40
"""Points of a line up to which each is marked."""
_LONGEST = 48


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: float = 1.0
    dash: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled circle; `told` is what it stands for, in words."""

    x: float
    y: float
    radius: float
    colour: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """`anchor` start, middle or end is where (x, y) is in it, on its base line. `turned`: written from bottom to top."""

    x: float
    y: float
    text: str
    size: float = _SIZE
    colour: str = INK
    anchor: str = "start"
    turned: bool = False
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """Shapes in the order in which they are drawn, on white."""

    width: float
    height: float
    shapes: tuple[Line | Dot | Text, ...]


def text_width(text: str, size: float) -> float:
    """About how wide a text is in a sans-serif font: good enough to keep texts apart."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    narrow = sum(character in "iljftr.,:;'|!()[] " for character in text)
    return size * (wide * 1.0 + narrow * 0.36 + (len(text) - wide - narrow) * 0.6)


def lay_out(figure: Figure) -> Scene:
    """One chart wide, several in two columns; the legend below the title."""
    columns = 1 if len(figure.charts) == 1 else 2
    panel = _WIDE if columns == 1 else _PANEL_WIDTH
    height = _PANEL_HEIGHT * (1.25 if columns == 1 else 1)
    width = columns * panel + (columns + 1) * _GAP
    shapes: list[Line | Dot | Text] = []
    y = _GAP / 2
    if figure.title:
        y = _GAP + _TITLE
        shapes.append(Text(_GAP, y, _shorten(figure.title, 90), _TITLE, bold=True))
        y += 12
    y = _legend(figure, shapes, width, y)
    for place, chart in enumerate(figure.charts):
        left = _GAP + place % columns * (panel + _GAP)
        top = y + place // columns * (height + _GAP)
        _draw(chart, shapes, left, top, panel, height)
    rows = math.ceil(len(figure.charts) / columns)
    return Scene(width, y + rows * (height + _GAP), tuple(shapes))


def _legend(figure: Figure, shapes: list[Line | Dot | Text], width: float, y: float) -> float:
    """Draw it; gives where it ends."""
    x = _GAP
    y += 6
    for series in figure.legend:
        name = _shorten(series.name, _LONGEST)
        needed = 30 + text_width(name, _SIZE) + 24
        if x > _GAP and x + needed > width - _GAP:
            x, y = _GAP, y + 18
        if figure.legend_lines:
            shapes.append(Line(((x, y), (x + 24, y)), series.colour, 2.2, series.dash))
        else:
            shapes.append(Dot(x + 12, y, _DOT, series.colour))
        shapes.append(Text(x + 30, y + 4, name))
        x += needed
    return y + (14 if figure.legend else 0)


def _draw(chart: Chart, shapes: list[Line | Dot | Text], left: float, top: float, width: float, height: float) -> None:
    shown = chart.drawable()
    ys = axis((value for series in shown.series for value in series.ys), log=chart.log_y, count=7)
    # Labels of x must not run into each other.
    xs = _x_axis(shown, width)
    margin = max((text_width(text, _SMALL) for _, text in ys.ticks), default=0) + 30
    x0, x1 = left + margin, left + width - 8
    y0, y1 = top + height - 42, top + 12
    for value, text in ys.ticks:
        y = y0 - ys.place(value) * (y0 - y1)
        shapes.append(Line(((x0, y), (x1, y)), GRID))
        shapes.append(Text(x0 - 7, y + 4, text, _SMALL, QUIET, "end"))
    for value, text in xs.ticks:
        x = x0 + xs.place(value) * (x1 - x0)
        shapes.append(Line(((x, y0), (x, y0 + 4)), QUIET))
        shapes.append(Text(x, y0 + 18, _shorten(text, 20), _SMALL, QUIET, "middle"))
    shapes.append(Line(((x0, y1), (x0, y0), (x1, y0)), QUIET))
    shapes.append(
        Text(
            (x0 + x1) / 2,
            y0 + 36,
            _shorten(chart.x_label, _LONGEST) + (" (log)" if chart.log_x else ""),
            anchor="middle",
        )
    )
    label = _shorten(chart.y_label, 36) + (" (log)" if chart.log_y else "")
    shapes.append(Text(left + 11, (y0 + y1) / 2, label, anchor="middle", turned=True))
    if not shown.series:
        shapes.append(Text((x0 + x1) / 2, (y0 + y1) / 2, "nothing to draw", colour=QUIET, anchor="middle"))
    for series in shown.series:
        points = tuple(
            (x0 + xs.place(x) * (x1 - x0), y0 - ys.place(y) * (y0 - y1))
            for x, y in zip(series.xs, series.ys, strict=True)
        )
        _draw_series(chart, series, points, shapes)


def _draw_series(
    chart: Chart, series: Series, points: tuple[tuple[float, float], ...], shapes: list[Line | Dot | Text]
) -> None:
    if chart.lines and len(points) > 1:
        shapes.append(Line(points, series.colour, 1.8, series.dash))
    if chart.lines and len(points) > _FEW:
        return
    labels = series.labels or (series.name,) * len(points)
    for (x, y), at, value, label in zip(points, series.xs, series.ys, labels, strict=True):
        name = chart.categories[int(at)] if chart.categories else f"{at:.6g}"
        told = f"{label}: {chart.x_label} {name}, {chart.y_label} {value:.6g}"
        shapes.append(Dot(x, y, 2.4 if chart.lines else _DOT, series.colour, told))


def _x_axis(chart: Chart, width: float) -> Axis:
    if chart.categories:
        made = categorical(chart.categories)
        room = width / max(1, len(chart.categories))
        widest = max(text_width(_shorten(name, 20), _SMALL) for name in chart.categories) + 8
        every = max(1, math.ceil(widest / room))
        return replace(made, ticks=made.ticks[::every])
    values = [value for series in chart.series for value in series.xs]
    made = axis(values, log=chart.log_x, count=6, padding=0.0 if chart.lines and not chart.log_x else 0.04)
    widest = max((text_width(text, _SMALL) for _, text in made.ticks), default=1) + 10
    every = max(1, math.ceil(len(made.ticks) * widest / width))
    return replace(made, ticks=made.ticks[::every])


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
