"""`cwt inspect`: what a weight file is: format, framework, architecture, parameters, every tensor, training facts."""

from __future__ import annotations

import argparse
import json
import math
import sys

from hundredweight.base.errors import CwtError
from hundredweight.base.sizes import format_size
from hundredweight.cli.table import format_table
from hundredweight.cli.weights import opened, printable
from hundredweight.client.inspect import Report, inspect
from hundredweight.client.weights_id import identify
from hundredweight.formats.tensors import ArrayHead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Show what a weight file is: its format, the framework that wrote it, the architecture, parameters in all and by type, "
    "every tensor, and the hyper-parameters and training facts found in it. safetensors, GGUF, PyTorch, ONNX and NumPy files "
    "are recognised by content; only headers are read, and pickles are never executed. A sharded model is shown as one when "
    "its index.json is named. REV:PATH looks into a commit, following pointers into the local store. Of a URL only the headers "
    "are downloaded: https://HOST/DIR/FILE is a plain file, https://HOST/OWNER/NAME.git@REV:PATH a file of a repository, whose "
    "bytes come from its LFS server."
)
_WIDTH = 100
_MAX_LINES = 40


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt inspect", description=DESCRIPTION)
    made.add_argument("file", metavar="FILE", help="a weight file, a sharded model's index.json, REV:PATH, or a URL")
    made.add_argument("--json", action="store_true", help="print everything, an error too, as JSON")
    made.add_argument("--id", action="store_true", help="also compute the weights id, which reads all data")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    try:
        with opened(options.file, environment) as model:
            report = inspect(model)
            weights_id = identify(model) if options.id else ""
    except CwtError as error:
        if not options.json:
            raise
        sys.stdout.write(error_as_json(error))
        return error.exit_code
    sys.stdout.write(as_json(report, weights_id) if options.json else as_text(report, weights_id))
    return 0


def error_as_json(error: CwtError) -> str:
    """What failed, in the place of the answer; the command's exit code tells it too."""
    return json.dumps({"error": {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}}) + "\n"


def as_json(report: Report, weights_id: str) -> str:
    """One object with every key always there; `weights_id` is null where it was not asked for."""
    found = {
        "file": report.name,
        "format": report.format,
        "size": report.size,
        "framework": report.framework or None,
        "architecture": report.architecture or None,
        "parameters": report.parameters,
        "parameters_by_type": report.by_dtype,
        "weights_id": weights_id or None,
        "shards": [{"file": name, "size": size} for name, size in report.shards],
        "hyper_parameters": _plain(report.hyper_parameters),
        "training": _plain(report.training),
        "metadata": _plain(report.metadata),
        "notes": report.notes,
        "tensors": [
            {"name": t.name, "type": t.dtype, "shape": list(t.shape), "bytes": t.bytes, "file": t.file}
            for t in report.tensors
        ],
    }
    return json.dumps(found, indent=2) + "\n"


def as_text(report: Report, weights_id: str) -> str:
    kinds = ", ".join(
        f"{dtype} {count:,}" for dtype, count in sorted(report.by_dtype.items(), key=lambda item: -item[1])
    )
    lines = [
        ("file", report.name),
        ("format", f"{report.format}, {format_size(report.size)}"),
        ("framework", report.framework),
        ("architecture", report.architecture),
        ("parameters", f"{report.parameters:,}" + (f" ({kinds})" if kinds else "")),
        ("weights id", weights_id),
        *(("shard", f"{name}, {format_size(size)}") for name, size in report.shards),
        *(("note", note) for note in report.notes),
    ]
    text = "".join(f"{label:<14}{printable(value)}\n" for label, value in lines if value)
    text += _section("training", report.training) + _section("hyper-parameters", report.hyper_parameters)
    shown = {**report.training, **report.hyper_parameters}
    text += _section("metadata", {key: value for key, value in report.metadata.items() if key not in shown})
    if not report.tensors:
        return text + "\nno tensors\n"
    return text + "\n" + _tensor_table(report)


def _tensor_table(report: Report) -> str:
    rows = [
        (printable(t.name), t.dtype, "x".join(map(str, t.shape)) or "scalar", f"{t.bytes:,}") for t in report.tensors
    ]
    return format_table(("TENSOR", "TYPE", "SHAPE", "BYTES"), rows, right=(3,))


def _section(title: str, facts: dict[str, object]) -> str:
    if not facts:
        return ""
    lines = [f"  {printable(key)} = {_short(value)}" for key, value in list(facts.items())[:_MAX_LINES]]
    if len(facts) > _MAX_LINES:
        lines.append(f"  ... {len(facts) - _MAX_LINES} more, shown by --json")
    return f"\n{title}\n" + "\n".join(lines) + "\n"


def _short(value: object) -> str:
    if isinstance(value, ArrayHead):
        return f"[{', '.join(_short(item) for item in value.first)}, ...] ({value.length:,} items)"[: 2 * _WIDTH]
    text = value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)
    return printable(text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "...")


def _plain(value: object) -> object:
    """`value` as JSON knows it: heads of arrays as objects, numbers that JSON lacks as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, ArrayHead):
        return {"length": value.length, "first": [_plain(item) for item in value.first]}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
