"""Experiments in text, Markdown and JSON: one alone, and several side by side."""

from __future__ import annotations

import json
import math
import shlex

from hundredweight.base.sizes import format_size
from hundredweight.cli.markdown import code, escape, format_markdown
from hundredweight.cli.table import format_table
from hundredweight.cli.weights import printable
from hundredweight.client.experiments.table import short, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hundredweight.client.experiments.compare import ExperimentsCompared
    from hundredweight.lineage.compare import Row
    from hundredweight.lineage.experiments import Experiment
    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.record import Record

WIDEST = 44
"""Characters of a cell of a comparison; the middle of longer ones is left out."""
_FEW = 4
_HASH = 64


def as_json(document: object, indent: int | None = 1) -> str:
    """JSON; numbers that it does not have (nan, inf: a message by hand may say so) are texts, as in records."""
    try:
        return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(document), indent=indent, ensure_ascii=False)


def _finite(item: object) -> object:
    if isinstance(item, dict):
        return {key: _finite(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [_finite(value) for value in item]
    return str(item) if isinstance(item, float) and not math.isfinite(item) else item


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def label(found: Experiment) -> str:
    """What a column of this experiment is headed with."""
    identity = found.record.id[:12] if found.by_hand else found.record.id
    return f"{found.record.name} ({identity})" if found.record.name else identity


def duration(seconds: float) -> str:
    """`1 h 03 min`, `2 min 05 s`, `3.2 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def show_text(found: Experiment, curves: Iterable[str] = (), *, bold: bool = False) -> str:
    """Everything about one experiment. `curves` are lines that describe its curves."""
    made = found.record
    on, off = ("\x1b[1m", "\x1b[m") if bold else ("", "")
    parts: list[tuple[str, list[str]]] = [
        ("Parameters", _pairs(made.parameters)),
        ("Metrics", _pairs(made.metrics)),
        ("Curves", list(curves)),
        ("Hardware", _hardware(made)),
        ("Data", _data(made)),
        ("Environment", _environment(made)),
        ("Weights", _weights(made)),
        ("Trackers", [f"{each.kind} {each.run}" + (f"  {each.url}" if each.url else "") for each in made.trackers]),
    ]
    text = f"{on}experiment {printable(label(found))}{off}"
    facts = _facts(found)
    width = max(len(name) for name, _ in facts)
    text += "\n" + "".join(f"  {name.ljust(width)}  {printable(value)}\n" for name, value in facts)
    for title, lines in parts:
        if lines:
            text += f"{on}{title}{off}\n" + "".join(f"  {printable(line)}\n" for line in lines)
    return text


def _facts(found: Experiment) -> list[tuple[str, str]]:
    made = found.record
    status = str(made.status) + (f", exit code {made.exit_code}" if made.exit_code else "")
    facts = [
        ("status", "told by its message alone" if found.by_hand else status),
        ("started", short(made.started, "started")),
        ("took", duration(made.seconds) if made.seconds else ""),
        ("command", shlex.join(made.command)),
        ("commit", found.commit),
        ("ref", found.ref or ("" if found.by_hand else "none: it is kept by branches alone")),
        ("code", made.code.commit[:12] + (" with changes that are not committed" if made.code.dirty else "")),
        ("seed", "" if made.seed is None else str(made.seed)),
        ("base", made.base),
        ("log", f"{found.commit[:12]}:{made.log}" if made.log else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _pairs(values: dict[str, Value]) -> list[str]:
    width = max((len(name) for name in values), default=0)
    return [f"{name.ljust(width)}  {text_of(value)}" for name, value in values.items()]


def _hardware(made: Record) -> list[str]:
    hardware = made.hardware
    lines = [
        f"{gpu.count}x {gpu.name}" + (f", {format_size(gpu.memory)} each" if gpu.memory else "")
        for gpu in hardware.gpus
    ]
    if hardware.cpu:
        memory = f", {format_size(hardware.memory)}" if hardware.memory else ""
        lines.append(f"{hardware.cpu}" + (f", {hardware.cores} cores" if hardware.cores else "") + memory)
    return lines


def _data(made: Record) -> list[str]:
    lines = []
    for each in made.data:
        version = each.version or each.digest[:12] or each.tree[:12]
        size = f", {each.files} file{'s' if each.files != 1 else ''}, {format_size(each.bytes)}" if each.files else ""
        content = f", content {each.digest[:12]}" if each.digest and each.version else ""
        lines.append(f"{each.path}  {version}{size}{content}")
    return lines


def _environment(made: Record) -> list[str]:
    environment = made.environment
    lines = [f"python {environment.python}"] if environment.python else []
    lines += [f"cuda {environment.cuda}"] if environment.cuda else []
    lines += [f"{len(environment.packages)} packages, listed in the record (--json)"] if environment.packages else []
    if environment.file:
        differs = len(environment.differs)
        lines.append(
            f"{environment.file}: " + (f"{differs} difference{'s' if differs > 1 else ''}" if differs else "as it says")
        )
        lines += [f"  {line}" for line in environment.differs]
    return lines


def _weights(made: Record) -> list[str]:
    return [
        f"{each.path}  {format_size(each.size)}  {each.weights_id or 'sha256:' + each.oid}" for each in made.weights
    ]


def show_json(found: Experiment) -> dict[str, object]:
    """The record, and where it is."""
    record: dict[str, object] = json.loads(found.record.encode())
    return {"commit": found.commit, "ref": found.ref or None, "by_hand": found.by_hand, "record": record}


def compare_text(compared: ExperimentsCompared, *, everything: bool = False, bold: bool = False) -> str:
    """Parts with what differs; what is the same is counted, or listed too (`everything`)."""
    on, off = ("\x1b[1m", "\x1b[m") if bold else ("", "")
    labels = list(map(printable, titles(compared.experiments)))
    parts = []
    for name, rows in compared.parts():
        shown = [row for row in rows if row.differs or everything]
        text = f"{on}{name}{off}\n"
        if shown:
            lines = [
                [printable(row.key), *(_cell(value, row) for value in row.values), _change(name, row)] for row in shown
            ]
            head = [name, *labels, ""]
            first, _, rest = format_table(head, lines, range(1, len(head))).partition("\n")
            text = f"{on}{first}{off}\n{rest}"
        if name == "weights":
            text += "".join(f"  {printable(line)}\n" for line in _tensor_lines(compared, labels))
        same = [row for row in rows if not row.differs]
        if same and not everything:
            text += f"  {_same(same)}\n"
        parts.append(text)
    return "\n".join(parts)


def _same(rows: Sequence[Row]) -> str:
    if len(rows) > _FEW:
        return f"{len(rows)} the same"
    return "the same: " + printable(", ".join(f"{row.key}={_cell(row.values[0], row)}" for row in rows))


def _tensor_lines(compared: ExperimentsCompared, labels: Sequence[str]) -> list[str]:
    return [f"{each.path}, {labels[0]} -> {labels[each.place]}: {each}" for each in compared.tensors]


def _cell(value: Value, row: Row) -> str:
    if value is None:
        return "-"
    if row.key == "memory" and isinstance(value, int):
        return format_size(value)
    text = printable(short(value, row.key))
    if text.startswith("w1-") or (len(text) == _HASH and text.isalnum()):
        return text[:15]
    if len(text) <= WIDEST:
        return text
    half = (WIDEST - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def _change(part: str, row: Row) -> str:
    """By how much a metric rose, in a comparison of two."""
    if part != "metrics" or len(row.values) != 2 or not row.differs or row.change is None:
        return ""
    first = row.values[0]
    assert isinstance(first, int | float)
    return f"{row.change:+.4g}" + (f" ({row.change / abs(first):+.1%})" if first else "")


def compare_markdown(compared: ExperimentsCompared) -> str:
    """One table a part with what differs; what is the same is folded away."""
    labels = titles(compared.experiments)
    text = ""
    same = []
    for name, rows in compared.parts():
        lines = [
            [code(row.key), *(escape(_cell(value, row)) for value in row.values), _change(name, row)]
            for row in rows
            if row.differs
        ]
        if lines:
            columns = len(labels) + (2 if any(line[-1] for line in lines) else 1)
            head = [name, *map(escape, labels), "change"][:columns]
            text += format_markdown(head, [line[:columns] for line in lines], range(1, columns)) + "\n"
        if name == "weights":
            told = _tensor_lines(compared, labels)
            text += "".join(f"- {escape(line)}\n" for line in told) + ("\n" if told else "")
        same += [[name, code(row.key), escape(_cell(row.values[0], row))] for row in rows if not row.differs]
    if same:
        folded = format_markdown(["part", "fact", "in all"], same)
        text += f"<details><summary>{len(same)} the same</summary>\n\n{folded}\n</details>\n"
    return text


def compare_json(compared: ExperimentsCompared) -> dict[str, object]:
    """Every part with every row, differences first; values in the order of `experiments`."""
    made: dict[str, object] = {
        "experiments": [
            {"id": found.record.id, "name": found.record.name, "commit": found.commit} for found in compared.experiments
        ],
        "differs": compared.facts.differs,
    }
    for name, rows in compared.parts():
        made[name] = [{"key": row.key, "values": list(row.values), "differs": row.differs} for row in rows]
    made["tensors"] = [
        {
            "path": each.path,
            "experiment": compared.experiments[each.place].record.id,
            "total": each.total if each.changes is not None else None,
            "changes": each.changes,
        }
        for each in compared.tensors
    ]
    return made


def titles(found: Sequence[Experiment]) -> list[str]:
    """Labels that tell experiments apart: names where they differ, else ids."""
    names = [each.record.name for each in found]
    if all(names) and len(set(names)) == len(names):
        return names
    return [label(each) for each in found]
