"""Differences of models as text, JSON and Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.base.sizes import format_size
from hundredweight.cli.markdown import code, escape, format_markdown
from hundredweight.cli.table import format_table
from hundredweight.cli.weights import printable
from hundredweight.client.layers import group, heat
from hundredweight.client.tensor_diff import KINDS, RENAMED, RESHAPED, RETYPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hundredweight.client.diff import ModelDiff, Version
    from hundredweight.client.layers import Layer
    from hundredweight.client.tensor_diff import TensorChange
    from hundredweight.client.tensor_hashes import TensorFact
    from hundredweight.client.tensor_scan import Statistics

HEAD = ("TENSOR", "CHANGE", "TYPE", "SHAPE", "CHANGED", "REL L2", "MAX ABS", "COSINE")
_RIGHT = (4, 5, 6, 7)
_BARS = "·▁▂▃▄▅▆▇█"
# Blue over green and yellow to red, of the 256 colours that terminals have.
_COLOURS = (240, 27, 33, 43, 76, 148, 220, 208, 196)
_FEW_LAYERS = 3


def as_text(diff: ModelDiff, *, strip: bool = False, colour: bool = False) -> str:
    """One model, for people. `strip`: with the heat strip of its layers."""
    head = f"weights {printable(diff.name)}"
    lines = [f"\x1b[1m{head}\x1b[m" if colour else head, *(f"  {line}" for line in _summary(diff))]
    layers = group(diff.tensors, diff.names)
    if strip:
        lines += [f"  {line}" for line in heat_strip(layers, colour=colour)]
    lines += [f"  {line}" for line in fact_lines(diff)]
    text = "\n".join(lines) + "\n"
    if diff.tensors.changes:
        text += "\n" + format_table(HEAD, _rows(layers), right=_RIGHT)
    return text


def as_markdown(diff: ModelDiff) -> str:
    """One model, for a comment on a merge request."""
    lines = [f"### {code(diff.name)}", "", *(f"- {escape(line)}" for line in _summary(diff))]
    lines += [f"- {escape(line)}" for line in fact_lines(diff)]
    text = "\n".join(lines) + "\n"
    if diff.tensors.changes:
        rows = [
            [code(row[0].strip()) if row[2] else f"**{escape(row[0])}**", *map(escape, row[1:])]
            for row in _rows(group(diff.tensors, diff.names))
        ]
        text += "\n" + format_markdown([word.lower() for word in HEAD], rows, _RIGHT)
    return text


def as_json(diff: ModelDiff) -> dict[str, object]:
    """One model, with every key always there; docs/diff.md tells them."""
    layers = group(diff.tensors, diff.names)
    return {
        "name": diff.name,
        "renamed_from": diff.renamed_from or None,
        "old": _json_version(diff.old),
        "new": _json_version(diff.new),
        "counts": {**{kind: diff.tensors.count(kind) for kind in KINDS}, "unchanged": diff.tensors.unchanged},
        "no_statistics": str(diff.missing) if diff.missing is not None else None,
        "metadata": [
            {"file": fact.source or None, "key": fact.key, "old": fact.old, "new": fact.new} for fact in diff.facts
        ],
        "layers": [
            {
                "name": layer.name,
                "tensors": layer.tensors,
                "differing": len(layer.changes),
                "changed_share": layer.share if layer.compared else None,
                "relative_l2": layer.relative_l2,
                "cosine": layer.cosine,
                "heat": heat(layer),
            }
            for layer in layers
        ],
        "tensors": [_json_change(change) for change in diff.tensors.changes],
    }


def fact_lines(diff: ModelDiff) -> list[str]:
    """Metadata and hyper-parameters that are not as they were, a line each."""
    lines = []
    for fact in diff.facts:
        where = printable(f"{fact.source}: {fact.key}" if fact.source else f"metadata {fact.key}")
        if fact.old is None:
            lines.append(f"{where} = {printable(fact.new or '')} (added)")
        elif fact.new is None:
            lines.append(f"{where} = {printable(fact.old)} (removed)")
        else:
            lines.append(f"{where} = {printable(fact.old)} -> {printable(fact.new)}")
    return lines


def heat_strip(layers: Sequence[Layer], *, colour: bool) -> list[str]:
    """A block for each layer of a stack, the hotter the higher; a line for each stack that is worth it."""
    stacks: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.numbered:
            stacks.setdefault(layer.name.rstrip("0123456789"), []).append(layer)
    lines = []
    for name, stack in stacks.items():
        if len(stack) >= _FEW_LAYERS and any(layer.changes for layer in stack):
            blocks = "".join(_block(heat(layer), colour=colour) for layer in stack)
            lines.append(f"heat {printable(name)}0-{len(stack) - 1}  {blocks}")
    return lines


def _block(warmth: int, *, colour: bool) -> str:
    bar = _BARS[warmth]
    return f"\x1b[38;5;{_COLOURS[warmth]}m{bar}\x1b[0m" if colour else bar


def _summary(diff: ModelDiff) -> list[str]:
    old, new, tensors = diff.old, diff.new, diff.tensors
    if old is None or new is None:
        version = new or old
        assert version is not None
        count = tensors.new_count or tensors.old_count
        return [f"{'new' if old is None else 'removed'}: {_describe(version)}, {count} tensors"]
    lines = []
    if diff.renamed_from:
        lines.append(f"renamed from {printable(diff.renamed_from)}")
    if (old.format, old.parameters, len(old.files)) == (new.format, new.parameters, len(new.files)):
        lines.append(f"{_describe(new)}" + (f" (was {format_size(old.size)})" if old.size != new.size else ""))
    else:
        lines += [f"old: {_describe(old)}", f"new: {_describe(new)}"]
    counts = [f"{tensors.count(kind)} {kind}" for kind in KINDS if tensors.count(kind)]
    lines.append(f"tensors: {', '.join(counts)}, {tensors.unchanged} unchanged" if counts else
                 f"tensors: all {tensors.unchanged} unchanged")  # fmt: skip
    if diff.missing is not None:
        lines.append(f"no statistics: object {diff.missing.pointer.oid[:12]} is not here; {diff.missing.hint}")
    return lines


def _describe(version: Version) -> str:
    shards = f", {len(version.files)} files" if len(version.files) > 1 else ""
    return f"{version.format}, {format_size(version.size)}, {version.parameters:,} parameters{shards}"


def _rows(layers: Iterable[Layer]) -> list[tuple[str, ...]]:
    """A line for each layer, then one for each of its tensors, indented; a tensor that stands alone has one."""
    rows = []
    for layer in layers:
        if not layer.numbered and layer.tensors == 1:
            rows += [_change_row(change, "") for change in layer.changes]
        elif layer.changes:
            rows.append(_layer_row(layer))
            rows += [_change_row(change, layer.name) for change in layer.changes]
    return rows


def _layer_row(layer: Layer) -> tuple[str, ...]:
    # A tensor that was renamed between layers counts in the one where it is now.
    figures = ("", "", "", "")
    if layer.compared:
        figures = (_share(layer.share), _figure(layer.relative_l2), _figure(layer.sums.largest), _cosine(layer.cosine))
    return printable(layer.name), f"{len(layer.changes)} of {layer.tensors}", "", "", *figures


def _change_row(change: TensorChange, layer: str) -> tuple[str, ...]:
    statistics = change.statistics
    name = printable(change.name)
    if layer:
        name = "  " + printable(change.name.removeprefix(layer).lstrip("./"))
    kind = change.kind
    if kind == RENAMED and change.old is not None:
        kind = f"renamed from {printable(change.old.name)}"
    elif kind == RESHAPED and change.same_bytes:
        kind = "reshaped, same bytes"
    elif change.rows:
        kind = f"reshaped, {change.rows} rows compared"
    return name, kind, _types(change), _shapes(change), *_figures(statistics)


def _types(change: TensorChange) -> str:
    old, new = change.old, change.new
    if change.kind == RETYPED and old is not None and new is not None:
        return f"{old.dtype} -> {new.dtype}"
    return _either(change).dtype


def _shapes(change: TensorChange) -> str:
    old, new = change.old, change.new
    if old is not None and new is not None and old.shape != new.shape:
        return f"{shape_text(old.shape)} -> {shape_text(new.shape)}"
    return shape_text(_either(change).shape)


def _either(change: TensorChange) -> TensorFact:
    fact = change.new or change.old
    assert fact is not None
    return fact


def shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _figures(statistics: Statistics | None) -> tuple[str, str, str, str]:
    if statistics is None:
        return "", "", "", ""
    share = _share(statistics.share) + ("" if statistics.unit == "elements" else f" of {statistics.unit}")
    if statistics.max_abs is None:
        return share, "", "", ""
    odd = _odd(statistics)
    relative = _figure(statistics.relative_l2, "from 0")
    return share + odd, relative, _figure(statistics.max_abs), _cosine(statistics.cosine)


def _odd(statistics: Statistics) -> str:
    """What is not finite, old -> new."""
    told = []
    for name, old, new in (
        ("NaN", statistics.old_nan, statistics.new_nan),
        ("inf", statistics.old_inf, statistics.new_inf),
    ):
        if old or new:
            told.append(f"{name} {old} -> {new}" if old != new else f"{name} {new}")
    return f" ({', '.join(told)})" if told else ""


def _share(value: float) -> str:
    """A share in per cent that reads 100 % and 0 % only where it is all or nothing."""
    if value in (0.0, 1.0):
        return f"{value:.0%}"
    return f"{min(max(value * 100, 0.01), 99.99):.2f}%"


def _figure(value: float | None, missing: str = "-") -> str:
    return missing if value is None else f"{value:.3g}"


def _cosine(value: float | None) -> str:
    """With as many digits as tell how far from 1 it is."""
    if value is None:
        return "-"
    return f"1-{1 - value:.0e}" if _NOISE < 1 - value < 5e-7 else f"{value:.6f}"


_NOISE = 1e-9
"""What sums in single precision may be wrong by."""


def _json_version(version: Version | None) -> dict[str, object] | None:
    if version is None:
        return None
    return {
        "name": version.name,
        "format": version.format,
        "size": version.size,
        "parameters": version.parameters,
        "files": list(version.files),
    }


def _json_change(change: TensorChange) -> dict[str, object]:
    statistics = change.statistics
    return {
        "name": change.name,
        "change": change.kind,
        "old": _json_fact(change.old),
        "new": _json_fact(change.new),
        "same_bytes": change.same_bytes,
        "statistics": None
        if statistics is None
        else {
            "unit": statistics.unit,
            "compared": statistics.units,
            "changed": statistics.changed,
            "changed_share": statistics.share,
            "rows": change.rows or None,
            "relative_l2": _finite(statistics.relative_l2),
            "max_abs": _finite(statistics.max_abs),
            "cosine": statistics.cosine,
            "nan": [statistics.old_nan, statistics.new_nan],
            "infinite": [statistics.old_inf, statistics.new_inf],
        },
    }


def _json_fact(fact: TensorFact | None) -> dict[str, object] | None:
    return (
        None
        if fact is None
        else {"name": fact.name, "type": fact.dtype, "shape": list(fact.shape), "bytes": fact.nbytes}
    )


def _finite(value: float | None) -> float | None:
    # JSON has no infinity.
    return value if value is not None and abs(value) < float("inf") else None
