"""docs/benchmarks-weights.md from what the parts found. Parts that have not run leave their section out."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from bench.weights.diff import FILE_MIB
from bench.weights.versions import VERSIONS
from hundredweight.store.pack import DEEPEST

STORED_BOUNDS = {"fp32": 30.0, "bf16": 13.5}
WIRE_BOUND = 1.02
# With the kernel and without, GB/s a core.
SPEED_BOUNDS = {"encode": (0.35, 0.18), "decode": (0.5, 0.2)}
WORKERS_BOUND = 1.6
RATIO_BOUNDS = {"loopback": 1.3, "1 Gbit/s": 0.8, "100 Mbit/s": 0.45}
# Seconds to tell which tensors changed, and GB/s of all statistics.
NAMES_BOUND = 1.0
DIFF_BOUND = 0.8
FILE_GB = FILE_MIB * (1 << 20) / 1e9

Found = Mapping[str, Any]


def report(found: Found, stock: str, *, joined: bool) -> str:
    """The page. `joined`: of parts that ran one by one."""
    lines = [
        "# Benchmarks: weights",
        "",
        "`make bench-weights` makes this page. The history is eleven versions of all-MiniLM-L6-v2, really fine-tuned",
        "(bench/weights/history.py): the model, five checkpoints of one run, another full fine-tune, one of the last layer,",
        "a merged LoRA, resized embeddings, and those fine-tuned. Peers: hf_xet's local store; ZipNN on each tensor, equal",
        f"tensors once; {stock}.",
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}. The machine is small and shared: read",
        "ratios, not seconds.",
    ]
    if joined:
        lines += [
            "",
            "Its parts ran one by one, at different times, with code that changed between them: figures of one table belong",
            "together, those of different tables need not.",
        ]
    lines += _stored(found) + _wire(found) + _codec(found) + _journeys(found) + _diffs(found) + _durations(found)
    return "\n".join(lines) + "\n"


def _stored(found: Found) -> list[str]:
    systems: dict[str, dict[str, float]] = {"git-lfs (whole files)": dict.fromkeys(STORED_BOUNDS, 100.0)}
    for dtype in STORED_BOUNDS:
        for name, kept in found.get("others", {}).get(dtype, {}).items():
            systems.setdefault(name, {})[dtype] = kept["percent"]
        if ours := found.get(f"history {dtype}"):
            for name, what in (("the hub's folder", "stored"), ("the pusher's .git", "local")):
                systems.setdefault(f"Hundredweight, {name}", {})[dtype] = 100 * ours[what] / ours["raw"]
    lines = ["", "## Stored for eleven versions, % of the raw bytes", "", "| | fp32 | bf16 |", "|---|---|---|"]
    for name, row in systems.items():
        lines.append(
            "| " + " | ".join([name, *(f"{row[dtype]:.1f}" if dtype in row else "" for dtype in STORED_BOUNDS)]) + " |"
        )
    hub = systems.get("Hundredweight, the hub's folder", {})
    verdicts = [_verdict(hub.get(dtype, 0), bound) for dtype, bound in STORED_BOUNDS.items()]
    lines.append(f"| bound (the hub) | {verdicts[0]} | {verdicts[1]} |")
    return [*lines, "", "Everything in the folders counts, as `du` does: Git's objects, the database, indexes."]


def _wire(found: Found) -> list[str]:
    ours = {dtype: found[f"history {dtype}"] for dtype in STORED_BOUNDS if f"history {dtype}" in found}
    if not ours:
        return []
    lines = ["", "## Bytes on the wire for each version, against what the hub stores for it", ""]
    lines += [
        "| version | dtype | stored, MB | pushed, MB | ratio | pulled, MB | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for dtype, one in ours.items():
        total = {"stored": 0, "up": 0, "down": 0}
        for row in one["rows"]:
            lines.append(_wire_row(row["version"], dtype, row))
            total = {key: value + row[key] for key, value in total.items()}
        lines.append(_wire_row(f"all (bound {WIRE_BOUND})", dtype, total))
    return lines


def _wire_row(name: str, dtype: str, row: Mapping[str, int]) -> str:
    stored = max(row["stored"], 1)
    return (
        f"| {name} | {dtype} | {row['stored'] / 1e6:.2f} | {row['up'] / 1e6:.2f} | {row['up'] / stored:.3f} "
        f"| {row['down'] / 1e6:.2f} | {row['down'] / stored:.3f} |"
    )


def _codec(found: Found) -> list[str]:
    rows = found.get("codec")
    if not rows:
        return []
    lines = ["", "## The codec alone: stored, % of the raw bytes, given the base", ""]
    lines += ["| version | base | stored, % |", "|---|---|---|"]
    lines += [f"| {name} | {row['base'] or 'none'} | {_percent([row]):.2f} |" for name, row in rows.items()]
    for dtype, bound in STORED_BOUNDS.items():
        history = [row for name, row in rows.items() if name.removesuffix(f"_{dtype}") in VERSIONS]
        lines.append(
            f"| the eleven, {dtype} | | {_percent(history):.2f} (bound {_verdict(_percent(history), bound)}) |"
        )
    lines += ["", "## The codec alone: speed, GB/s of the raw bytes that changed, from memory to memory", ""]
    lines += [
        "| version | | kernel | bound | two workers | bound | numpy | bound | two workers | bound |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        for number, way in enumerate(SPEED_BOUNDS) if "kernel" in row else ():
            cells = [f"| {name} | {way} "]
            for speeds, bound in zip((row["kernel"], row["numpy"]), SPEED_BOUNDS[way], strict=True):
                one, two = (each[number] / 1e9 for each in speeds)
                cells.append(f"| {one:.2f} | {_at_least(one, bound)} ")
                cells.append(f"| x {two / one:.2f} | {_at_least(two / one, WORKERS_BOUND)} ")
            lines.append("".join(cells) + "|")
    return lines


def _journeys(found: Found) -> list[str]:
    ways = {way: found[way] for way in RATIO_BOUNDS if way in found}
    if not ways:
        return []
    lines = ["", "## A fine-tune on its way", ""]
    lines += [
        "A generated checkpoint in four shards (bench/checkpoint8b.py) and fine-tunes that change every tensor; medians; each",
        "client against a hub of its own, over loopback and over a link that a proxy shapes. Ours packs; stock's keeps objects",
        "whole.",
    ]
    lines += [
        "",
        "| link | size, GB | runs | operation | ours, s | stock, s | ratio | bound | ours, MB sent | stock, MB sent |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for way, one in ways.items():
        for operation, clients in one["operations"].items():
            lines += [_journey(way, one["size"], operation, clients, other) for other in clients if other != "ours"]
    for one in ways.values():
        if "depths" in one:
            lines += ["", _depths(one["depths"])]
    return lines


def _journey(way: str, size: int, operation: str, clients: Mapping[str, Any], other: str) -> str:
    ours, stock = clients["ours"], clients[other]
    ratio = ours["seconds"] / stock["seconds"]
    bounded = other == "stock" and (not operation.startswith("clone") or way == "loopback")
    sent = [f"{(which['up'] + which['down']) / 1e6:.0f}" if way != "loopback" else "" for which in (ours, stock)]
    name = operation if other == "stock" else f"{operation}; {other}"
    return (
        f"| {way} | {size / 1e9:.2f} | {ours['runs']} | {name} | {ours['seconds']:.2f} | {stock['seconds']:.2f} "
        f"| {ratio:.2f} | {_verdict(ratio, RATIO_BOUNDS[way]) if bounded else ''} | {sent[0]} | {sent[1]} |"
    )


def _depths(depths: Mapping[str, int]) -> str:
    """How deep the chains were that the last row speaks of."""
    whole = sum(depths.values())
    shares = ", ".join(f"{100 * size / whole:.1f} % at {depth}" for depth, size in depths.items())
    return f"The deepest, by deltas until a block without base: {shares}; at most {DEEPEST} are allowed."


def _diffs(found: Found) -> list[str]:
    one = found.get("diff")
    if not one:
        return []
    lines = ["", "## `cwt diff` of two versions", ""]
    lines += [
        "Every tensor changed. The checkpoint's versions are in one clone, in packs and whole; the files are 1 GiB each, in the",
        "page cache. GB/s are of the bytes of one version, start included.",
        "",
        "| versions | which tensors changed, s | bound | statistics, s | GB/s | bound |",
        "|---|---|---|---|---|---|",
    ]
    for kept in ("packed", "whole"):
        seconds = one[kept]
        speed = one["size"] / 1e9 / seconds["statistics"]
        names = f"{seconds['names']:.2f} | {_verdict(seconds['names'], NAMES_BOUND)}"
        lines.append(
            f"| {one['size'] / 1e9:.2f} GB in BF16, {kept} | {names} | {seconds['statistics']:.2f} | {speed:.2f} "
            f"| {_at_least(speed, DIFF_BOUND)} |"
        )
    for dtype, speed in one["files"].items():
        lines.append(
            f"| two files in {dtype} | | | {FILE_GB / speed:.2f} | {speed:.2f} | {_at_least(speed, DIFF_BOUND)} |"
        )
    return lines


def _durations(found: Found) -> list[str]:
    seconds: Mapping[str, float] = found.get("seconds", {})
    if not seconds:
        return []
    parts = ", ".join(f"{part} {taken:.0f}" for part, taken in seconds.items())
    return ["", f"Seconds that the parts took: {parts}; {sum(seconds.values()):.0f} in all."]


def _percent(rows: Sequence[Mapping[str, Any]]) -> float:
    return 100 * float(sum(row["stored"] for row in rows) / sum(row["raw"] for row in rows))


def _verdict(value: float, bound: float) -> str:
    return f"{bound}{'' if value <= bound else ' missed'}"


def _at_least(value: float, bound: float) -> str:
    return f"{bound}{'' if value >= bound else ' missed'}"
