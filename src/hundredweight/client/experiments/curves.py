"""Curves of an experiment: series of numbers by step, from the files that its record names, in its own tree.

Read are lines of JSON (`{"step": 1, "loss": 0.5}`), CSV with a head (or tab-separated), and the `trainer_state.json` of Hugging
Face; what in them is no number is passed over.
"""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.base.trace import trace
from hundredweight.git.objects import ObjectReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hundredweight.git.run import Git
    from hundredweight.lineage.experiments import Experiment

STEPS = ("step", "global_step", "iteration", "epoch")
"""What counts as the step, the first that a row has."""
_TIMES = ("time", "timestamp", "_timestamp", "_runtime", "wall_time")
MAX_FILE = 64 << 20
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class Curve:
    """One metric over the steps of one experiment. `steps` and `values` have the same length."""

    name: str
    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def read_curves(git: Git, found: Experiment) -> list[Curve]:
    """All curves, in the order in which the files name them. A file that is missing or too large has none. Raises `GitError`."""
    made: dict[str, Curve] = {}
    paths = found.record.curves
    if not paths:
        return []
    with ObjectReader(git) as reader:
        infos = list(reader.infos(f"{found.commit}:{path}" for path in paths))
        for path, info in zip(paths, infos, strict=True):
            if info is None or info.size > MAX_FILE:
                trace(f"no curves in {found.commit}:{path}")
                continue
            text = reader.read(info.name).decode("utf-8", "replace")
            stem = path.rpartition("/")[2].rpartition(".")[0]
            _collect(made, parse(path, text), stem)
    return [curve for curve in made.values() if curve.values]


def parse(path: str, text: str) -> Iterator[Mapping[str, object]]:
    """The rows of a file, by its name's ending and what it holds."""
    if path.endswith((".csv", ".tsv")):
        yield from csv.DictReader(io.StringIO(text), delimiter="\t" if path.endswith(".tsv") else ",")
        return
    if path.endswith(".json"):
        try:
            document = json.loads(text)
        except ValueError:
            return
        rows = document.get("log_history", []) if isinstance(document, dict) else document
        yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
        return
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            # The last line of a run that was killed.
            continue
        if isinstance(row, dict):
            yield row


def _collect(made: dict[str, Curve], rows: Iterable[Mapping[str, object]], stem: str) -> None:
    for place, row in enumerate(rows):
        key = next((name for name in STEPS if number(row.get(name)) is not None), "")
        step = number(row.get(key)) if key else None
        for name, item in row.items():
            value = None if name in STEPS or name in _TIMES or name is None else number(item)
            if value is None:
                continue
            # DVCLive has a file a metric: `train/loss.tsv` with the column `loss`.
            curve = made.setdefault(name or stem, Curve(name or stem))
            curve.steps.append(float(place) if step is None else step)
            curve.values.append(value)


def number(item: object) -> float | None:
    """A number, or a text that is one; None for anything else and for what is not finite."""
    if isinstance(item, bool) or not isinstance(item, int | float | str):
        return None
    try:
        value = float(item)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def sparkline(values: list[float], width: int = 24) -> str:
    """A curve in one line of text."""
    if not values:
        return ""
    picked = [values[place * len(values) // width] for place in range(width)] if len(values) > width else values
    low, high = min(picked), max(picked)
    span = high - low or 1.0
    return "".join(_BARS[min(len(_BARS) - 1, int((value - low) / span * len(_BARS)))] for value in picked)
