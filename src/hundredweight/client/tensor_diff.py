"""What became of each tensor between two versions of a model: added, removed, renamed, reshaped, of another type, changed.

`plan` tells what is known from names, types, shapes and hashes; `compare` reads data where that is not enough.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hundredweight.client.tensor_numbers import scheme_of
from hundredweight.client.tensor_scan import Pair, Scanner, Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hundredweight.client.tensor_hashes import TensorFact, TensorHashes

ADDED, REMOVED, RENAMED, RESHAPED, RETYPED, CHANGED = "added", "removed", "renamed", "reshaped", "retyped", "changed"
KINDS = (CHANGED, RETYPED, RESHAPED, RENAMED, ADDED, REMOVED)


@dataclass(frozen=True)
class TensorChange:
    """One tensor that is not as it was. `old` is None for an added one, `new` for a removed one. `same_bytes`: only name or
    shape are different. `statistics` is None where data was not asked for, is not here, or the shapes do not allow a
    comparison; of a tensor that grew or shrank along its first dimension it covers the rows that both have (`rows`)."""

    kind: str
    old: TensorFact | None
    new: TensorFact | None
    same_bytes: bool = False
    statistics: Statistics | None = None
    rows: int = 0

    @property
    def name(self) -> str:
        fact = self.new or self.old
        assert fact is not None
        return fact.name


@dataclass
class TensorDiff:
    """All changes, in the order of the new version, then what was removed; how many tensors are as they were."""

    changes: list[TensorChange] = field(default_factory=list)
    unchanged: int = 0
    old_count: int = 0
    new_count: int = 0

    def count(self, kind: str) -> int:
        return sum(change.kind == kind for change in self.changes)


def compare(
    old: TensorHashes, new: TensorHashes, *, statistics: bool = True, advance: Callable[[int], None] | None = None
) -> TensorDiff:
    """Raises `CannotOpen`, `BadWeights`. Without `statistics` hashes decide, or the first bytes that differ. `advance` is
    told bytes of one version as they are compared."""
    renamed = _find_renamed(old, new)
    with Scanner(advance=advance) as scanner:
        found = _Comparison(old, new, scanner, statistics).run(renamed)
    was = {name: place for place, name in enumerate(new.facts)}
    # Removed ones keep the order of the old version, at the end: sorting is stable.
    found.changes.sort(key=lambda change: was.get(change.name, len(was)) if change.new else len(was))
    return found


class _Comparison:
    """One run of `compare`."""

    def __init__(self, old: TensorHashes, new: TensorHashes, scanner: Scanner, statistics: bool) -> None:
        self._old = old
        self._new = new
        self._scanner = scanner
        both = old.has_data and new.has_data
        self._statistics = statistics and both
        self._by_hash = (old.known and new.known) or not both

    def run(self, renamed: Mapping[str, str]) -> TensorDiff:
        """`renamed`: new names to old ones."""
        old, new = self._old.facts, self._new.facts
        found = TensorDiff(old_count=len(old), new_count=len(new))
        found.changes = [
            TensorChange(RENAMED, old[before], new[after], same_bytes=True) for after, before in renamed.items()
        ]
        found.changes += [
            TensorChange(ADDED, None, fact) for name, fact in new.items() if name not in old and name not in renamed
        ]
        gone = set(renamed.values())
        found.changes += [
            TensorChange(REMOVED, fact, None) for name, fact in old.items() if name not in new and name not in gone
        ]
        pairs = ((old[name], fact) for name, fact in new.items() if name in old)
        for change in self._changed(pairs):
            if change is None:
                found.unchanged += 1
            else:
                found.changes.append(change)
        return found

    def _changed(self, pairs: Iterable[tuple[TensorFact, TensorFact]]) -> Iterator[TensorChange | None]:
        """For each pair of one name what changed, None where nothing did."""
        waiting: list[TensorChange] = []
        for before, after in pairs:
            change = TensorChange(_kind(before, after), before, after)
            if self._by_hash and before.dtype == after.dtype and before.nbytes == after.nbytes:
                if self._old.digest(before.name) == self._new.digest(after.name):
                    yield None if change.kind == CHANGED else replace(change, same_bytes=True)
                    continue
            elif not self._statistics and not self._by_hash and before.dtype == after.dtype:
                yield self._first_difference(change)
                continue
            if self._statistics and _comparable(change):
                waiting.append(change)
            else:
                yield change
        compared = self._scanner.scan(self._pair(change) for change in waiting)
        for change, statistics in zip(waiting, compared, strict=True):
            yield _with_statistics(change, statistics)

    def _first_difference(self, change: TensorChange) -> TensorChange | None:
        if not _comparable(change) or _rows(change):
            return change
        if not self._scanner.equal(self._pair(change)):
            return change
        return None if change.kind == CHANGED else replace(change, same_bytes=True)

    def _pair(self, change: TensorChange) -> Pair:
        assert change.old is not None
        assert change.new is not None
        return Pair(self._old.place(change.old.name), self._new.place(change.new.name), rows=_rows(change))


def _kind(old: TensorFact, new: TensorFact) -> str:
    if old.dtype != new.dtype:
        return RETYPED
    return CHANGED if old.shape == new.shape else RESHAPED


def _comparable(change: TensorChange) -> bool:
    """Whether the elements of both can be put side by side: there are as many, or one has more rows; as numbers, if types
    differ."""
    old, new = change.old, change.new
    assert old is not None
    assert new is not None
    if _rows(change):
        return True
    if old.dtype == new.dtype:
        return old.nbytes == new.nbytes
    first, second = scheme_of(old.dtype), scheme_of(new.dtype)
    return first.numbers == second.numbers > 0 and old.nbytes // first.size == new.nbytes // second.size


def _rows(change: TensorChange) -> int:
    """Rows that both have, of a tensor whose first dimension alone is another; else 0."""
    old, new = change.old, change.new
    assert old is not None
    assert new is not None
    if old.dtype != new.dtype or old.shape == new.shape or not old.shape or not new.shape:
        return 0
    if old.shape[1:] != new.shape[1:] or old.nbytes == new.nbytes or 0 in (old.nbytes, new.nbytes):
        return 0
    whole_rows = all(fact.nbytes % (fact.shape[0] * scheme_of(fact.dtype).size) == 0 for fact in (old, new))
    return min(old.shape[0], new.shape[0]) if whole_rows else 0


def _with_statistics(change: TensorChange, statistics: Statistics | None) -> TensorChange | None:
    if statistics is not None:
        return replace(change, statistics=statistics, rows=_rows(change))
    return None if change.kind == CHANGED else replace(change, same_bytes=True)


def _find_renamed(old: TensorHashes, new: TensorHashes) -> dict[str, str]:
    """New names to old ones, for tensors whose bytes are there under another name. Only those are hashed of which the other
    version has any of the same type and length under a name that is not in both."""
    gone: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for fact in old.facts.values():
        if fact.name not in new.facts:
            gone[fact.dtype, fact.nbytes].append(fact.name)
    by_digest: dict[bytes, list[str]] = {}
    found: dict[str, str] = {}
    for fact in new.facts.values():
        key = fact.dtype, fact.nbytes
        if fact.name in old.facts or key not in gone:
            continue
        for name in gone[key]:
            by_digest.setdefault(old.digest(name), []).append(name)
        gone[key].clear()
        candidates = [name for name in by_digest.get(new.digest(fact.name), ()) if old.facts[name].dtype == fact.dtype]
        if candidates:
            best = max(candidates[:_CANDIDATES], key=lambda name: _likeness(old.facts[name], fact))
            by_digest[new.digest(fact.name)].remove(best)
            found[fact.name] = best
    return found


_CANDIDATES = 256
"""Among more tensors of the same bytes (zero biases) the first are taken: looking at all pairs would take long."""


def _likeness(old: TensorFact, new: TensorFact) -> tuple[bool, int]:
    """How well a name may have become another: of the same shape, then by the length of their common end."""
    common = 0
    for a, b in zip(reversed(old.name), reversed(new.name), strict=False):
        if a != b:
            break
        common += 1
    return old.shape == new.shape, common
