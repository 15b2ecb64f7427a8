"""The three-way merge of two versions of weights, decided: which tensors the result has, and where each one's bytes come from.

Pure: it compares digests. A tensor that one side alone changed, added, removed or renamed is as that side has it; what both
did alike is done; the rest is a conflict, or as its strategy says. A renamed tensor is one whose bytes, type and shape are
those of one tensor, and of no other, that is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hundredweight.client.merge_rules import AVERAGE, CONFLICT, OURS, SUM, THEIRS, MergeRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.formats.tensors import Tensor

FLOATS = frozenset(("F16", "BF16", "F32", "F64", "C64", "C128"))
"""Types that are averaged and summed."""
METADATA = "__metadata__"


class Item(NamedTuple):
    """A tensor of one version; `digest` is that of its canonical bytes."""

    tensor: Tensor
    digest: bytes

    @property
    def content(self) -> tuple[str, tuple[int, ...], bytes]:
        """What is compared: type, shape and bytes."""
        return self.tensor.dtype, self.tensor.shape, self.digest


Items = dict[str, Item]
"""Of one version, by name, in the order of its header."""


class Result(NamedTuple):
    """One tensor of the result: as `how` says from `ours`, `theirs`, or both (and `base`, for a sum)."""

    name: str
    how: str
    base: Item | None
    ours: Item | None
    theirs: Item | None

    @property
    def item(self) -> Item:
        """The one whose type and shape the result has, and, unless it is computed, whose bytes."""
        found = self.theirs if self.how == THEIRS else self.ours
        assert found is not None
        return found

    @property
    def computed(self) -> bool:
        return self.how in (AVERAGE, SUM)


class Conflict(NamedTuple):
    """Something that both sides changed differently: a tensor, or `__metadata__.KEY`; `reason` is text for people."""

    name: str
    reason: str


@dataclass
class MergePlan:
    """`results` in our order, what is added last. A plan with `conflicts` is not to be carried out."""

    results: list[Result] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    metadata: dict[str, object] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    """metadata keys that stay as ours although theirs differ, since nothing can be computed from texts"""

    def same_tensors(self, items: Items) -> bool:
        """Whether the result has exactly these."""
        return all(not r.computed for r in self.results) and {r.name: r.item.content for r in self.results} == {
            name: item.content for name, item in items.items()
        }


class _Row(NamedTuple):
    """One tensor through its three versions, whose names differ where it was renamed."""

    base: Item | None
    ours: Item | None
    theirs: Item | None

    @property
    def name(self) -> str:
        """As a rule would call it."""
        return next(item.tensor.name for item in (self.ours, self.theirs, self.base) if item is not None)


def plan_merge(base: Items, ours: Items, theirs: Items, rules: MergeRules) -> MergePlan:
    """What `merge` is to write. Metadata is for `merge_metadata`."""
    plan = MergePlan()
    found: dict[str, Result] = {}
    for row in _rows(base, ours, theirs):
        result = _merge_row(row, rules, plan)
        if result is None:
            continue
        if result.name in found:
            plan.conflicts.append(Conflict(result.name, "two tensors would have this name"))
        found[result.name] = result
    order = [*ours, *theirs]
    place = {name: number for number, name in reversed(list(enumerate(order)))}
    plan.results = sorted(found.values(), key=lambda result: place[_first_name(result)])
    return plan


def merge_metadata(
    plan: MergePlan,
    base: Mapping[str, object],
    ours: Mapping[str, object],
    theirs: Mapping[str, object],
    rules: MergeRules,
) -> None:
    """Key by key, into `plan.metadata`."""
    for key in dict.fromkeys([*ours, *theirs, *base]):
        before, mine, other = base.get(key), ours.get(key), theirs.get(key)
        chosen = mine
        if other not in (mine, before):
            strategy = rules.strategy(f"{METADATA}.{key}")
            if mine == before or strategy == THEIRS:
                chosen = other
            elif strategy == CONFLICT:
                plan.conflicts.append(Conflict(f"{METADATA}.{key}", "changed on both sides"))
            elif strategy != OURS:
                plan.kept.append(key)
        if chosen is not None:
            plan.metadata[key] = chosen


def renames(before: Items, after: Items) -> dict[str, str]:
    """Old name to new, of tensors that are exactly what they were under another name."""
    gone = _by_content({name: item for name, item in before.items() if name not in after})
    new = _by_content({name: item for name, item in after.items() if name not in before})
    return {names[0]: new[key][0] for key, names in gone.items() if len(names) == 1 == len(new.get(key, ()))}


def _by_content(items: Items) -> dict[object, list[str]]:
    found: dict[object, list[str]] = {}
    for name, item in items.items():
        # Tensors without elements are all alike.
        if item.tensor.nbytes:
            found.setdefault(item.content, []).append(name)
    return found


def _rows(base: Items, ours: Items, theirs: Items) -> list[_Row]:
    our_names, their_names = renames(base, ours), renames(base, theirs)
    rows = [
        _Row(item, ours.get(our_names.get(name, name)), theirs.get(their_names.get(name, name)))
        for name, item in base.items()
    ]
    our_known, their_known = {*base, *our_names.values()}, {*base, *their_names.values()}
    for name in dict.fromkeys([*ours, *theirs]):
        mine = None if name in our_known else ours.get(name)
        other = None if name in their_known else theirs.get(name)
        if mine is not None or other is not None:
            rows.append(_Row(None, mine, other))
    return rows


def _merge_row(row: _Row, rules: MergeRules, plan: MergePlan) -> Result | None:
    """The result; None where the tensor is removed or in conflict."""
    base, ours, theirs = (item.content if item else None for item in row)
    if theirs in (ours, base):
        how = OURS
    elif ours == base:
        how = THEIRS
    else:
        strategy = rules.strategy(row.name)
        reason = _conflict(row) if strategy == CONFLICT else _obstacle(row, strategy)
        if reason:
            plan.conflicts.append(Conflict(row.name, reason))
            return None
        how = strategy
    if (row.theirs if how == THEIRS else row.ours) is None:
        return None
    name = _merge_name(row, rules, plan)
    return Result(name, how, *row) if name else None


def _merge_name(row: _Row, rules: MergeRules, plan: MergePlan) -> str:
    """What the result is called; empty after a conflict."""
    base, ours, theirs = (item.tensor.name if item else "" for item in row)
    if not ours or not theirs or theirs in (ours, base):
        return ours or theirs
    if ours == base:
        return theirs
    strategy = rules.strategy(ours)
    if strategy in (OURS, THEIRS):
        return theirs if strategy == THEIRS else ours
    plan.conflicts.append(Conflict(base, f"renamed to '{ours}' by ours and to '{theirs}' by theirs"))
    return ""


def _conflict(row: _Row) -> str:
    if row.ours is None or row.theirs is None:
        return "removed by ours, changed by theirs" if row.ours is None else "changed by ours, removed by theirs"
    both = "added on both sides" if row.base is None else "changed on both sides"
    if _kind(row.ours) != _kind(row.theirs):
        return f"{both}, to {_kind(row.ours)} and {_kind(row.theirs)}"
    return both


def _obstacle(row: _Row, strategy: str) -> str:
    """Why the strategy cannot do it; empty where it can."""
    if strategy not in (AVERAGE, SUM):
        return ""
    if row.ours is None or row.theirs is None or _kind(row.ours) != _kind(row.theirs):
        return f"{_conflict(row)}, which has no {strategy}"
    if row.ours.tensor.dtype not in FLOATS:
        return f"{_conflict(row)}, and type {row.ours.tensor.dtype} has no {strategy}"
    if strategy == SUM and (row.base is None or _kind(row.base) != _kind(row.ours)):
        return f"{_conflict(row)}, and there is no base of its type and shape for a sum"
    return ""


def _kind(item: Item) -> str:
    return f"{item.tensor.dtype} {'x'.join(map(str, item.tensor.shape)) or 'scalar'}"


def _first_name(result: Result) -> str:
    """By which the result finds its place: that of our file, where the tensor is in it."""
    item = result.ours or result.theirs
    assert item is not None
    return item.tensor.name
