"""The parts of the comparison. Each gives plain values, so that they can be kept and put into one table afterwards."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.codec import Coder, Segment, best_of, each, segments_of
from bench.stage import Client, running_hub
from bench.weights import peers
from bench.weights.journeys import Team, route
from bench.weights.versions import DTYPES, VERSIONS, parents
from hundredweight.codec.block import Profile
from hundredweight.codec.kernel import Kernel

MODEL = "model.safetensors"
TIMED = ("series_step0060_fp32", "series_step0060_bf16", "full_wd0_fp32", "full_wd0_bf16", "base_fp32", "base_bf16")
RUNS = 5
WORKERS = (1, 2)
LEAST_TIMED = 256 << 20
"""Bytes of a run that is timed: what is shorter is as long as the machine pleases."""
REFERENCE = 40
"""Bytes of a reference to a segment that is there already."""

Result = dict[str, object]


def stored_by_others(files: Mapping[str, Path], folder: Path) -> Result:
    """Percent of the raw bytes that peers keep of the history's versions, by dtype."""
    found: Result = {}
    for dtype in DTYPES:
        versions = [files[f"{version}_{dtype}"] for version in VERSIONS]
        kept = {"Xet": peers.xet(versions, folder / f"xet-{dtype}"), "ZipNN": peers.zipnn(versions)}
        shutil.rmtree(folder / f"xet-{dtype}")
        found[dtype] = {name: {**asdict(one), "percent": one.percent} for name, one in kept.items()}
    return found


def history_through_hub(files: Mapping[str, Path], dtype: str, client: Client, folder: Path) -> Result:
    """Every version pushed, and pulled by a follower, over a counting link: the wire's bytes beside what the hub then stores."""
    versions = [{MODEL: files[f"{version}_{dtype}"]} for version in VERSIONS]
    rows = []
    with running_hub(folder) as hub, route(hub, 0) as way:
        team = Team(client, hub, folder / "team")
        team.start(versions[0])
        stored = team.stored()
        for name, version in zip(VERSIONS[1:], versions[1:], strict=True):
            team.commit(version)
            push = team.push(way)
            before, stored = stored, team.stored()
            pull = team.pull(way)
            team.check(team.follower, version)
            rows.append({"version": name, "stored": stored - before, "up": push.up, "down": pull.down})
        local = peers.folder_size(team.repository / ".git")
    shutil.rmtree(team.folder)
    raw = sum(version[MODEL].stat().st_size for version in versions)
    return {"raw": raw, "stored": stored, "local": local, "rows": rows}


def codec_alone(files: Mapping[str, Path]) -> Result:
    """For every version against its parent what the codec stores; and its speeds for `TIMED`, in bytes a second."""
    found: Result = {}
    for name, base in parents():
        segments = list(segments_of(files[name], files[base] if base else None))
        changed = [segment for segment in segments if segment.raw != segment.base]
        coder = Coder(Profile.DEFAULT, Kernel.ON)
        blocks = [coder.encode(segment) for segment in changed]
        stored = sum(map(len, blocks)) + REFERENCE * (len(segments) - len(changed))
        row: Result = {"base": base, "stored": stored, "raw": sum(len(segment.raw) for segment in segments)}
        if name in TIMED:
            row["kernel"] = _speeds(Kernel.ON, changed)
            row["numpy"] = _speeds(Kernel.OFF, changed)
        found[name] = row
    return found


def _speeds(kernel: Kernel, changed: Sequence[Segment]) -> list[tuple[float, float]]:
    """Encoding and decoding by one worker and by two, in turns: medians. Raises `RuntimeError` when bytes come back changed."""
    coder = Coder(Profile.DEFAULT, kernel)
    blocks = [coder.encode(segment) for segment in changed]
    if any(coder.decode(segment, made) != segment.raw for segment, made in zip(changed, blocks, strict=True)):
        raise RuntimeError("other bytes came back")
    size = sum(len(segment.raw) for segment in changed)
    times = -(-LEAST_TIMED // size)
    encode: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    decode: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    for _ in range(RUNS):
        for workers in WORKERS:
            with ThreadPoolExecutor(workers) as pool:
                encode[workers].append(best_of(1, partial(each, pool, coder.encode, [*changed] * times)))
                decode[workers].append(
                    best_of(1, partial(each, pool, coder.decode, [*changed] * times, blocks * times))
                )
    return [
        (size * times / statistics.median(encode[workers]), size * times / statistics.median(decode[workers]))
        for workers in WORKERS
    ]
