"""Damaged files of every format: they are read or refused with `FormatError`, never anything else, and never cost memory."""

from __future__ import annotations

import io
import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper
from safetensors.numpy import save

from hundredweight.formats.source import FormatError
from tests.formats.reading import tensors_of
from tests.formats.test_gguf import written

GOLDEN = Path(__file__).parent / "golden"
ARRAYS: dict[str, Any] = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.array([1, 2], dtype=np.int64),
}
MOST_MEMORY = 48 << 20


def sample(name: str, folder: Path) -> bytes:
    out = io.BytesIO()
    if name == "safetensors":
        return bytes(save(ARRAYS, {"format": "np"}))
    if name == "gguf":
        written(folder / "m.gguf")
        return (folder / "m.gguf").read_bytes()
    if name == "onnx":
        tensors = [numpy_helper.from_array(array, key) for key, array in ARRAYS.items()]
        return bytes(helper.make_model(helper.make_graph([], "g", [], [], tensors)).SerializeToString())
    if name == "npy":
        np.save(out, ARRAYS["a.weight"])
    elif name == "npz":
        np.savez_compressed(out, **ARRAYS)
    else:
        return (GOLDEN / f"{name}.pt").read_bytes()
    return out.getvalue()


def damage(data: bytes, rng: random.Random) -> bytes:
    made = bytearray(data)
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(made[: rng.randrange(len(made))])
    # Most of what can lie stands near one of the ends.
    reach = min(len(made), rng.choice((32, 256, len(made))))
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(reach)
        place = place if rng.random() < 0.7 else len(made) - 1 - place
        made[place] = rng.choice((0, 0xFF, 0x7F, 0x80, made[place] ^ 1 << rng.randrange(8), rng.randrange(256)))
    if kind == 1:
        place = rng.randrange(len(made))
        made[place:place] = rng.randbytes(rng.randrange(1, 16))
    elif kind == 2:
        place = rng.randrange(len(made))
        del made[place : place + rng.randrange(1, 16)]
    return bytes(made)


def survive(name: str, folder: Path, rounds: int) -> int:
    data = sample(name, folder)
    assert tensors_of(data)
    rng = random.Random(f"seed of {name}")
    refused = 0
    tracemalloc.start()
    try:
        for number in range(rounds):
            damaged = damage(data, rng)
            try:
                tensors_of(damaged)
            except FormatError:
                refused += 1
            peak = tracemalloc.get_traced_memory()[1]
            assert peak < MOST_MEMORY, f"round {number} took {peak} bytes: {damaged[:100]!r}"
    finally:
        tracemalloc.stop()
    return refused


NAMES = ("safetensors", "gguf", "onnx", "npy", "npz", "types", "protocol4", "lightning", "scripted")


@pytest.mark.parametrize("name", NAMES)
def test_damage(name: str, tmp_path: Path) -> None:
    assert survive(name, tmp_path, 150) > 15


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_much_damage(name: str, tmp_path: Path) -> None:
    assert survive(name, tmp_path, 5_000) > 1_000
