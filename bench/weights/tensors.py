"""Tensors of a safetensors file, memory-mapped, for what is measured tensor by tensor."""

from __future__ import annotations

import json
import mmap
from dataclasses import dataclass
from pathlib import Path

MILLION = 1 << 20


@dataclass(frozen=True)
class Row:
    """One tensor: its type as safetensors names it, and its bytes."""

    dtype: str
    data: memoryview


def read_tensors(path: Path) -> dict[str, Row]:
    """By name, in the file's order. The file stays mapped as long as a tensor of it is held."""
    with path.open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    start = 8 + int.from_bytes(mapped[:8], "little")
    table = json.loads(bytes(mapped[8:start]))
    table.pop("__metadata__", None)
    rows = sorted(table.items(), key=lambda item: int(item[1]["data_offsets"][0]))
    return {
        name: Row(entry["dtype"], mapped[slice(*(start + place for place in entry["data_offsets"]))])
        for name, entry in rows
    }
