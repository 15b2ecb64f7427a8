"""What trainings write about how well they went: values at the end and curves, from JSON, JSON lines, CSV, Hugging Face's
`trainer_state.json` and DVCLive's folders. Files come as bytes."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.lineage import parameters
from hundredweight.lineage.fields import RecordInvalid, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Point = dict[str, Value]

MAX_FILE = 256 << 20
MAX_POINTS = 20_000
"""Points of a curve in a record; more are thinned out evenly."""
AXES = frozenset(
    ("step", "global_step", "epoch", "iteration", "iter", "time", "timestamp", "_step", "_timestamp", "_runtime")
)
TRAINER_STATE = "trainer_state.json"
_SECONDARY = ("_runtime", "_per_second", "total_flos", "learning_rate", "grad_norm")


@dataclass(slots=True)
class Metrics:
    """`final` are the values at the end; `curve` the points in the order in which they came, each with `step` or `epoch` where
    the file tells; `parameters` are those that a tracker's folder has."""

    final: dict[str, Value] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)
    parameters: dict[str, Value] = field(default_factory=dict)

    def add(self, other: Metrics) -> None:
        """What comes later has the last word."""
        self.final |= other.final
        self.curve += other.curve
        self.parameters |= other.parameters


def read(name: str, data: bytes) -> Metrics:
    """The metrics in a file, by its name's end and what it holds. Raises `RecordInvalid`."""
    if len(data) > MAX_FILE:
        raise RecordInvalid(name, f"more than {MAX_FILE} bytes")
    end = name.rpartition(".")[2].lower()
    try:
        if end in ("jsonl", "ndjson"):
            return _of_points(_lines(name, data))
        if end in ("csv", "tsv"):
            return _table(data.decode("utf-8-sig"), "\t" if end == "tsv" else ",")
        if end == "json":
            return _document(json.loads(data))
        return Metrics(_numbers(parameters.read(name, data)))
    except (ValueError, RecursionError, csv.Error) as error:
        raise RecordInvalid(name, f"no metrics: {error}") from error


def read_dvclive(files: Mapping[str, bytes]) -> Metrics:
    """A folder of DVCLive: `metrics.json`, `params.yaml`, `plots/metrics/**/NAME.tsv`; paths below it -> bytes."""
    found = Metrics()
    for name, data in sorted(files.items()):
        if name.startswith("plots/metrics/") and name.endswith((".tsv", ".csv")):
            metric = name.removeprefix("plots/metrics/").rpartition(".")[0]
            curve = read(name, data).curve
            # The column has the last part of the name only: train/loss is in train/loss.tsv as "loss".
            found.curve += [_renamed(point, metric) for point in curve]
    found.final = _of_points(iter(found.curve)).final
    if "metrics.json" in files:
        found.final |= read("metrics.json", files["metrics.json"]).final
    if "params.yaml" in files:
        found.parameters = parameters.read("params.yaml", files["params.yaml"])
    return found


def encode_curve(curve: Iterable[Point]) -> bytes:
    """As JSON lines, thinned out; numbers that JSON does not have are texts."""
    lines = [json.dumps({key: _finite(value) for key, value in point.items()}) for point in thin(list(curve))]
    return "".join(line + "\n" for line in lines).encode()


def thin(curve: list[Point], limit: int = MAX_POINTS) -> list[Point]:
    """At most about `limit` points, evenly; rare kinds of points (evaluations) stay, and so does the last of each kind."""
    if len(curve) <= limit:
        return curve
    kinds: dict[frozenset[str], list[int]] = {}
    for place, point in enumerate(curve):
        kinds.setdefault(frozenset(point), []).append(place)
    share = max(limit // len(kinds), 1)
    kept: set[int] = set()
    for places in kinds.values():
        stride = -(-len(places) // share)
        kept.update(places[::stride])
        kept.add(places[-1])
    return [point for place, point in enumerate(curve) if place in kept]


def _document(document: object) -> Metrics:
    if isinstance(document, list):
        return _of_points(parameters.flatten(item) for item in document)
    if not isinstance(document, dict):
        raise ValueError("neither a table nor a list of tables")
    history = document.get("log_history")
    if isinstance(history, list):
        found = _of_points(parameters.flatten(item) for item in history)
        found.final = {key: value for key, value in found.final.items() if not key.endswith(_SECONDARY)}
        if document.get("best_metric") is not None:
            found.final |= _numbers(parameters.flatten({"best_metric": document["best_metric"]}))
        return found
    return Metrics(_numbers(parameters.flatten(document)))


def _of_points(points: Iterable[Mapping[str, Value]]) -> Metrics:
    found = Metrics()
    for point in points:
        numbers = _numbers(point)
        if numbers:
            found.curve.append(numbers)
            found.final |= {key: value for key, value in numbers.items() if key not in AXES}
    return found


def _lines(name: str, data: bytes) -> Iterator[dict[str, Value]]:
    """A last line that a killed program left unfinished is passed over."""
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield parameters.flatten(json.loads(line))
        except (ValueError, RecursionError) as error:
            if number < len(lines):
                raise RecordInvalid(name, f"line {number} is not JSON") from error


def _table(text: str, delimiter: str) -> Metrics:
    rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
    points = [{str(key).strip(): _cell(cell) for key, cell in row.items() if key and cell} for row in rows]
    found = _of_points(points)
    if len(rows) == 1 and not AXES.intersection(found.curve[0] if found.curve else ()):
        found.curve = []
    return found


def _cell(text: object) -> Value:
    said = str(text).strip()
    try:
        return int(said)
    except ValueError:
        pass
    try:
        return float(said)
    except ValueError:
        return said


def _numbers(values: Mapping[str, Value]) -> dict[str, Value]:
    """Numbers only; what a writer had to put as a text (`"nan"`) counts."""
    found: dict[str, Value] = {}
    for key, value in values.items():
        if isinstance(value, int | float):
            found[key] = value
        elif isinstance(value, str) and value.lower() in ("nan", "inf", "-inf", "infinity", "-infinity"):
            found[key] = float(value)
    return found


def _renamed(point: Point, metric: str) -> Point:
    last = metric.rpartition("/")[2]
    return {metric if key == last else key: value for key, value in point.items()}


def _finite(value: Value) -> Value:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
