"""Axes: from values to places between 0 and 1, and round numbers to write beside them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PADDING = 0.04


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`; `ticks` are values with their labels."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def place(self, value: float) -> float:
        """0 for `low`, 1 for `high`."""
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


def axis(values: Iterable[float], *, log: bool = False, count: int = 5, padding: float = _PADDING) -> Axis:
    """An axis with room for all values (positive ones, where it is logarithmic) and about `count` ticks, whole numbers
    where all values
    are."""
    listed = list(values)
    low, high = (min(listed), max(listed)) if listed else (1.0, 10.0) if log else (0.0, 1.0)
    if log:
        if low == high:
            low, high = low / 2, high * 2
        spread = (high / low) ** padding
        low, high = low / spread, high * spread
        return Axis(low, high, _log_ticks(low, high, count), log=True)
    if low == high:
        around = abs(low) * 0.1 or 0.5
        low, high = low - around, high + around
    else:
        room = (high - low) * padding
        low, high = low - room, high + room
    whole = all(value == int(value) for value in listed)
    return Axis(low, high, label(_linear_ticks(low, high, count, 1.0 if whole else 0.0)))


def categorical(names: Sequence[str]) -> Axis:
    """Names at 0, 1, 2..."""
    return Axis(-0.5, len(names) - 0.5, tuple((float(place), name) for place, name in enumerate(names)))


def _step(span: float, count: int) -> float:
    """The round step (1, 2 or 5 times a power of ten) that gives `count` ticks or a few less."""
    rough = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999), 10 * power)


def _linear_ticks(low: float, high: float, count: int, least: float = 0.0) -> list[float]:
    step = max(_step(high - low, count), least)
    if not math.isfinite(step) or step <= abs(high) * 1e-14:
        return [low, high]
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> tuple[tuple[float, str], ...]:
    """Powers of ten; between them 2 and 5 where there is room; round numbers where not even one power is inside."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= min(3, count):
            every = math.ceil(len(inside) / (count + 2))
            plain = inside[0] >= 1e-3 and inside[-1] < 1e5
            return tuple((tick, f"{tick:.10g}" if plain else _exponent(tick, 0)) for tick in inside[::every])
    return label([tick for tick in _linear_ticks(low, high, count) if tick > 0])


def label(ticks: Sequence[float]) -> tuple[tuple[float, str], ...]:
    """Ticks with labels that have the same number of decimals."""
    if not ticks:
        return ()
    largest = max(abs(tick) for tick in ticks)
    step = min((abs(b - a) for a, b in itertools.pairwise(ticks)), default=largest) or largest or 1.0
    if largest and (largest >= 1e6 or largest < 1e-3):
        digits = max(0, math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9))
        return tuple((tick, _exponent(tick, min(digits, 6))) for tick in ticks)
    decimals = min(10, max(0, -math.floor(math.log10(step) + 1e-9)))
    return tuple((tick, f"{tick + 0.0:.{decimals}f}") for tick in ticks)


def _exponent(value: float, digits: int) -> str:
    if not value:
        return "0"
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"
