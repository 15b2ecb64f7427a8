"""Weight files for tests of the store, made in memory."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from safetensors.numpy import save

from hundredweight.base.ids import Oid
from hundredweight.formats.source import BytesSource
from hundredweight.store.recipe import Recipe
from hundredweight.store.segments import cut


def oid_of(data: bytes) -> Oid:
    return Oid(hashlib.sha256(data).hexdigest())


def recipe_of(data: bytes) -> Recipe:
    return cut(BytesSource(data), oid_of(data))


def arrays(seed: int = 0, rows: int = 300) -> dict[str, Any]:
    """A small model: one tensor that fills a segment of its own, several that share one."""
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {"embedding": rng.normal(0, 0.02, (rows, 384)).astype(np.float32)}
    for layer in range(3):
        made[f"layer.{layer}.weight"] = rng.normal(0, 0.02, (32, 32)).astype(np.float32)
        made[f"layer.{layer}.bias"] = np.zeros(32, np.float32)
    return made


def fine_tuned(base: dict[str, Any], seed: int = 1, scale: float = 1e-3) -> dict[str, Any]:
    """Every element a little different, as training leaves it."""
    rng = np.random.default_rng(seed)
    return {
        name: (a + np.abs(a) * rng.normal(0, scale, a.shape).astype(np.float32)).astype(np.float32)
        for name, a in base.items()
    }


def safetensors_of(tensors: dict[str, Any]) -> bytes:
    return bytes(save(tensors, {"format": "np"}))
