"""How fast `cwt diff` compares two versions in which every element may have changed, by type; memory and start included.

`python -m bench.diff_speed [--size MB] [TYPE...]`; GB/s are of the bytes of one version, in the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

CWT = Path(sys.executable).parent / "cwt"
TYPES = ("F32", "BF16", "F16", "F8_E4M3", "F64", "I8")
BLOCK = 1 << 22
ROWS = 4096
# By a small process: until it becomes another program, a child counts with the memory of its parent.
_MEASURED = """
import os, resource, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
assert os.waitpid(pid, 0)[1] == 0
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def as_type(values: Any, dtype: str) -> bytes:
    """Singles as the bytes of a type; F8_E4M3 by its bits, evenly over all finite codes."""
    if dtype == "BF16":
        return bytes((values.view(np.uint32) >> 16).astype(np.uint16).tobytes())
    if dtype == "F8_E4M3":
        return bytes((np.abs(values * 1000).astype(np.uint8) & 0x77).tobytes())
    plain = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I8": np.int8}[dtype]
    return bytes((values * 100 if dtype == "I8" else values).astype(plain).tobytes())


def write(path: Path, dtype: str, block: bytes, count: int) -> int:
    """`count` tensors of the same bytes; the file's size."""
    width = len(block) // BLOCK
    header = {
        f"layers.{n}.weight": {
            "dtype": dtype,
            "shape": [ROWS, BLOCK // ROWS],
            "data_offsets": [n * BLOCK * width, (n + 1) * BLOCK * width],
        }
        for n in range(count)
    }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(count):
            file.write(block)
    return path.stat().st_size


def measure(folder: Path, dtype: str, size: int) -> tuple[float, int]:
    """GB/s of the best of three runs, and the highest memory in MB."""
    random = np.random.default_rng(1)
    values = random.standard_normal(BLOCK, dtype=np.float32) * np.float32(0.02)
    step = random.standard_normal(BLOCK, dtype=np.float32) * np.float32(1e-3)
    old, new = as_type(values, dtype), as_type(values + step, dtype)
    count = max(size // len(old), 1)
    total = write(folder / "old", dtype, old, count)
    write(folder / "new", dtype, new, count)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        command = [sys.executable, "-c", _MEASURED, str(CWT), "diff", "old", "new"]
        memory = int(subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout)
        best = min(best, time.perf_counter() - start)
    for name in ("old", "new"):
        os.unlink(folder / name)
    return total / best / 1e9, memory // 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, metavar="MB", help="size of a version")
    parser.add_argument("types", nargs="*", default=TYPES, metavar="TYPE")
    options = parser.parse_args()
    for dtype in options.types:
        with tempfile.TemporaryDirectory() as folder:
            speed, memory = measure(Path(folder), dtype, options.size << 20)
        print(f"{dtype:8}  {speed:5.2f} GB/s  {memory} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
