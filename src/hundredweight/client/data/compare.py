"""`cwt data diff`: rows and items that were added, removed, changed or moved between two versions of the data.

Equal rows are taken away first, each against one. What is left is paired by content (it moved to another split, a file to another
folder), then by what says which one it is: the id, or else all features, or the path; those changed. The rest was added
or removed.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.client.data.rows import Columns, Shape
from hundredweight.client.data.survey import CHANGE_WIDTH, HASH, TAIL, Collector, Names, Reader, Survey
from hundredweight.client.data.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hundredweight.client.data.sides import Contents, Side
    from hundredweight.lineage.data import DataFile

    Group = tuple[str, str]


@dataclass(frozen=True)
class FileChange:
    """A file of one version or both; `old` and `new` are its bytes, None where it is not."""

    path: str
    old: int | None
    new: int | None


@dataclass
class Difference:
    """Counters by (split, label). Of what `changed` or `moved` the new split and label count; `relabelled` counts (old, new)
    labels of what changed, `moves` (old, new) splits. Columns are those that only one side has."""

    before: Survey = field(default_factory=Survey)
    after: Survey = field(default_factory=Survey)
    added: Counter[Group] = field(default_factory=Counter)
    removed: Counter[Group] = field(default_factory=Counter)
    changed: Counter[Group] = field(default_factory=Counter)
    moves: Counter[Group] = field(default_factory=Counter)
    relabelled: Counter[Group] = field(default_factory=Counter)
    renamed: int = 0
    files: list[FileChange] = field(default_factory=list)
    more_files: int = 0
    file_counts: Counter[str] = field(default_factory=Counter)

    @property
    def same(self) -> bool:
        """Whether not one byte differs."""
        return not self.file_counts

    @property
    def columns(self) -> tuple[list[str], list[str]]:
        """Those that only the new version has, and only the old one."""
        old, new = self.before.columns, self.after.columns
        return [name for name in new if name not in old], [name for name in old if name not in new]


_TAIL_END = CHANGE_WIDTH
MAX_FILES = 1000
"""Changed files that are listed; the others are counted."""


def compare(
    sides: tuple[Side, Side],
    files: tuple[Iterable[DataFile], Iterable[DataFile]],
    contents: Contents,
    folder: str,
    wanted: Columns,
) -> Difference:
    """Both versions' `files` are in the order of their paths. `folder` takes temporary files. Raises `DataUnreadable`,
    `OSError`."""
    found = Difference()
    names = Names()
    readers = (Reader(contents, sides[0], wanted), Reader(contents, sides[1], wanted))
    collectors = (Collector(names, folder), Collector(names, folder))
    tables = (Table(CHANGE_WIDTH, folder), Table(CHANGE_WIDTH, folder))
    try:
        for old, new in _paired(*files):
            _note(found, old, new)
            if old is not None and new is not None and old.content == new.content:
                _read(readers[1], new, names, collectors, ())
                continue
            for side, file in enumerate((old, new)):
                if file is not None:
                    _read(readers[side], file, names, (collectors[side],), (tables[side],))
        _match(found, tables, names, folder)
        found.before, found.after = (collector.finish() for collector in collectors)
    finally:
        for opened in (*collectors, *tables):
            opened.close()
    return found


def _paired(old: Iterable[DataFile], new: Iterable[DataFile]) -> Iterator[tuple[DataFile | None, DataFile | None]]:
    """Both lists, by path."""
    left, right = iter(old), iter(new)
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        order = _order(one, other)
        yield (one if order <= 0 else None, other if order >= 0 else None)
        if order <= 0:
            one = next(left, None)
        if order >= 0:
            other = next(right, None)


def _order(one: DataFile | None, other: DataFile | None) -> int:
    if one is None or other is None:
        return 1 if one is None else -1
    left, right = os.fsencode(one.path), os.fsencode(other.path)
    return (left > right) - (left < right)


def _note(found: Difference, old: DataFile | None, new: DataFile | None) -> None:
    if old is not None and new is not None and old.content == new.content:
        return
    known = new or old
    assert known is not None
    found.file_counts["added" if old is None else "removed" if new is None else "changed"] += 1
    if len(found.files) < MAX_FILES:
        found.files.append(FileChange(known.path, None if old is None else old.size, None if new is None else new.size))
    else:
        found.more_files += 1


def _read(
    reader: Reader, file: DataFile, names: Names, collectors: tuple[Collector, ...], tables: tuple[Table, ...]
) -> None:
    """One file's items to all who take them. A file that both versions have is read once, and cannot differ."""
    shape = Shape()
    numbers = [collector.add_file(file) for collector in collectors]
    pairs = list(zip(collectors, numbers, strict=True))
    for item in reader.items(file, shape):
        tail = names.tail(item.split, item.label)
        for collector, number in pairs:
            collector.add(item, tail, number)
        for table in tables:
            table.add(item.content + item.key + tail)
    for collector in collectors:
        collector.end_file(shape)


def _match(found: Difference, tables: tuple[Table, Table], names: Names, folder: str) -> None:
    rest = (Table(CHANGE_WIDTH, folder), Table(CHANGE_WIDTH, folder))
    try:
        for old, new in zip(tables[0].buckets(), tables[1].buckets(), strict=True):
            left, right = Counter(old), Counter(new)
            for pair in _pairs(left - right, right - left, rest):
                _count_move(found, names, *pair)
        unmatched = (Table(CHANGE_WIDTH, folder), Table(CHANGE_WIDTH, folder))
        try:
            for old, new in zip(rest[0].buckets(), rest[1].buckets(), strict=True):
                for pair in _pairs(Counter(old), Counter(new), unmatched):
                    _count_change(found, names, *pair)
            for table, counts in zip(unmatched, (found.removed, found.added), strict=True):
                for bucket in table.buckets():
                    for record in bucket:
                        counts[names.read(record[TAIL])] += 1
        finally:
            for table in unmatched:
                table.close()
    finally:
        for table in rest:
            table.close()


def _swapped(record: bytes) -> bytes:
    """The other hash first: what is left of one round is sorted by it in the next."""
    return record[HASH : 2 * HASH] + record[:HASH] + record[2 * HASH :]


_CLOSENESS = (_TAIL_END, _TAIL_END - 4, HASH * 2)
"""How much of hash, split and label has to be equal, best first: all, all but the label, the hash alone."""


def _pairs(old: Counter[bytes], new: Counter[bytes], rest: tuple[Table, Table]) -> Iterator[tuple[bytes, bytes]]:
    """Records with the same first hash, one against one, the most alike first; what is left goes to `rest`."""
    left, right = list(old.elements()), list(new.elements())
    for end in _CLOSENESS:
        if not left or not right:
            break
        waiting: dict[bytes, list[bytes]] = {}
        for record in right:
            waiting.setdefault(record[:HASH] + record[2 * HASH : end], []).append(record)
        alone = []
        for record in left:
            candidates = waiting.get(record[:HASH] + record[2 * HASH : end])
            if candidates:
                yield record, candidates.pop()
            else:
                alone.append(record)
        left = alone
        right = [record for candidates in waiting.values() for record in candidates]
    for table, records in zip(rest, (left, right), strict=True):
        for record in records:
            table.add(_swapped(record))


def _count_move(found: Difference, names: Names, old: bytes, new: bytes) -> None:
    """The same content elsewhere: in another split, under another label's folder, under another name."""
    (split, label), (new_split, new_label) = names.read(old[TAIL]), names.read(new[TAIL])
    if split != new_split:
        found.moves[split, new_split] += 1
    if label != new_label:
        found.relabelled[label, new_label] += 1
        found.changed[new_split, new_label] += 1
    elif split == new_split:
        found.renamed += 1


def _count_change(found: Difference, names: Names, old: bytes, new: bytes) -> None:
    (split, label), (new_split, new_label) = names.read(old[TAIL]), names.read(new[TAIL])
    found.changed[new_split, new_label] += 1
    if split != new_split:
        found.moves[split, new_split] += 1
    if label != new_label:
        found.relabelled[label, new_label] += 1
