"""Reading fields of JSON and TOML documents that people and other programs write: typed, bounded, each fault with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = bool | int | float | str | None
"""A parameter or a metric."""

MAX_TEXT = 1 << 16
_TYPES = frozenset((bool, int, float, str, type(None)))


class RecordInvalid(CwtError):
    """A document of the life cycle is not what it should be. `where` names the document, `what` the fault."""

    def __init__(self, where: str, what: str, *, hint: str = "") -> None:
        super().__init__(f"{where}: {what}", hint=hint)
        self.where = where
        self.what = what


class Fields:
    """The fields of one table of a document. Unknown fields are passed over: a newer program may have written them."""

    def __init__(self, table: object, where: str) -> None:
        """Raises `RecordInvalid` where `table` is none."""
        if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
            raise RecordInvalid(where, "not a table of fields")
        self.table: Mapping[str, object] = table
        self.where = where

    def text(self, key: str, default: str = "") -> str:
        value = self.table.get(key, default)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise self.fault(key, "a text")
        return value

    def integer(self, key: str, default: int = 0) -> int:
        value = self.table.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.fault(key, "a whole number")
        return value

    def number(self, key: str, default: float = 0.0) -> float:
        value = self.table.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.fault(key, "a number")
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.table.get(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, "true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; a single text counts as a list of one."""
        value = self.table.get(key, [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fault(key, "a list of texts")
        return tuple(value)

    def values(self, key: str) -> dict[str, Value]:
        """A flat table of parameters or metrics."""
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            raise self.fault(key, "a table")
        if _TYPES.issuperset(map(type, value.values())) and {str}.issuperset(map(type, value)):
            # Nearly always, and ten thousand records are read at once.
            return dict(value)
        for name, item in value.items():
            if not isinstance(name, str) or not isinstance(item, bool | int | float | str | None):
                raise self.fault(f"{key}.{name}", "a number, a text, true or false")
        return dict(value)

    def part(self, key: str) -> Fields:
        """A table inside this one; empty when absent."""
        return Fields(self.table.get(key, {}), f"{self.where}: {key}")

    def parts(self, key: str) -> list[Fields]:
        """A list of tables."""
        value = self.table.get(key, [])
        if not isinstance(value, list):
            raise self.fault(key, "a list")
        return [Fields(item, f"{self.where}: {key}[{place}]") for place, item in enumerate(value)]

    def fault(self, key: str, expected: str) -> RecordInvalid:
        return RecordInvalid(self.where, f"'{key}' is not {expected}")
