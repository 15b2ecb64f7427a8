"""Rows of CSV and JSONL files as items of a data set: hashes of 16 bytes, split and label; streamed, one row at a time.

Columns are found by their names, in any order. What a row is to a model are its features: every column but id, split, label and
the nameless index that pandas writes. A file whose first line has a number in it has no header; its columns are numbered.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import zlib
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from hundredweight.base.errors import DamageError
from hundredweight.client.data.names import split_of_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Buffer = bytes | bytearray | memoryview

CSV_SUFFIXES = (".csv", ".tsv")
JSONL_SUFFIXES = (".jsonl", ".ndjson")
GZIP = ".gz"
MAX_FIELD = 64 << 20
"""Bytes of one field, or of one line of JSON: where a quote is not closed, all the rest would be one field."""
_ID_COLUMNS = ("id", "_id", "uid", "uuid", "guid", "row_id", "sample_id", "example_id", "item_id")
_SPLIT_COLUMNS = ("split", "subset", "partition")
_LABEL_COLUMNS = ("label", "class", "target", "labels")
_INDEX_COLUMNS = ("", "unnamed: 0")
_DELIMITERS = ",;\t|"
_SEPARATOR = "\x1f"
_TYPED = "\x1e"
_WIDTH = 16
_COMMON = 4096
_GZIP_WINDOW = 31
_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
_INFLATED = 1 << 20


class DataUnreadable(DamageError):
    """A file of rows breaks its format. `path` and `line` say where."""

    hint = "correct the file, or leave it out of the data paths in 'hundredweight.toml'"

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(f"'{path}', line {line}: {reason}" if line else f"'{path}': {reason}")
        self.path = path
        self.line = line


class Item(NamedTuple):
    """One row, or one file. `key` says which one it is (its id, else its features), `content` is all of it, `features` what a
    model sees. `line` is where it ends in its file."""

    key: bytes
    content: bytes
    features: bytes
    split: str
    label: str
    line: int


@dataclass(frozen=True)
class Columns:
    """Names of the special columns where users give them; empty: found by their usual names."""

    id: str = ""
    split: str = ""
    label: str = ""


@dataclass
class Shape:
    """What was seen of the rows of one file. `ragged` rows have more or fewer fields than the header."""

    columns: dict[str, None] = field(default_factory=dict)
    ragged: int = 0


def is_rows(path: str) -> bool:
    """Whether the rows of this file are the items, by its name; compressed by gzip or not."""
    return _inner(path).endswith(CSV_SUFFIXES + JSONL_SUFFIXES)


def _inner(path: str) -> str:
    return path.lower().removesuffix(GZIP)


def read_rows(path: str, pieces: Iterable[Buffer], split: str, wanted: Columns, shape: Shape) -> Iterator[Item]:
    """The rows of a file, whose bytes come in `pieces`. `split` is that of rows that do not say; `shape` is filled on the way.
    Raises `DataUnreadable`."""
    stream = _text(_inflated(path, pieces) if path.lower().endswith(GZIP) else pieces)
    if _inner(path).endswith(JSONL_SUFFIXES):
        return _jsonl(path, stream, split, wanted, shape)
    return _csv(path, stream, split, wanted, shape)


def _inflated(path: str, pieces: Iterable[Buffer]) -> Iterator[bytes]:
    """The content of a gzip file of any number of members, a bounded piece at a time."""
    member = zlib.decompressobj(_GZIP_WINDOW)
    begun = False
    for piece in pieces:
        data = bytes(piece)
        while data:
            begun = True
            try:
                yield member.decompress(data, _INFLATED)
            except zlib.error as error:
                raise DataUnreadable(path, 0, f"not gzip: {error}") from error
            data = member.unconsumed_tail or member.unused_data
            if member.eof:
                member, begun = zlib.decompressobj(_GZIP_WINDOW), False
    if begun:
        raise DataUnreadable(path, 0, "it ends in the middle")


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterable[Buffer]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _text(pieces: Iterable[Buffer]) -> io.TextIOWrapper:
    buffered = io.BufferedReader(_Pieces(pieces), 1 << 20)
    start = buffered.peek(4)[:4]
    wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return io.TextIOWrapper(
        buffered, "utf-16" if wide else "utf-8-sig", "replace" if wide else "surrogateescape", newline=""
    )


def digest(text: str) -> bytes:
    """16 bytes that stand for the text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_WIDTH).digest()


def _joined(values: Sequence[str]) -> str:
    """One text for a list of texts; different lists have different ones."""
    text = _SEPARATOR.join(values)
    if text.count(_SEPARATOR) != len(values) - 1:
        return _SEPARATOR + "".join(f"{len(value)}:{value}" for value in values)
    return text


class _Layout:
    """Where columns stand, for rows of one header: which of them are features, in the order of their names."""

    def __init__(self, names: Sequence[str], wanted: Columns) -> None:
        lowered = [name.strip().lower() for name in names]
        self.id = _find(lowered, wanted.id, _ID_COLUMNS)
        self.split = _find(lowered, wanted.split, _SPLIT_COLUMNS)
        self.label = _find(lowered, wanted.label, _LABEL_COLUMNS)
        special = {self.id, self.split, self.label}
        order = sorted(
            (at for at in range(len(names)) if at not in special and lowered[at] not in _INDEX_COLUMNS),
            key=lambda at: names[at],
        )
        if not order and self.id >= 0:
            # Nothing but an id: it is what the row is about (the name of an image).
            order = [self.id]
        self.prefix = _joined([names[at] for at in order]) + "\n" if order else ""
        self.features = _getter(order)

    def item(self, row: Sequence[str], split: str, line: int) -> Item:
        features = digest(self.prefix + _joined(self.features(row)))
        label = _named(row[self.label]) if self.label >= 0 else ""
        if self.split >= 0:
            split = split_of_value(_named(row[self.split])) or split
        if self.id >= 0:
            return _with_id(_named(row[self.id]), features, label, split, line)
        content = digest_pair(features, label) if label else features
        return Item(features, content, features, split, label, line)


def _named(value: str) -> str:
    """A label or an id as text, wherever it is a number; null is none."""
    if value.startswith(_TYPED):
        return "" if value == _TYPED + "null" else value[1:]
    return value


def _with_id(identity: str, features: bytes, label: str, split: str, line: int) -> Item:
    key = digest("id" + _SEPARATOR + identity)
    return Item(key, digest_pair(key + features, label), features, split, label, line)


def digest_pair(first: bytes, text: str) -> bytes:
    """16 bytes that stand for both."""
    return blake2b(first + text.encode("utf-8", "surrogatepass"), digest_size=_WIDTH).digest()


def _find(lowered: Sequence[str], wanted: str, usual: Sequence[str]) -> int:
    for name in (wanted.strip().lower(),) if wanted else usual:
        if name in lowered:
            return lowered.index(name)
    return -1


def _getter(order: Sequence[int]) -> Callable[[Sequence[str]], Sequence[str]]:
    if len(order) == 1:
        only = order[0]
        return lambda row: (row[only],)
    return itemgetter(*order) if order else lambda _row: ()


def _csv(path: str, stream: io.TextIOWrapper, split: str, wanted: Columns, shape: Shape) -> Iterator[Item]:
    csv.field_size_limit(MAX_FIELD)
    first = stream.readline(MAX_FIELD)
    delimiter = "\t" if _inner(path).endswith(".tsv") else max(_DELIMITERS, key=first.count)
    reader = csv.reader(_again(first, stream), delimiter=delimiter)
    try:
        header = next(reader, [])
        before: list[list[str]] = []
        if any(map(_is_number, header)):
            before, header = [header], [str(number) for number in range(1, len(header) + 1)]
        layout = _Layout(header, wanted)
        shape.columns.update(dict.fromkeys(header))
        width = len(header)
        make = layout.item
        for row in _chained(before, reader):
            if len(row) != width:
                if not row:
                    continue
                shape.ragged += 1
                yield make(_fitted(row, width, delimiter), split, reader.line_num)
                continue
            yield make(row, split, reader.line_num)
    except csv.Error as error:
        raise DataUnreadable(path, reader.line_num, str(error)) from error


def _again(first: str, rest: Iterable[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _chained(first: Iterable[list[str]], rest: Iterable[list[str]]) -> Iterator[list[str]]:
    yield from first
    yield from rest


def _fitted(row: list[str], width: int, delimiter: str) -> list[str]:
    """What is too much belongs to the last field: a delimiter that nobody quoted."""
    if len(row) < width:
        return row + [""] * (width - len(row))
    return [*row[: width - 1], delimiter.join(row[width - 1 :])]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _jsonl(path: str, stream: io.TextIOWrapper, split: str, wanted: Columns, shape: Shape) -> Iterator[Item]:
    layouts: dict[tuple[str, ...], _Layout] = {}
    decode = json.JSONDecoder().decode
    number = 0
    while line := stream.readline(MAX_FIELD):
        number += 1
        text = line.strip()
        if not text:
            continue
        try:
            value = decode(text)
        except (ValueError, RecursionError) as error:
            raise DataUnreadable(path, number, f"not JSON: {error}") from error
        if not isinstance(value, dict):
            value = {"value": value}
        names = tuple(value)
        layout = layouts.get(names)
        if layout is None:
            layout = _Layout(names, wanted)
            shape.columns.update(dict.fromkeys(names))
            if len(layouts) < _COMMON:
                layouts[names] = layout
        yield layout.item([item if isinstance(item, str) else _plain(item) for item in value.values()], split, number)


def _plain(value: object) -> str:
    """A value that is no text, as one: other than any text that looks the same, since programs see the difference; labels and ids
    may be numbers here and texts there."""
    return _TYPED + (str(value) if value.__class__ is int else _encode(value))
