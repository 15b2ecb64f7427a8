"""Experiments as a table: which ones, in which order, which columns; what is the same in all is told once.

A field is one of the facts that every experiment has (`FACTS`), a metric or a parameter, by its name; where a parameter
is called as
a metric or a fact, `params.NAME` and `metrics.NAME` say which is meant.
"""

from __future__ import annotations

import difflib
import fnmatch
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.lineage import message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.listing import Row

FACTS = (
    "id", "name", "status", "started", "seconds", "exit_code", "seed", "data", "hardware", "environment", "weights", "runs",
    "base", "code", "commit", "ref",
)  # fmt: skip
_FIRST = ("id", "name", "status", "started", "seconds")
_LAST = ("seed", "data", "hardware")
_KEPT = ("id", "name")
"""Shown even where all have the same."""
METRICS, PARAMETERS = "metrics.", "params."
_CONDITION = re.compile(r"\s*(?P<field>[^<>=!~]+?)\s*(?P<sign><=|>=|!=|==|!~|<|>|=|~)\s*(?P<value>.*?)\s*")
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


class BadCondition(UsageError):
    """A filter that cannot be read."""

    hint = "write it as 'val_loss<0.5', 'lr=3e-5', 'status=done' or 'name~base*'"


class UnknownField(UsageError):
    """A name that no experiment has as a fact, a metric or a parameter."""

    hint = "run 'cwt exp list --json' to see what experiments have"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a field must be. `~` compares with a glob; numbers are compared as numbers, other values as texts."""

    field: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises `BadCondition`."""
        match = _CONDITION.fullmatch(text)
        if match is None or match["value"].startswith(("<", ">", "=")):
            raise BadCondition(f"'{text}' is no condition")
        return cls(match["field"], match["sign"], match["value"])

    def holds(self, row: Row) -> bool:
        """An experiment that has no such field fulfils only `!=` and `!~`."""
        have = get(row, self.field)
        if self.sign in ("~", "!~"):
            matches = have is not None and fnmatch.fnmatchcase(text_of(have), self.value)
            return matches == (self.sign == "~")
        if have is None:
            return self.sign == "!="
        wanted = message.value(self.value)
        if isinstance(have, int | float) and isinstance(wanted, int | float):
            return _SIGNS[self.sign](have, wanted)
        compare = _SIGNS[self.sign]
        if self.sign in ("=", "==", "!="):
            return compare(text_of(have), text_of(wanted))  # type: ignore[arg-type]
        both = isinstance(have, str) and isinstance(wanted, str)
        return both and compare(have, wanted)  # type: ignore[arg-type]


def get(row: Row, field: str) -> Value:
    """The value of a field; None where the experiment has none."""
    if field.startswith(METRICS):
        return row.metrics.get(field.removeprefix(METRICS))
    if field.startswith(PARAMETERS):
        return row.parameters.get(field.removeprefix(PARAMETERS))
    if field in FACTS:
        found = getattr(row, field)
        if isinstance(found, list):
            return ", ".join(found) or None
        return None if found == "" else found
    return row.metrics[field] if field in row.metrics else row.parameters.get(field)


def text_of(item: Value) -> str:
    """A value in full."""
    if isinstance(item, str):
        return item
    return "" if item is None else message.show(item)


def short(item: Value, field: str = "") -> str:
    """A value for people's eyes."""
    if isinstance(item, float):
        return f"{item:.1f}" if field == "seconds" else message.show(float(f"{item:.6g}"))
    text = text_of(item)
    if field in ("commit", "code", "environment"):
        return text[:12]
    if field == "started":
        return text[:19].replace("T", " ")
    if field == "weights":
        return ", ".join(part[:15] for part in text.split(", "))
    return text


def select(rows: Iterable[Row], conditions: Sequence[Condition]) -> list[Row]:
    """The experiments for which every condition holds. Raises `UnknownField`."""
    listed = list(rows)
    check_fields(listed, (condition.field for condition in conditions))
    return [row for row in listed if all(condition.holds(row) for condition in conditions)]


def order(rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """By the first key, among equals by the next; `-KEY` from large to small. Those without the field come last; without keys the
    newest is first. Raises `UnknownField`."""
    if not keys:
        return sorted(rows, key=lambda row: row.started or row.id, reverse=True)
    listed = list(rows)
    check_fields(listed, (key.removeprefix("-") for key in keys))
    for key in reversed(keys):
        field = key.removeprefix("-")
        listed = _ordered(listed, field, backwards=key.startswith("-"))
    return listed


def _ordered(rows: list[Row], field: str, *, backwards: bool) -> list[Row]:
    """Numbers before texts, and what is missing at the end, whichever way. Sorting is stable both ways."""
    numbers, texts, missing = [], [], []
    for row in rows:
        have = get(row, field)
        if have is None:
            missing.append(row)
        elif isinstance(have, int | float):
            numbers.append((have, row))
        else:
            texts.append((have, row))
    numbers.sort(key=lambda pair: pair[0], reverse=backwards)
    texts.sort(key=lambda pair: pair[0], reverse=backwards)
    return [row for _, row in numbers] + [row for _, row in texts] + missing


def check_fields(rows: Sequence[Row], fields: Iterable[str]) -> None:
    """Raises `UnknownField` for a name that none of the experiments has."""
    wanted = [field for field in fields if field not in FACTS]
    if not wanted or not rows:
        return
    known = dict.fromkeys(fields_of(rows))
    for field in wanted:
        bare = field.removeprefix(METRICS).removeprefix(PARAMETERS)
        if field not in known and bare not in known:
            close = difflib.get_close_matches(field, [*known, *FACTS], 1)
            hint = f"did you mean '{close[0]}'?" if close else UnknownField.hint
            raise UnknownField(f"no experiment has '{field}'", hint=hint)


def fields_of(rows: Iterable[Row]) -> list[str]:
    """Metrics, then parameters, each once, in the order in which they come."""
    metrics: dict[str, None] = {}
    parameters: dict[str, None] = {}
    for row in rows:
        metrics.update(dict.fromkeys(row.metrics))
        parameters.update(dict.fromkeys(row.parameters))
    taken = set(FACTS)
    named = [METRICS + name if name in taken else name for name in metrics]
    taken |= metrics.keys()
    return named + [PARAMETERS + name if name in taken else name for name in parameters]


def columns(rows: Sequence[Row], wanted: Sequence[str] = ()) -> list[str]:
    """The columns: those that are `wanted` (patterns too), else those that people look for. Raises `UnknownField`."""
    if not wanted:
        fields = fields_of(rows)
        # A parameter of that name is where the seed was found.
        last = [name for name in _LAST if PARAMETERS + name not in fields]
        return [*_FIRST, *fields, *(name for name in last if any(get(row, name) is not None for row in rows))]
    available = [*FACTS, *fields_of(rows)]
    found: dict[str, None] = {}
    for name in wanted:
        if any(sign in name for sign in "*?["):
            found.update(dict.fromkeys(fnmatch.filter(available, name)))
        else:
            check_fields(rows, [name])
            found[name] = None
    return list(found)


@dataclass(frozen=True, slots=True)
class Table:
    """Cells for people. `same`: columns that would say the same in every row, with what they say. `dropped`: columns that did
    not fit. `right`: places of columns of numbers."""

    head: list[str]
    rows: list[list[str]]
    same: list[tuple[str, str]]
    dropped: list[str]
    right: tuple[int, ...]


def tabulate(rows: Sequence[Row], fields: Sequence[str], *, width: int = 0, hide_same: bool = True) -> Table:
    """`width` is what there is room for, 0: any."""
    cells = {field: [get(row, field) for row in rows] for field in fields}
    same = []
    shown = list(fields)
    if hide_same and len(rows) > 1:
        alike = [field for field in fields if field not in _KEPT and _alike(cells[field])]
        same = [(field, short(cells[field][0], field)) for field in alike if cells[field][0] is not None]
        shown = [field for field in fields if field not in alike]
    texts = {field: [short(item, field) for item in cells[field]] for field in shown}
    fitting = _fitting(texts, shown, width)
    right = tuple(place for place, field in enumerate(fitting) if _numbers(cells[field]))
    listed = [[texts[field][place] for field in fitting] for place in range(len(rows))]
    return Table(fitting, listed, same, [field for field in shown if field not in fitting], right)


def _alike(items: list[Value]) -> bool:
    return all(type(item) is type(items[0]) and item == items[0] for item in items)


def _numbers(items: list[Value]) -> bool:
    return all(item is None or (isinstance(item, int | float) and not isinstance(item, bool)) for item in items)


def _fitting(texts: dict[str, list[str]], fields: list[str], width: int) -> list[str]:
    """As many columns as fit, from the left; what people look for most stands there."""
    room = width
    kept: list[str] = []
    for field in fields:
        needed = max(len(field), *(len(text) for text in texts[field]), 0) + (2 if kept else 0)
        if not width or not kept or needed <= room:
            room -= needed
            kept.append(field)
    return kept
