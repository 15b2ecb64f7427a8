"""docs/benchmarks-weights.md from what the parts found. Parts that have not run leave their section out."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from bench.weights.versions import VERSIONS

STORED_BOUNDS = {"fp32": 30.0, "bf16": 13.5}
WIRE_BOUND = 1.02
# With the kernel and without, GB/s a core.
SPEED_BOUNDS = {"encode": (0.35, 0.18), "decode": (0.5, 0.2)}
WORKERS_BOUND = 1.6
RATIO_BOUNDS = {"loopback": 1.3, "1 Gbit/s": 0.8, "100 Mbit/s": 0.45}

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
    lines += _stored(found) + _wire(found) + _codec(found) + _journeys(found)
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
        "| version | | kernel | bound | two workers | bound | numpy | bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        for number, way in enumerate(SPEED_BOUNDS) if "kernel" in row else ():
            one, two = (speeds[number] for speeds in row["kernel"])
            kernel_bound, numpy_bound = SPEED_BOUNDS[way]
            lines.append(
                f"| {name} | {way} | {one / 1e9:.2f} | {_at_least(one / 1e9, kernel_bound)} | x {two / one:.2f} "
                f"| {_at_least(two / one, WORKERS_BOUND)} | {row['numpy'][number] / 1e9:.2f} "
                f"| {_at_least(row['numpy'][number] / 1e9, numpy_bound)} |"
            )
    return lines


def _journeys(found: Found) -> list[str]:
    ways = {way: found[way] for way in RATIO_BOUNDS if way in found}
    if not ways:
        return []
    lines = ["", "## A fine-tune on its way", ""]
    lines += [
        "A generated checkpoint in four shards (bench/checkpoint8b.py) and fine-tunes that change every tensor; medians; each",
        "client against a hub of its own, over loopback and over a link that a proxy shapes.",
    ]
    lines += [
        "",
        "| link | size, GB | runs | operation | ours, s | stock, s | ratio | bound | ours, MB sent | stock, MB sent |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for way, one in ways.items():
        for operation, clients in one["operations"].items():
            ours, stock = clients["ours"], clients["stock"]
            ratio = ours["seconds"] / stock["seconds"]
            bound = RATIO_BOUNDS[way] if operation != "clone" or way == "loopback" else None
            verdict = _verdict(ratio, bound) if bound else ""
            sent = [
                f"{(which['up'] + which['down']) / 1e6:.0f}" if way != "loopback" else "" for which in (ours, stock)
            ]
            lines.append(
                f"| {way} | {one['size'] / 1e9:.2f} | {ours['runs']} | {operation} | {ours['seconds']:.2f} "
                f"| {stock['seconds']:.2f} | {ratio:.2f} "
                f"| {verdict} | {sent[0]} | {sent[1]} |"
            )
    return lines


def _percent(rows: Sequence[Mapping[str, Any]]) -> float:
    return 100 * float(sum(row["stored"] for row in rows) / sum(row["raw"] for row in rows))


def _verdict(value: float, bound: float) -> str:
    return f"{bound}{'' if value <= bound else ' missed'}"


def _at_least(value: float, bound: float) -> str:
    return f"{bound}{'' if value >= bound else ' missed'}"
