"""`cwt exp compare`: what is behind several experiments side by side, differences first.

Everything comes from the records; of weights also how many tensors are not as in the first experiment, where their hashes are
known or the object is here and small.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.base.ids import InvalidId, Oid
from hundredweight.base.trace import trace
from hundredweight.client import summary, tensor_diff
from hundredweight.client.remote_recipes import known
from hundredweight.client.tensor_hashes import KnownHashes, TensorFact
from hundredweight.lineage.block import Facts
from hundredweight.lineage.compare import compare, rows_of
from hundredweight.protocol.pointer import Pointer
from hundredweight.store.recipe import NOT_HASHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hundredweight.client.tensor_diff import TensorDiff
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.compare import Comparison, Row
    from hundredweight.lineage.experiments import Experiment
    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.record import Record, Weights

READ_AT_ONCE = 256 << 20
"""Bytes of weights that are hashed for a comparison where nobody hashed them before: a fraction of a second."""


@dataclass(frozen=True, slots=True)
class TensorsChanged:
    """Of one weight file: the experiment of this place in the comparison against the first. `changes` (kind -> count) is
    None where
    the hashes are not known."""

    path: str
    place: int
    total: int = 0
    changes: dict[str, int] | None = None

    def __str__(self) -> str:
        if self.changes is None:
            return "the tensors' hashes are not known here"
        if not self.changes:
            return f"none of {self.total} tensors changed"
        return ", ".join(f"{count} {kind}" for kind, count in self.changes.items()) + f" of {self.total} tensors"


@dataclass(frozen=True, slots=True)
class ExperimentsCompared:
    """`runs`: how and when they ran, and on what; `facts`: what is behind their weights. Those rows that differ come first."""

    experiments: tuple[Experiment, ...]
    runs: tuple[Row, ...]
    facts: Comparison
    tensors: tuple[TensorsChanged, ...] = ()

    def parts(self) -> Iterator[tuple[str, tuple[Row, ...]]]:
        """Each part with its name, in the order in which people read them; no empty ones."""
        named = (*self.facts.parts(), ("run", self.runs))
        yield from ((name, rows) for name, rows in named if rows)


def compare_experiments(found: Sequence[Experiment], workspace: Workspace | None = None) -> ExperimentsCompared:
    """All of them, each against the first. With a `workspace` tensors are compared too."""
    records = [each.record for each in found]
    facts = compare([Facts.of_record(record, record.id) for record in records])
    runs = [_run(record) for record in records]
    if any(record.exit_code for record in records):
        runs = [{**run, "exit code": record.exit_code} for run, record in zip(runs, records, strict=True)]
    tensors = tuple(_tensors(workspace, records)) if workspace is not None else ()
    return ExperimentsCompared(tuple(found), rows_of(runs), facts, tensors)


def _run(record: Record) -> dict[str, Value]:
    hardware = record.hardware
    table: dict[str, Value] = {
        "status": str(record.status),
        "started": record.started,
        "seconds": record.seconds or None,
        "command": shlex.join(record.command),
        "code": record.code.commit[:12] + (" with changes" if record.code.dirty else ""),
        "seed": record.seed,
        "base": record.base,
        "gpus": ", ".join(f"{gpu.count}x {gpu.name}" for gpu in hardware.gpus),
        "cpu": hardware.cpu,
        "cores": hardware.cores or None,
        "memory": hardware.memory or None,
    }
    return {key: value for key, value in table.items() if value not in ("", None)}


def _tensors(workspace: Workspace, records: Sequence[Record]) -> Iterable[TensorsChanged]:
    """For each file of the first experiment and each other one that has this file with other bytes."""
    hashes = _Hashes(workspace)
    for first in records[0].weights:
        for place, record in enumerate(records[1:], 1):
            other = next((each for each in record.weights if each.path == first.path), None)
            if other is None or other.oid == first.oid:
                continue
            old, new = hashes.of(first), hashes.of(other)
            if old is None or new is None:
                yield TensorsChanged(first.path, place)
            else:
                yield _changed(first.path, place, tensor_diff.compare(old, new, statistics=False))


def _changed(path: str, place: int, found: TensorDiff) -> TensorsChanged:
    counts = {kind: found.count(kind) for kind in tensor_diff.KINDS if found.count(kind)}
    return TensorsChanged(path, place, found.new_count, counts)


class _Hashes:
    """Hashes of the tensors of objects, as far as they are at hand."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._found: dict[str, KnownHashes | None] = {}

    def of(self, weights: Weights) -> KnownHashes | None:
        if weights.oid not in self._found:
            try:
                self._found[weights.oid] = self._look(weights)
            except (CwtError, InvalidId) as error:
                trace(f"tensors of '{weights.path}': {error}")
                self._found[weights.oid] = None
        return self._found[weights.oid]

    def _look(self, weights: Weights) -> KnownHashes | None:
        oid = Oid.parse(weights.oid)
        store = self._workspace.store
        told = summary.load(self._workspace, oid) or known(self._workspace, oid)
        if told is None:
            recipe = store.packs.recipe(oid) if store.has_packs else None
            if recipe is not None and recipe.tensors and all(row.start != NOT_HASHED for row in recipe.tensors):
                rows = [
                    summary.Row(TensorFact(row.name, row.dtype, row.shape, row.length), row.digest)
                    for row in recipe.tensors
                ]
                return KnownHashes(rows)
            if weights.size > READ_AT_ONCE or not store.has(oid, weights.size):
                return None
            told = summary.summarise_stored(self._workspace, weights.path, Pointer(oid, weights.size))
        return KnownHashes(told.rows) if told.complete else None
