"""What is drawn: series of points on axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Okabe and Ito's colours, which people with any colour vision tell apart, without their yellow: too light on white.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#404040")
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 3), (1.5, 2.5), (8, 3, 2, 3))
"""After the colours are used up, lines differ by these."""
MOST_POINTS = 2000


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together, in the order of their line. `place` picks colour and dash: equal in all charts of a figure.
    `labels` name single points, where the series' name does not say it all."""

    name: str
    xs: tuple[float, ...] = ()
    ys: tuple[float, ...] = ()
    place: int = 0
    labels: tuple[str, ...] = ()

    @property
    def colour(self) -> str:
        return PALETTE[self.place % len(PALETTE)]

    @property
    def dash(self) -> tuple[float, ...]:
        return DASHES[self.place // len(PALETTE) % len(DASHES)]


@dataclass(frozen=True, slots=True)
class Chart:
    """One pair of axes. `lines`: points are joined; otherwise each is a dot. `categories` are names of x = 0, 1, 2..., for values
    that are no numbers. On a logarithmic axis only positive values are drawn."""

    y_label: str
    x_label: str = "step"
    series: tuple[Series, ...] = ()
    lines: bool = True
    log_x: bool = False
    log_y: bool = False
    categories: tuple[str, ...] = ()

    def drawable(self) -> Chart:
        """The same without points that its axes cannot show, and with no more points a line than can be seen."""
        made = []
        for series in self.series:
            kept = [
                place
                for place, (x, y) in enumerate(zip(series.xs, series.ys, strict=True))
                if (x > 0 or not self.log_x) and (y > 0 or not self.log_y)
            ]
            if self.lines:
                kept = thin(kept, series.ys, MOST_POINTS)
            if kept:
                xs, ys = (tuple(values[place] for place in kept) for values in (series.xs, series.ys))
                labels = tuple(series.labels[place] for place in kept) if series.labels else ()
                made.append(replace(series, xs=xs, ys=ys, labels=labels))
        return replace(self, series=tuple(made))


@dataclass(frozen=True, slots=True)
class Figure:
    """Charts under one title, with one legend: series of one `place` are the same experiment in all."""

    title: str
    charts: tuple[Chart, ...]
    legend: tuple[Series, ...] = ()
    legend_lines: bool = True


def thin(places: Sequence[int], ys: Sequence[float], most: int) -> list[int]:
    """At most `most` of the points that look the same: of each run the first, the lowest, the highest and the last."""
    if len(places) <= most:
        return list(places)
    runs = max(1, most // 4)
    kept: list[int] = []
    for run in range(runs):
        some = places[run * len(places) // runs : (run + 1) * len(places) // runs]
        low, high = min(some, key=ys.__getitem__), max(some, key=ys.__getitem__)
        kept += sorted({some[0], low, high, some[-1]})
    return kept
