"""What is behind several versions, side by side: parameters, metrics, data, environment and weights, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hundredweight.lineage.block import Facts
    from hundredweight.lineage.fields import Value


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that versions have. `values` has one entry a version, None where that version has nothing of it."""

    key: str
    values: tuple[Value, ...]

    @property
    def differs(self) -> bool:
        return any(_key(value) != _key(self.values[0]) for value in self.values[1:])

    @property
    def change(self) -> float | None:
        """Of numbers in the first and the last version: by how much it rose. None for anything else."""
        first, last = self.values[0], self.values[-1]
        if isinstance(first, bool) or isinstance(last, bool):
            return None
        return last - first if isinstance(first, int | float) and isinstance(last, int | float) else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows by what they are about, those that differ first. Values of `data` are versions, or digests where a version has no
    name; of `weights` the weights ids, or oids where an id is not known on some side; of `environment` those of packages."""

    parameters: tuple[Row, ...]
    metrics: tuple[Row, ...]
    data: tuple[Row, ...]
    environment: tuple[Row, ...]
    weights: tuple[Row, ...]

    def parts(self) -> Iterator[tuple[str, tuple[Row, ...]]]:
        """Each part with its name, in the order in which people read them."""
        for name in ("metrics", "parameters", "data", "environment", "weights"):
            yield name, getattr(self, name)

    @property
    def differs(self) -> bool:
        return any(row.differs for _, rows in self.parts() for row in rows)


def compare(sides: Sequence[Facts]) -> Comparison:
    """At least one side."""
    return Comparison(
        parameters=rows_of([side.parameters for side in sides]),
        metrics=rows_of([side.metrics for side in sides]),
        data=rows_of([_data(side, sides) for side in sides]),
        environment=rows_of([_environment(side) for side in sides]),
        weights=rows_of([_weights(side, sides) for side in sides]),
    )


def rows_of(sides: Sequence[Mapping[str, Value]]) -> tuple[Row, ...]:
    """A row a key, those that differ first, else in the order in which the sides have them."""
    keys = dict.fromkeys(key for side in sides for key in side)
    rows = [Row(key, tuple(side.get(key) for side in sides)) for key in keys]
    return tuple(sorted(rows, key=lambda row: not row.differs))


def _data(side: Facts, sides: Sequence[Facts]) -> dict[str, Value]:
    """Names of versions where each side has one and equal names stand for equal data; digests otherwise."""

    def by_name(path: str) -> bool:
        found = [item for other in sides for item in other.data if item.path == path]
        names = {item.version for item in found}
        return "" not in names and len(names) == len({item.digest for item in found})

    return {item.path: item.version if by_name(item.path) else item.digest[:16] for item in side.data}


def _environment(side: Facts) -> dict[str, Value]:
    found: dict[str, Value] = {"python": side.environment.python, "cuda": side.environment.cuda}
    found |= dict(sorted(side.environment.packages.items()))
    return {key: value for key, value in found.items() if value}


def _weights(side: Facts, sides: Sequence[Facts]) -> dict[str, Value]:
    """Weights ids where every side knows them, since equal tensors in another file are no change."""

    def by_id(path: str) -> bool:
        return all(item.weights_id for other in sides for item in other.weights if item.path == path)

    return {item.path: item.weights_id if by_id(item.path) else item.oid for item in side.weights}


def _key(value: Value) -> Value:
    """Equal numbers count as equal, whatever their type; nan is equal to itself."""
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - nan
        return "nan"
    return value
