"""Weights & Biases: runs in a folder `wandb`, offline ones and those that were synced: everything is in one file `run-ID.wandb`.

That file is a log of LevelDB's form (blocks of 32 KiB, records in pieces with a CRC each) behind seven bytes of its own; each
record is a protobuf message. Of a run that was killed the file ends in the middle: what is whole is read.
"""

from __future__ import annotations

import json
import os
import re
import struct
from typing import TYPE_CHECKING

from hundredweight.client.trackers.mlflow import NoRuns
from hundredweight.client.trackers.runs import Run, flatten
from hundredweight.formats.protobuf import LENGTH, Field, Walker
from hundredweight.formats.source import BytesSource, FormatError, Window
from hundredweight.lineage.record import Gpu, Hardware, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from hundredweight.lineage.fields import Value

KIND = "wandb"
_FOLDER = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(?P<id>[\w-]+)")
_MAGIC = b":W&B\xe1\xbe\x00"
_BLOCK = 32 << 10
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MAX_RECORD, _MAX_FIELDS = 64 << 20, 1 << 20
_HISTORY, _SUMMARY, _CONFIG, _RUN, _EXIT, _ENVIRONMENT = 2, 3, 5, 17, 18, 26
"""Fields of a record, by what it tells."""


def read_folder(folder: str) -> Iterator[Run]:
    """The runs in a folder `wandb`, or the one whose folder is named, the oldest first. Raises `NoRuns`."""
    match = _FOLDER.fullmatch(os.path.basename(os.path.realpath(folder)))
    try:
        names = [""] if match else sorted(name for name in os.listdir(folder) if _FOLDER.fullmatch(name))
    except OSError as error:
        raise NoRuns(f"cannot read '{folder}': {error.strerror or error}", hint="name the folder 'wandb'") from error
    found = False
    for name in names:
        place = os.path.realpath(os.path.join(folder, name))
        known = _FOLDER.fullmatch(os.path.basename(place))
        path = os.path.join(place, f"run-{known['id']}.wandb") if known else ""
        if os.path.isfile(path):
            with open(path, "rb") as file:
                run = read_file(file, known["id"] if known else "")
            if run is not None:
                found = True
                yield run
    if not found:
        raise NoRuns(
            f"there are no runs in '{folder}'",
            hint="name the folder 'wandb', with folders such as 'offline-run-...' in it",
        )


def read_file(file: BinaryIO, identity: str) -> Run | None:
    """The run in a `.wandb` file; None for a file that has none, as one that was only begun."""
    reading = _Reading(Run(KIND, identity, status=Status.KILLED))
    for data in _records(file):
        try:
            reading.take(data)
        except FormatError:
            # One record that is not understood is no reason to lose the others.
            continue
    return reading.result() if reading.begun else None


def _records(file: BinaryIO) -> Iterator[bytes]:
    """The records, whole; reading ends at the first piece that is not."""
    if file.read(len(_MAGIC)) != _MAGIC:
        return
    at = len(_MAGIC)
    pieces: list[bytes] = []
    while True:
        left = _BLOCK - at % _BLOCK
        if left < _HEADER.size:
            file.read(left)
            at += left
            continue
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return
        _, length, kind = _HEADER.unpack(head)
        data = file.read(length)
        at += _HEADER.size + length
        if len(data) < length or kind not in (_FULL, _FIRST, _MIDDLE, _LAST):
            return
        if kind in (_FULL, _FIRST):
            pieces = []
        pieces.append(data)
        if sum(map(len, pieces)) > _MAX_RECORD:
            return
        if kind in (_FULL, _LAST):
            yield b"".join(pieces)


class _Reading:
    """One run, record by record."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._config: dict[str, object] = {}
        self._summary: dict[str, object] = {}
        self._last = 0.0
        self._cpu, self._cores, self._memory = "", 0, 0
        self._gpu, self._gpus = "", 0
        self._place = ("", "")
        self.begun = False

    def take(self, data: bytes) -> None:
        walker = Walker(Window(BytesSource(data)), _MAX_FIELDS)
        for field in walker.fields(0, len(data)):
            if field.kind != LENGTH:
                continue
            if field.number == _HISTORY:
                self._point(_items(walker, field, data, 1))
            elif field.number in (_SUMMARY, _CONFIG):
                target = self._summary if field.number == _SUMMARY else self._config
                _merge(target, _items(walker, field, data, 1))
            elif field.number == _RUN:
                self._begin(walker, field, data)
            elif field.number == _EXIT:
                self._end(walker, field)
            elif field.number == _ENVIRONMENT:
                self._machine(walker, field)

    def result(self) -> Run:
        run = self._run
        own = {key: item for key, item in self._config.items() if key != "_wandb"}
        run.parameters = flatten(own)
        run.metrics = {key: item for key, item in flatten(self._summary).items() if not key.startswith("_")}
        run.ended = run.ended or self._last
        gpus = (Gpu(self._gpu, 0, max(1, self._gpus)),) if self._gpu else ()
        run.hardware = Hardware(self._cpu, self._cores, self._memory, gpus)
        entity, project = self._place
        run.url = f"https://wandb.ai/{entity}/{project}/runs/{run.id}" if entity and project else ""
        return run

    def _begin(self, walker: Walker, record: Field, data: bytes) -> None:
        run = self._run
        self.begun = True
        texts: dict[int, str] = {}
        for field in walker.fields(record.start, record.end):
            if field.number in (1, 2, 3, 8):
                texts[field.number] = walker.text(field)
            elif field.number == 4:
                _merge(self._config, _items(walker, field, data, 1))
            elif field.number == 17:
                parts = {part.number: part.value for part in walker.fields(field.start, field.end)}
                # Nanoseconds are below ids' resolution; whole seconds keep the id of a run that is read twice.
                run.started = run.started or float(parts.get(1, 0))
            elif field.number == 21:
                commits = [walker.text(part) for part in walker.fields(field.start, field.end) if part.number == 2]
                run.commit = commits[0] if commits else run.commit
        run.id = texts.get(1) or run.id
        run.name = texts.get(8) or run.name
        self._place = texts.get(2, ""), texts.get(3, "")

    def _end(self, walker: Walker, record: Field) -> None:
        parts = {part.number: part.value for part in walker.fields(record.start, record.end)}
        run = self._run
        run.exit_code = parts.get(1, 0)
        run.status = Status.FAILED if run.exit_code else Status.DONE
        if parts.get(2) and run.started:
            run.ended = run.started + parts[2]

    def _machine(self, walker: Walker, record: Field) -> None:
        arguments = []
        program = ""
        for field in walker.fields(record.start, record.end):
            if field.number == 2:
                self._run.python = walker.text(field).removeprefix("CPython ")
            elif field.number == 5:
                arguments.append(walker.text(field))
            elif field.number in (6, 8):
                program = walker.text(field)
            elif field.number == 9:
                commits = [walker.text(part) for part in walker.fields(field.start, field.end) if part.number == 2]
                self._run.commit = commits[0] if commits else self._run.commit
            elif field.number == 17:
                self._cores = field.value
            elif field.number == 18:
                self._gpu = walker.text(field)
            elif field.number == 19:
                self._gpus = field.value
            elif field.number == 21:
                self._memory = next(
                    (part.value for part in walker.fields(field.start, field.end) if part.number == 1), 0
                )
            elif field.number == 22:
                names = [walker.text(part) for part in walker.fields(field.start, field.end) if part.number == 1]
                self._cpu = names[0] if names else self._cpu
        if program:
            self._run.command = ("python", program, *arguments)

    def _point(self, items: dict[str, object]) -> None:
        flat = flatten(items)
        step = flat.get("_step")
        stamp = flat.get("_timestamp")
        self._last = float(stamp) if isinstance(stamp, int | float) else self._last
        point: dict[str, Value] = {"step": step if isinstance(step, int) else len(self._run.points)}
        point |= {key: item for key, item in flat.items() if not key.startswith("_")}
        if len(point) > 1:
            self._run.points.append(point)


def _items(walker: Walker, record: Field, data: bytes, number: int) -> dict[str, object]:
    """The items of history, summary or config: key or nested keys, and a value in JSON."""
    found: dict[str, object] = {}
    for item in walker.fields(record.start, record.end):
        if item.number != number or item.kind != LENGTH:
            continue
        keys: list[str] = []
        value: object = None
        for field in walker.fields(item.start, item.end):
            if field.number == 1 and field.kind == LENGTH:
                keys = [walker.text(field)]
            elif field.number == 2 and field.kind == LENGTH:
                keys.append(walker.text(field))
            elif field.number == 16 and field.kind == LENGTH:
                value = _json(data[field.start : field.end])
        if keys:
            _put(found, keys, value)
    return found


def _json(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _put(table: dict[str, object], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = table[key] = {}
        table = inner
    table[keys[-1]] = value


def _merge(target: dict[str, object], new: dict[str, object]) -> None:
    for key, item in new.items():
        old = target.get(key)
        if isinstance(old, dict) and isinstance(item, dict):
            _merge(old, item)
        else:
            target[key] = item
