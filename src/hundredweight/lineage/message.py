"""The commit message of an experiment: written for people, read by machines; those that people wrote by hand too.

    Train digits on data v1.1
    - Hyperparameters: lr=3e-5, batch_size=32, epochs=10
    - Hardware: 4x A100 GPUs
    - Performance: val_loss=0.42, test_acc=89.1%

and, after an empty line, git trailers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.record import Record

EXPERIMENT, DATASET, ENVIRONMENT, RUN, WEIGHTS = "Experiment", "Dataset", "Environment", "Run", "Weights-Id"
MAX_SHOWN = 24
"""Parameters and metrics in a message; the record has all."""
_SUBJECT = re.compile(r"[Tt]rain(?:ed)? (?P<name>.+?)(?: on (?:data )?(?P<data>\S+))?")
_LINE = re.compile(r"[-*] (?P<key>[A-Za-z][A-Za-z -]*): *(?P<text>.*)")
_PAIR = re.compile(r"(?P<key>[^\s=,][^=,]*?) *= *(?P<value>\"(?:[^\"\\]|\\.)*\"|[^,]*)")
_TRAILER = re.compile(r"(?P<key>[A-Za-z0-9][A-Za-z0-9-]*): (?P<value>.*)")
_KEYS = {
    "hyperparameters": "parameters", "hyper-parameters": "parameters", "parameters": "parameters", "params": "parameters",
    "hardware": "hardware", "performance": "metrics", "metrics": "metrics", "results": "metrics",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """What a message says. `trailers` are those of experiments, each with all its values."""

    name: str = ""
    data: str = ""
    hardware: str = ""
    parameters: dict[str, Value] = field(default_factory=dict)
    metrics: dict[str, Value] = field(default_factory=dict)
    trailers: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def experiment(self) -> str:
        """The id, empty for a message that was written by hand."""
        return next(iter(self.trailers.get(EXPERIMENT, ())), "")


def write(record: Record, subject: str = "") -> str:
    """The message of a record, ending in a newline."""
    lines = [subject or _subject(record)]
    if record.parameters:
        lines.append(f"- Hyperparameters: {_pairs(record.parameters)}")
    if str(record.hardware):
        lines.append(f"- Hardware: {_single(str(record.hardware))}")
    if record.metrics:
        lines.append(f"- Performance: {_pairs(record.metrics)}")
    if record.status != "done":
        lines.append(f"- Status: {record.status}, exit code {record.exit_code}")
    trailers = [(EXPERIMENT, record.id)]
    trailers += [(DATASET, f"{data.path}@{data.version or data.digest[:16]}") for data in record.data]
    if record.environment.digest:
        trailers.append((ENVIRONMENT, record.environment.digest[:16]))
    trailers += [(RUN, f"{tracker.kind}:{tracker.run}") for tracker in record.trackers]
    trailers += [(WEIGHTS, weights.weights_id) for weights in record.weights if weights.weights_id]
    return "\n".join(lines) + "\n\n" + "".join(f"{key}: {_single(value)}\n" for key, value in trailers)


def read(text: str) -> Message | None:
    """What a commit's message says of an experiment; None for one that says nothing of the kind."""
    lines = text.strip().splitlines()
    if not lines:
        return None
    found: dict[str, dict[str, Value]] = {"parameters": {}, "metrics": {}}
    hardware = ""
    for line in lines[1:]:
        match = _LINE.fullmatch(line.strip())
        kind = _KEYS.get(match["key"].lower()) if match else None
        if match and kind == "hardware":
            hardware = match["text"].strip()
        elif match and kind:
            found[kind] |= {pair["key"].strip(): value(pair["value"]) for pair in _PAIR.finditer(match["text"])}
    trailers = _trailers(lines)
    subject = _SUBJECT.fullmatch(lines[0].strip())
    if EXPERIMENT not in trailers and not (subject and (found["parameters"] or found["metrics"])):
        return None
    name, data = (subject["name"], subject["data"] or "") if subject else (lines[0].strip(), "")
    return Message(name, data, hardware, found["parameters"], found["metrics"], trailers)


def value(text: str) -> Value:
    """A parameter or metric as written: a number, `89.1%` (0.891), true, false, null, a text in quotes or bare."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text == "null":
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return round(float(text[:-1]) / 100, 12) if text.endswith("%") else float(text)
    except ValueError:
        return text


def show(item: Value) -> str:
    """The shortest text that `value` reads back as the same."""
    if isinstance(item, bool) or item is None:
        return "null" if item is None else str(item).lower()
    if isinstance(item, float):
        return _number(item)
    text = str(item)
    if isinstance(item, str) and (
        value(text) != text or any(c in text for c in ',="\n\r') or text != text.strip() or not text
    ):
        return '"' + re.sub(r'(["\\])', r"\\\1", _single(text)) + '"'
    return text


def _number(number: float) -> str:
    """`3e-5` rather than `3e-05`."""
    return re.sub(r"e([-+])0+(\d)", r"e\1\2", repr(number)).replace("e+", "e")


def _pairs(values: Mapping[str, Value]) -> str:
    shown = [f"{_single(key)}={show(item)}" for key, item in list(values.items())[:MAX_SHOWN]]
    return ", ".join(shown + ([f"and {len(values) - MAX_SHOWN} more"] if len(values) > MAX_SHOWN else []))


def _subject(record: Record) -> str:
    version = next((data.version or data.digest[:12] for data in record.data if data.version or data.digest), "")
    return _single(f"Train {record.name or 'model'}" + (f" on data {version}" if version else ""))


def _trailers(lines: list[str]) -> dict[str, tuple[str, ...]]:
    """Those of the last paragraph, where every line is one."""
    start = max((place for place, line in enumerate(lines) if not line.strip()), default=len(lines)) + 1
    found: dict[str, tuple[str, ...]] = {}
    for line in lines[start:]:
        match = _TRAILER.fullmatch(line.strip())
        if match and match["key"] in (EXPERIMENT, DATASET, ENVIRONMENT, RUN, WEIGHTS):
            found[match["key"]] = (*found.get(match["key"], ()), match["value"].strip())
    return found


def _single(text: str) -> str:
    return " ".join(text.split())
