"""The block in a release's tag: what is behind the release, for machines, between two lines that people can tell apart too.

    --- hundredweight release ---
    {"version": 1, "model": "digits", "release": "v1.2.0", "metrics": {"test_acc": 0.89}, ...}
    --- end ---

docs/formats/lifecycle.md lists the fields; those it shares with an experiment's record have the record's form.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from hundredweight.lineage import record
from hundredweight.lineage.fields import Fields, RecordInvalid, Value
from hundredweight.lineage.record import DataVersion, Environment, Record, Weights

BEGIN, END = "--- hundredweight release ---", "--- end ---"
VERSION = 1
_SHARED = ("metrics", "parameters", "weights", "data", "environment")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is behind a release. `experiment` is the id of the one that made the weights, or empty."""

    metrics: dict[str, Value] = field(default_factory=dict)
    parameters: dict[str, Value] = field(default_factory=dict)
    weights: tuple[Weights, ...] = ()
    data: tuple[DataVersion, ...] = ()
    environment: Environment = field(default_factory=Environment)
    experiment: str = ""

    @classmethod
    def of_record(cls, made: Record, experiment: str = "") -> Facts:
        """Those of an experiment."""
        return cls(made.metrics, made.parameters, made.weights, made.data, made.environment, experiment)


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was read. `release` is the version that the tag stands for, where it is a semantic one."""

    model: str
    release: str
    facts: Facts


def write(model: str, release: str, facts: Facts) -> str:
    """The block's lines. Equal facts have equal blocks."""
    shared = json.loads(
        Record(
            "release", metrics=facts.metrics, parameters=facts.parameters, weights=facts.weights, data=facts.data
        ).encode()
    )
    document = {"version": VERSION, "model": model, "release": release, "experiment": facts.experiment} | {
        key: shared.get(key) for key in ("metrics", "parameters", "weights", "data")
    }
    environment = {key: value for key, value in asdict(facts.environment).items() if value}
    document["environment"] = environment
    text = json.dumps({key: value for key, value in document.items() if value}, indent=1, ensure_ascii=False)
    return f"{BEGIN}\n{text}\n{END}\n"


def split(message: str) -> tuple[str, str]:
    """A tag's message without its block, and the block's JSON, empty where there is none. The last block counts: notes that
    quote one stand before it."""
    # Not splitlines: texts in the JSON may hold what Unicode takes for a line's end.
    lines = message.split("\n")
    begin = max((place for place, line in enumerate(lines) if line.rstrip() == BEGIN), default=-1)
    if begin < 0:
        return message.strip(), ""
    end = next((place for place in range(begin + 1, len(lines)) if lines[place].rstrip() == END), len(lines))
    return "\n".join(lines[:begin] + lines[end + 1 :]).strip(), "\n".join(lines[begin + 1 : end])


def read(text: str, where: str) -> Block:
    """The block with that JSON; `where` is for errors. Raises `RecordInvalid`."""
    try:
        fields = Fields(json.loads(text), where)
    except (ValueError, RecursionError) as error:
        raise RecordInvalid(where, f"its release block is not JSON: {error}") from error
    if fields.integer("version", VERSION) < 1:
        raise fields.fault("version", "a version")
    # A record's reader knows the fields that both have, and their bounds.
    shared = {key: fields.table[key] for key in _SHARED if key in fields.table}
    known = record.decode(json.dumps(shared | {"id": "release"}).encode(), where)
    return Block(fields.text("model"), fields.text("release"), Facts.of_record(known, fields.text("experiment")))
