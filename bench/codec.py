"""`python -m bench.codec [NEW BASE]...`: ratio and speed of the block codec on one or two threads, by numpy and by the kernel.

NEW and BASE are safetensors files (BASE `-` for none); without any, a synthetic fine-tune is used. Segments are 1 Mi elements of
one tensor, or small tensors of one type together. Segments that are equal in both are references in a pack: they count as raw
bytes that cost nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from hundredweight.codec import block, methods
from hundredweight.codec.kernel import Kernel
from hundredweight.formats import recognise
from hundredweight.formats.source import BytesSource

ELEMENTS = 1 << 20
SMALL = 1 << 16


@dataclass(frozen=True)
class Segment:
    """What one block is made of."""

    dtype: str
    raw: bytes
    base: bytes | None
    base_dtype: str | None


def tensors_of(path: Path) -> dict[str, tuple[str, bytes]]:
    content = path.read_bytes()
    found = recognise.read(BytesSource(content)).tensors
    return {tensor.name: (tensor.dtype, content[tensor.start : tensor.end]) for tensor in found}


def segments_of(new: Path, base: Path | None) -> Iterator[Segment]:
    old = tensors_of(base) if base else {}
    small: dict[str, list[tuple[bytes, bytes]]] = {}
    for name, (dtype, raw) in tensors_of(new).items():
        base_dtype, base_raw = old.get(name, (None, b""))
        width = {"F32": 4, "BF16": 2, "F16": 2}.get(dtype, 8)
        if len(raw) < SMALL * width and base_dtype in {None, dtype} and len(base_raw) in {0, len(raw)}:
            small.setdefault(dtype, []).append((raw, base_raw))
            continue
        step = ELEMENTS * width
        base_step = ELEMENTS * {"F32": 4, "BF16": 2, "F16": 2}.get(base_dtype or dtype, 8)
        for index, start in enumerate(range(0, len(raw), step)):
            part = base_raw[index * base_step :][:base_step] if base_dtype else None
            yield Segment(dtype, raw[start : start + step], part, base_dtype)
    for dtype, parts in small.items():
        joined = b"".join(raw for raw, _ in parts)
        base_joined = b"".join(base_raw for _, base_raw in parts)
        yield Segment(dtype, joined, base_joined if len(base_joined) == len(joined) else None, dtype)


def synthetic() -> Iterator[tuple[str, list[Segment]]]:
    """Normal weights, and steps of a like absolute size; a third of the rows untouched."""
    random = np.random.default_rng(1)
    parts32, parts16 = [], []
    for _ in range(12):
        base = (random.standard_normal(ELEMENTS) * 0.05).astype(np.float32)
        moved = random.standard_normal(ELEMENTS).astype(np.float32) * np.float32(2e-4)
        moved.reshape(-1, 1024)[random.random(ELEMENTS // 1024) < 1 / 3] = 0
        new = base + moved
        parts32.append(Segment("F32", new.tobytes(), base.tobytes(), "F32"))
        half = [(x.view(np.uint32) >> np.uint32(16)).astype(np.uint16).tobytes() for x in (new, base)]
        parts16.append(Segment("BF16", half[0], half[1], "BF16"))
    yield "synthetic F32", parts32
    yield "synthetic BF16", parts16


def best_of(runs: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest of `runs`."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(name: str, segments: list[Segment], options: argparse.Namespace) -> None:
    """One line for each profile and kernel."""
    raw = sum(len(segment.raw) for segment in segments)
    changed = [segment for segment in segments if segment.raw != segment.base]
    moved = sum(len(segment.raw) for segment in changed)
    print(f"{name}: {raw / 1e6:.1f} MB, {100 * (1 - moved / raw):.1f} % in equal segments")
    for profile, kernel in product(options.profiles, options.kernels):
        coder = Coder(profile, kernel)
        blocks = [coder.encode(segment) for segment in changed]
        if any(coder.decode(segment, made) != segment.raw for segment, made in zip(changed, blocks, strict=True)):
            raise SystemExit(f"{name}: a segment did not come back")
        line = f"  {profile.value:8} kernel {kernel.value:4} {100 * sum(map(len, blocks)) / raw:6.2f} %"
        for threads in options.threads:
            with ThreadPoolExecutor(threads) as pool:
                encoded = best_of(options.runs, partial(each, pool, coder.encode, changed))
                decoded = best_of(options.runs, partial(each, pool, coder.decode, changed, blocks))
            line += (
                f"   {threads} thread(s): encode {moved / encoded / 1e9:.2f}, decode {moved / decoded / 1e9:.2f} GB/s"
            )
        print(line, flush=True)


@dataclass(frozen=True)
class Coder:
    """`block` with fixed options."""

    profile: block.Profile
    kernel: Kernel

    def encode(self, segment: Segment) -> bytes:
        return block.encode(
            segment.raw, segment.dtype, segment.base, segment.base_dtype, profile=self.profile, kernel=self.kernel
        )

    def decode(self, segment: Segment, made: bytes) -> methods.Buffer:
        return block.decode(made, len(segment.raw), segment.base, kernel=self.kernel)


def each(pool: ThreadPoolExecutor, work: Callable[..., object], *items: Sequence[object]) -> None:
    for _ in pool.map(work, *items):
        pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="NEW BASE pairs of safetensors files, '-' for no base")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--profiles", type=block.Profile, nargs="+", default=[block.Profile.DEFAULT])
    parser.add_argument("--kernels", type=Kernel, nargs="+", default=[Kernel.OFF, Kernel.ON])
    options = parser.parse_args()
    if len(options.files) % 2:
        parser.error("files come in pairs: NEW BASE")
    for new, base in zip(options.files[::2], options.files[1::2], strict=True):
        pair = list(segments_of(Path(new), None if base == "-" else Path(base)))
        measure(f"{Path(new).stem} <- {Path(base).stem}", pair, options)
    if not options.files:
        for name, segments in synthetic():
            measure(name, segments, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
