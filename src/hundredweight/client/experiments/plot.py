"""`cwt exp plot`: curves of experiments over steps, or a parameter against metrics, as a figure."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.client.charts.chart import Chart, Figure, Series
from hundredweight.client.experiments.curves import read_curves
from hundredweight.client.experiments.table import check_fields, get, text_of
from hundredweight.lineage import message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.client.experiments.curves import Curve
    from hundredweight.git.run import Git
    from hundredweight.lineage.experiments import Experiment
    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.listing import Row

MOST_CHARTS = 12
MOST_GROUPS = 28
"""As many series as colours and dashes tell apart."""


class NothingToPlot(UsageError):
    """The experiments have nothing of what was asked for."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure with its numbers as a table, and what was left out, for the user."""

    figure: Figure
    head: list[str]
    rows: list[list[str]]
    notes: list[str]


def plot_curves(
    git: Git, found: Sequence[Experiment], names: Sequence[str], patterns: Sequence[str] = (), *,
    log_x: bool = False, log_y: bool = False, title: str = "",
) -> Plot:  # fmt: skip
    """A chart a metric, a line an experiment. `names` head the lines; `patterns` choose metrics. Raises `NothingToPlot`."""
    curves: list[dict[str, Curve]] = [{curve.name: curve for curve in read_curves(git, each)} for each in found]
    metrics = _chosen(dict.fromkeys(name for each in curves for name in each), patterns)
    if not metrics:
        raise NothingToPlot(
            "no curves to draw" + (f" called {', '.join(patterns)}" if patterns else ""),
            hint="curves come from the metric files of a run; 'cwt exp plot --against PARAMETER' needs none",
        )
    notes = [f"'{name}' has no curves" for name, each in zip(names, curves, strict=True) if not each]
    charts = []
    for metric in metrics[:MOST_CHARTS]:
        series = [
            Series(name, tuple(each[metric].steps), tuple(each[metric].values), place)
            for place, (name, each) in enumerate(zip(names, curves, strict=True))
            if metric in each
        ]
        charts.append(Chart(metric, "step", tuple(series), log_x=log_x, log_y=log_y))
    legend = tuple(Series(name, place=place) for place, name in enumerate(names) if curves[place])
    rows = [
        [name, *(_last(each.get(metric)) for metric in metrics[:MOST_CHARTS])]
        for name, each in zip(names, curves, strict=True)
        if each
    ]
    head = ["experiment", *(f"{metric} (last)" for metric in metrics[:MOST_CHARTS])]
    return Plot(Figure(title, tuple(charts), legend), head, rows, notes + _left_out(metrics))


def plot_against(
    rows: Sequence[Row], field: str, patterns: Sequence[str] = (), *,
    by: str = "", log_x: bool = False, log_y: bool = False, title: str = "",
) -> Plot:  # fmt: skip
    """A chart a metric, a dot an experiment, at its value of `field`; coloured `by` another one. Raises `UnknownField`,
    `NothingToPlot`."""
    check_fields(rows, [field, by] if by else [field])
    having = [row for row in rows if get(row, field) is not None]
    metrics = _chosen(
        dict.fromkeys(name for row in having for name, value in row.metrics.items() if _is_number(value)), patterns
    )
    if not metrics:
        raise NothingToPlot(
            f"no experiment has '{field}' and such a metric", hint="run 'cwt exp list' to see what they have"
        )
    values = [get(row, field) for row in having]
    numeric = all(_is_number(value) for value in values)
    categories = [] if numeric else sorted({text_of(value) for value in values})
    groups = list(dict.fromkeys(_group(row, by) for row in having))
    if by and all(_is_number(get(row, by)) for row in having):
        groups.sort(key=float)
    charts = []
    for metric in metrics[:MOST_CHARTS]:
        series = []
        for place, group in enumerate(groups[:MOST_GROUPS]):
            members = [row for row in having if _group(row, by) == group and _is_number(row.metrics.get(metric))]
            places = [
                _number(get(row, field)) if numeric else categories.index(text_of(get(row, field))) for row in members
            ]
            series.append(
                Series(
                    group,
                    tuple(map(float, places)),
                    tuple(_number(row.metrics[metric]) for row in members),
                    place,
                    tuple(row.name or row.id for row in members),
                )
            )
        charts.append(
            Chart(
                metric,
                field,
                tuple(series),
                lines=False,
                log_x=log_x and numeric,
                log_y=log_y,
                categories=tuple(categories),
            )
        )
    legend = (
        tuple(Series(f"{by}={group}", place=place) for place, group in enumerate(groups[:MOST_GROUPS])) if by else ()
    )
    table = [
        [
            row.name or row.id,
            text_of(get(row, field)),
            *(text_of(row.metrics.get(metric)) for metric in metrics[:MOST_CHARTS]),
        ]
        for row in having
    ]
    notes = _left_out(metrics)
    if len(groups) > MOST_GROUPS:
        notes.append(f"'{by}' has {len(groups)} values; {MOST_GROUPS} are drawn")
    return Plot(
        Figure(title, tuple(charts), legend, legend_lines=False),
        ["experiment", field, *metrics[:MOST_CHARTS]],
        table,
        notes,
    )


def _chosen(names: dict[str, None], patterns: Sequence[str]) -> list[str]:
    """In the order of the patterns, else of the names."""
    if not patterns:
        return list(names)
    return list(dict.fromkeys(name for pattern in patterns for name in fnmatch.filter(names, pattern)))


def _left_out(metrics: Sequence[str]) -> list[str]:
    if len(metrics) <= MOST_CHARTS:
        return []
    return [f"{len(metrics)} metrics; {MOST_CHARTS} are drawn (choose with --metric)"]


def _group(row: Row, by: str) -> str:
    return (text_of(get(row, by)) or "none") if by else ""


def _last(curve: Curve | None) -> str:
    return "" if curve is None else message.show(float(f"{curve.values[-1]:.6g}"))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Value) -> float:
    assert isinstance(value, int | float)
    return float(value)
