"""The record of one experiment: everything that is behind its weights, as one JSON file in its tree.

docs/formats/lifecycle.md lists the fields. Reading takes records of this version, and of newer ones what it knows of them.
"""

from __future__ import annotations

import base64
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from hundredweight.lineage.fields import Fields, RecordInvalid, Value

VERSION = 1
FOLDER = ".cwt/experiments"
MAX_RECORD = 8 << 20
"""Bytes of a record: a list of some thousand packages and parameters has a few 100 KiB."""


class Status(StrEnum):
    """How a run ended, or that it has not."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Code:
    """The commit that the training started from; `dirty`: with changes that this commit has not."""

    commit: str = ""
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class Gpu:
    """`memory` in bytes, of each."""

    name: str
    memory: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class Hardware:
    """`memory` in bytes."""

    cpu: str = ""
    cores: int = 0
    memory: int = 0
    gpus: tuple[Gpu, ...] = ()

    def __str__(self) -> str:
        """As a commit message says it: `4x A100 GPUs`, or the processor where there are none."""
        if self.gpus:
            return ", ".join(f"{gpu.count}x {gpu.name} GPU{'s' if gpu.count > 1 else ''}" for gpu in self.gpus)
        return f"{self.cores}x {self.cpu}" if self.cores and self.cpu else self.cpu


@dataclass(frozen=True, slots=True)
class DataVersion:
    """One data path. `tree` is git's id of it (tree or blob), `digest` the BLAKE3 over paths and object ids, the same
    in every repository; `version` is the team's name for it, or empty."""

    path: str
    version: str = ""
    tree: str = ""
    digest: str = ""
    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Environment:
    """`packages` are the installed ones; `file` is the list they should match, `differs` how they do not, one line each."""

    python: str = ""
    cuda: str = ""
    file: str = ""
    digest: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Weights:
    """One weight file: its LFS object, and the id of its tensors where the format is known."""

    path: str
    oid: str
    size: int
    weights_id: str = ""


@dataclass(frozen=True, slots=True)
class Tracker:
    """A run of an experiment tracker (`kind` mlflow, wandb): `run` is its id, `url` where people find it."""

    kind: str
    run: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One experiment. Times are UTC in ISO 8601; `seconds` is the duration; `curves` and `log` are paths in the tree."""

    id: str
    name: str = ""
    status: Status = Status.DONE
    command: tuple[str, ...] = ()
    started: str = ""
    seconds: float = 0.0
    exit_code: int = 0
    code: Code = Code()
    seed: int | None = None
    parameters: dict[str, Value] = field(default_factory=dict)
    metrics: dict[str, Value] = field(default_factory=dict)
    curves: tuple[str, ...] = ()
    hardware: Hardware = Hardware()
    data: tuple[DataVersion, ...] = ()
    environment: Environment = Environment()
    weights: tuple[Weights, ...] = ()
    trackers: tuple[Tracker, ...] = ()
    log: str = ""
    base: str = ""

    @property
    def path(self) -> str:
        """Where the record stands in a tree."""
        return f"{FOLDER}/{self.id}.json"

    @property
    def folder(self) -> str:
        """Where its curves and log stand in a tree."""
        return f"{FOLDER}/{self.id}"

    def encode(self) -> bytes:
        """Equal records have equal bytes. Numbers that JSON does not have (nan, inf) are written as texts."""
        document = {"version": VERSION} | {
            key: value
            for key, value in asdict(self).items()
            if value not in ((), {}, "", None) or key in ("id", "status")
        }
        return json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def new_id(moment: float, randomness: bytes = b"") -> str:
    """`YYYYMMDD-HHMMSS-abc123`: sortable by time (UTC), and unique without asking anybody."""
    tail = base64.b32encode(randomness or os.urandom(4))[:6].decode().lower()
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime(moment)) + tail


def utc(moment: float) -> str:
    """A moment as records write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def decode(data: bytes, where: str) -> Record:
    """The record in a file; `where` is for errors. Raises `RecordInvalid`."""
    if len(data) > MAX_RECORD:
        raise RecordInvalid(where, f"more than {MAX_RECORD} bytes")
    try:
        fields = Fields(json.loads(data), where)
    except (ValueError, RecursionError) as error:
        raise RecordInvalid(where, f"not JSON: {error}") from error
    if fields.integer("version", VERSION) < 1:
        raise fields.fault("version", "a version")
    identity = fields.text("id")
    if not identity or "/" in identity or identity.startswith("."):
        raise fields.fault("id", "the id of an experiment")
    try:
        status = Status(fields.text("status", "done"))
    except ValueError as error:
        raise fields.fault("status", "one of " + ", ".join(Status)) from error
    code, environment = fields.part("code"), fields.part("environment")
    return Record(
        id=identity,
        name=fields.text("name"),
        status=status,
        command=fields.texts("command"),
        started=fields.text("started"),
        seconds=fields.number("seconds"),
        exit_code=fields.integer("exit_code"),
        code=Code(code.text("commit"), code.flag("dirty")),
        seed=fields.integer("seed") if fields.table.get("seed") is not None else None,
        parameters=fields.values("parameters"),
        metrics=fields.values("metrics"),
        curves=fields.texts("curves"),
        hardware=_hardware(fields.part("hardware")),
        data=tuple(_data(part) for part in fields.parts("data")),
        environment=Environment(
            environment.text("python"),
            environment.text("cuda"),
            environment.text("file"),
            environment.text("digest"),
            {name: str(version) for name, version in environment.values("packages").items()},
            environment.texts("differs"),
        ),
        weights=tuple(_weights(part) for part in fields.parts("weights")),
        trackers=tuple(
            Tracker(part.text("kind"), part.text("run"), part.text("url")) for part in fields.parts("trackers")
        ),
        log=fields.text("log"),
        base=fields.text("base"),
    )


def _hardware(fields: Fields) -> Hardware:
    gpus = tuple(
        Gpu(part.text("name"), part.integer("memory"), part.integer("count", 1)) for part in fields.parts("gpus")
    )
    return Hardware(fields.text("cpu"), fields.integer("cores"), fields.integer("memory"), gpus)


def _data(fields: Fields) -> DataVersion:
    path, version, tree, digest = (fields.text(key) for key in ("path", "version", "tree", "digest"))
    return DataVersion(path, version, tree, digest, fields.integer("files"), fields.integer("bytes"))


def _weights(fields: Fields) -> Weights:
    return Weights(fields.text("path"), fields.text("oid"), fields.integer("size"), fields.text("weights_id"))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
