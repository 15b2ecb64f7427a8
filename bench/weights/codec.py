"""The codec by itself, from memory to memory: what it stores for a new version given its base, and how fast."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.weights.tensors import MILLION, Row, read_tensors
from hundredweight.codec import block

WIDTHS = {"F32": 4, "I64": 8}
REFERENCE = 40
"""Bytes of a reference to a segment that is there already."""


@dataclass(frozen=True)
class Piece:
    """At most a million elements of a tensor, and those of its base at the same place, if it has one."""

    dtype: str
    raw: memoryview
    base: memoryview | None


@dataclass(frozen=True)
class Coded:
    """`percent` stored of all tensor bytes; bytes a second of the pieces that were not there already."""

    percent: float
    encode: float
    decode: float


def pieces(file: Path, base: Path | None) -> list[Piece]:
    """The file's tensors in pieces, each with the base tensor's piece of the same name."""
    before = read_tensors(base) if base else {}
    found = []
    for name, row in read_tensors(file).items():
        step = MILLION * WIDTHS.get(row.dtype, 2)
        found += [
            Piece(row.dtype, row.data[start : start + step], _base(before.get(name), row, start, step))
            for start in range(0, len(row.data), step)
        ]
    return found


def _base(before: Row | None, row: Row, start: int, step: int) -> memoryview | None:
    if before is None or before.dtype != row.dtype or start >= len(before.data):
        return None
    return before.data[start : start + step]


def measure(file: Path, base: Path | None, profile: block.Profile, workers: int = 1) -> Coded:
    """Encode and decode everything once. Raises `RuntimeError` when bytes come back changed."""
    every = pieces(file, base)
    changed = [piece for piece in every if piece.base is None or bytes(piece.raw) != bytes(piece.base)]
    size = sum(len(piece.raw) for piece in changed)
    with ThreadPoolExecutor(workers) as pool:
        begin = time.perf_counter()
        blocks = list(
            pool.map(lambda piece: block.encode(piece.raw, piece.dtype, piece.base, profile=profile), changed)
        )
        middle = time.perf_counter()
        back = list(
            pool.map(
                lambda pair: block.decode(pair[0], len(pair[1].raw), pair[1].base), zip(blocks, changed, strict=True)
            )
        )
        end = time.perf_counter()
    if any(bytes(got) != bytes(piece.raw) for got, piece in zip(back, changed, strict=True)):
        raise RuntimeError(f"{file.name}: other bytes came back")
    stored = sum(map(len, blocks)) + REFERENCE * (len(every) - len(changed))
    raw = sum(len(piece.raw) for piece in every)
    return Coded(100 * stored / raw, size / (middle - begin), size / (end - middle))
