"""What Python programs use: `import hundredweight`. Light: a training pays nothing for it."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, SupportsFloat, SupportsInt

from hundredweight.base.files import append
from hundredweight.client.experiments.ranks import rank

if TYPE_CHECKING:
    from collections.abc import Mapping

    Number = bool | int | float | str | SupportsFloat | SupportsInt

METRICS = "metrics.jsonl"
_VARIABLE = "CWT_METRICS"


def log(metrics: Mapping[str, Number], *, step: int | None = None, epoch: float | None = None) -> None:
    """Note metrics of a training, as one point of its curves; the last values are what the experiment ends with.

    Under `cwt exp run` they go to the experiment; elsewhere they are appended to `metrics.jsonl` in the current folder, which
    `cwt exp record` reads. Numbers of numpy and torch (of one element) are taken as numbers. Of a distributed training only the
    first process writes (RANK 0), so that every process may call this. Points of several processes and threads never mix.
    Raises `TypeError` for what is no number and no text, `ValueError` without any metric, `WriteError`.
    """
    if not metrics:
        raise ValueError("no metrics to log")
    point: dict[str, object] = {}
    if step is not None:
        point["step"] = int(step)
    if epoch is not None:
        point["epoch"] = float(epoch)
    for name, value in metrics.items():
        point[str(name)] = _plain(name, value)
    if rank(os.environ) == 0:
        line = json.dumps(point, ensure_ascii=False, allow_nan=False)
        append(os.environ.get(_VARIABLE) or METRICS, line.encode() + b"\n")


def _plain(name: str, value: Number) -> bool | int | float | str:
    """As JSON has it; numbers that it does not have (nan, inf) are texts, as in records."""
    if isinstance(value, bool | int | str):
        return value
    # numpy's and torch's numbers of one element: `item` keeps whole numbers whole.
    item = getattr(value, "item", None)
    number = item() if callable(item) else value
    if not isinstance(number, bool | int | float):
        if not isinstance(number, SupportsFloat):
            raise TypeError(f"metric '{name}' is no number: {type(value).__name__}")
        number = float(number)
    return str(number) if isinstance(number, float) and not math.isfinite(number) else number
