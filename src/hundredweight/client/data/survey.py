"""What a version of the data holds: rows and items by split and label, repeats, and what stands in two splits at once."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.client.data.names import is_item, label_of_path, split_of_path, split_order
from hundredweight.client.data.rows import Columns, Item, Shape, digest, is_rows, read_rows
from hundredweight.client.data.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hundredweight.client.data.sides import Contents, Side
    from hundredweight.lineage.data import DataFile

MAX_LABELS = 1000
"""Labels that are counted one by one; a target with more values is a number, not a class."""
OTHERS = "(others)"
EXAMPLES = 5
HASH = 16
_TAIL = struct.Struct("<HI")
_PLACE = struct.Struct("<II")
TAIL = slice(2 * HASH, 2 * HASH + _TAIL.size)
CHANGE_WIDTH = 2 * HASH + _TAIL.size
LEAK_WIDTH = HASH + _TAIL.size + _PLACE.size
_LAST_SPLIT = 0xFFFF


class Names:
    """Splits and labels as numbers, the same for all versions that are compared. Labels past the first `MAX_LABELS` count as
    one."""

    def __init__(self) -> None:
        self.splits: dict[str, int] = {"": 0}
        self.labels: dict[str, int] = {"": 0, OTHERS: 1}
        self._tails: dict[tuple[str, str], bytes] = {}
        self._pairs: dict[bytes, tuple[str, str]] = {}

    def tail(self, split: str, label: str) -> bytes:
        """Six bytes for both."""
        found = self._tails.get((split, label))
        if found is None:
            if label not in self.labels and len(self.labels) < MAX_LABELS + 2:
                self.labels[label] = len(self.labels)
            if split not in self.splits and len(self.splits) < _LAST_SPLIT:
                self.splits[split] = len(self.splits)
            found = _TAIL.pack(self.splits.get(split, 0), self.labels.get(label, 1))
            if len(self._tails) < 16 * MAX_LABELS:
                self._tails[split, label] = found
        return found

    def read(self, tail: bytes) -> tuple[str, str]:
        """(split, label)."""
        found = self._pairs.get(tail)
        if found is None:
            split, label = _TAIL.unpack(tail)
            found = self._pairs[tail] = list(self.splits)[split], list(self.labels)[label]
        return found


@dataclass(frozen=True)
class Leak:
    """`items` different ones stand in both `splits`; `rows` of the second are ones that the first has. `examples` are places."""

    splits: tuple[str, str]
    items: int
    rows: int
    examples: tuple[tuple[str, str], ...] = ()


@dataclass
class Survey:
    """`counts` by (split, label) are rows and items. `repeated`: by split, those beyond the first of their kind. `conflicts`: how
    many different ones have more than one label. `kinds` says what is counted: "rows", "items" or both."""

    files: int = 0
    bytes: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    leaks: list[Leak] = field(default_factory=list)
    repeated: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    columns: dict[str, None] = field(default_factory=dict)
    ragged: int = 0
    row_files: int = 0
    item_files: int = 0

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def noun(self) -> str:
        return "items" if self.item_files and not self.row_files else "rows" if self.row_files else "files"

    @property
    def splits(self) -> list[str]:
        return sorted({split for split, _ in self.counts}, key=split_order)

    def by_split(self, split: str) -> dict[str, int]:
        """Label -> number, the most frequent first."""
        found = {label: count for (name, label), count in self.counts.items() if name == split}
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


class Reader:
    """Reads the items of files of one side, with splits and labels by what their paths say below the data paths."""

    def __init__(self, contents: Contents, side: Side, wanted: Columns) -> None:
        self._contents = contents
        self._prefixes = sorted(
            (f"{path}/" for path in side.paths if path and not set("*?[") & set(path)), key=len, reverse=True
        )
        self._wanted = wanted

    def inside(self, path: str) -> str:
        """A path below its data path: what is above says nothing about its content."""
        return next((path[len(prefix) :] for prefix in self._prefixes if path.startswith(prefix)), path)

    def items(self, file: DataFile, shape: Shape) -> Iterator[Item]:
        """Its rows, or the file itself where it is an item. Raises as `Contents.pieces`, and `DataUnreadable`."""
        inside = self.inside(file.path)
        if is_rows(file.path):
            return read_rows(file.path, self._contents.pieces(file), split_of_path(inside), self._wanted, shape)
        if not is_item(file.path):
            return iter(())
        content = digest(file.content)
        item = Item(digest("file\0" + inside), content, content, split_of_path(inside), label_of_path(inside), 0)
        return iter((item,))


class Collector:
    """Takes the items of one version, and in the end knows them. Close it."""

    def __init__(self, names: Names, folder: str) -> None:
        self.survey = Survey()
        self._names = names
        self._paths: list[str] = []
        self._tails: Counter[bytes] = Counter()
        self._seen = Table(LEAK_WIDTH, folder)

    def close(self) -> None:
        self._seen.close()

    def add_file(self, file: DataFile) -> int:
        """Count a file, whose items may follow; its number."""
        survey = self.survey
        survey.files += 1
        survey.bytes += file.size
        survey.row_files += is_rows(file.path)
        survey.item_files += is_item(file.path)
        self._paths.append(file.path)
        return len(self._paths) - 1

    def end_file(self, shape: Shape) -> None:
        self.survey.columns.update(shape.columns)
        self.survey.ragged += shape.ragged

    def add(self, item: Item, tail: bytes, number: int) -> None:
        self._tails[tail] += 1
        self._seen.add(item.features + tail + _PLACE.pack(number, item.line))

    def finish(self) -> Survey:
        """The survey, complete."""
        survey = self.survey
        survey.counts = Counter({self._names.read(tail): count for tail, count in self._tails.items()})
        leaks = _Leaks(list(self._names.splits))
        for bucket in self._seen.buckets():
            leaks.look(bucket)
        survey.repeated = leaks.repeated
        survey.conflicts = leaks.conflicts
        survey.leaks = [
            Leak(
                pair, items, leaks.rows[pair], tuple((self._place(a), self._place(b)) for a, b in leaks.examples[pair])
            )
            for pair, items in sorted(leaks.items.items(), key=lambda found: [split_order(name) for name in found[0]])
        ]
        return survey

    def _place(self, record: bytes) -> str:
        number, line = _PLACE.unpack(record[-_PLACE.size :])
        return f"{self._paths[number]}:{line}" if line else self._paths[number]


class _Leaks:
    """Finds equal features in a bucket of records: hash, split and label, place."""

    def __init__(self, splits: Sequence[str]) -> None:
        self._splits = splits
        self.items: Counter[tuple[str, str]] = Counter()
        self.rows: Counter[tuple[str, str]] = Counter()
        self.repeated: Counter[str] = Counter()
        self.conflicts = 0
        self.examples: dict[tuple[str, str], list[tuple[bytes, bytes]]] = {}

    def look(self, bucket: Iterable[bytes]) -> None:
        first: dict[bytes, bytes] = {}
        groups: dict[bytes, list[bytes]] = {}
        for record in bucket:
            key = record[:HASH]
            before = first.setdefault(key, record)
            if before is not record:
                groups.setdefault(key, [before]).append(record)
        for group in groups.values():
            self._judge(group)

    def _judge(self, group: list[bytes]) -> None:
        labels = set()
        by_split: dict[str, list[bytes]] = {}
        for record in group:
            split, label = _TAIL.unpack_from(record, HASH)
            labels.add(label)
            by_split.setdefault(self._splits[split], []).append(record)
        # No label at all is no other label.
        self.conflicts += len(labels - {0}) > 1
        for split, records in by_split.items():
            if len(records) > 1:
                self.repeated[split] += len(records) - 1
        # What has no split belongs to all of them, or to none: nothing leaks.
        named = sorted(by_split.keys() - {""}, key=split_order)
        for place, one in enumerate(named):
            for other in named[place + 1 :]:
                pair = (one, other)
                self.items[pair] += 1
                self.rows[pair] += len(by_split[other])
                examples = self.examples.setdefault(pair, [])
                if len(examples) < EXAMPLES:
                    examples.append((by_split[one][0], by_split[other][0]))


def survey(files: Iterable[DataFile], reader: Reader, folder: str) -> Survey:
    """What one version holds. `folder` takes temporary files."""
    names = Names()
    collector = Collector(names, folder)
    try:
        for file in files:
            shape = Shape()
            number = collector.add_file(file)
            for item in reader.items(file, shape):
                collector.add(item, names.tail(item.split, item.label), number)
            collector.end_file(shape)
        return collector.finish()
    finally:
        collector.close()
