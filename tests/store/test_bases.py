"""Choosing bases from recipes: the same place of the same tensor, whatever happened to names, types and shapes."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from hundredweight.store.bases import MAX_CANDIDATES, Candidates, agreement, choose_predecessors
from hundredweight.store.recipe import Recipe
from tests.store.weights import arrays, fine_tuned, recipe_of, safetensors_of


def pairs(after: Recipe, before: Recipe) -> dict[str, str]:
    """Of each tensor that begins a segment: the tensor of `before` that begins the segment of its first candidate."""
    found = {}
    starts = dict(zip(before.offsets(), before.segments, strict=False))
    names = {starts[row.start].id: row.name for row in before.tensors if row.start in starts and row.length}
    candidates = Candidates(after, [before])
    for number, (offset, segment) in enumerate(zip(after.offsets(), after.segments, strict=False)):
        row = next((row for row in after.tensors if row.start == offset), None)
        chosen = candidates.of(number)
        if row is not None and chosen and segment.dtype:
            found[row.name] = names[chosen[0].id]
    return found


def model(seed: int = 0, **extra: Any) -> dict[str, Any]:
    """Tensors that each fill a segment."""
    rng = np.random.default_rng(seed)
    made = {
        f"layers.{n}.{part}.weight": rng.normal(0, 1, (300, 256)).astype(np.float32) for n in (0, 1) for part in "qk"
    }
    return {"wte.weight": rng.normal(0, 1, (500, 256)).astype(np.float32), **made, **extra}


def same_names(names: Any) -> dict[str, str]:
    return {name: name for name in names}


def test_a_fine_tune() -> None:
    base = model()
    assert pairs(recipe_of(safetensors_of(fine_tuned(base))), recipe_of(safetensors_of(base))) == same_names(base)


def test_every_segment_of_a_large_tensor() -> None:
    base = {"w": np.zeros(3_000_000, np.float32) + np.arange(3_000_000, dtype=np.float32)}
    before, after = recipe_of(safetensors_of(base)), recipe_of(safetensors_of({"w": base["w"] + 1}))
    candidates = Candidates(after, [before])
    assert [candidates.of(number)[0].id for number in (1, 2, 3)] == [segment.id for segment in before.segments[1:]]


def test_a_prefix_that_came_or_went() -> None:
    base = model()
    prefixed = {f"model.{name}": array for name, array in fine_tuned(base).items()}
    before, after = recipe_of(safetensors_of(base)), recipe_of(safetensors_of(prefixed))
    assert pairs(after, before) == {f"model.{name}": name for name in base}
    assert pairs(before, after) == {name: f"model.{name}" for name in base}


def test_other_names_in_the_same_order() -> None:
    base = model()
    renamed = {f"{place:02}": array for place, array in enumerate(fine_tuned(base)[name] for name in sorted(base))}
    found = pairs(recipe_of(safetensors_of(renamed)), recipe_of(safetensors_of(base)))
    assert found == {f"{place:02}": name for place, name in enumerate(sorted(base))}


def test_rows_added_and_a_tensor_added() -> None:
    base = model()
    grown = fine_tuned(base) | {"new.weight": np.ones((300, 300), np.float32)}
    grown["wte.weight"] = np.concatenate([grown["wte.weight"], np.ones((8, 256), np.float32)])
    assert pairs(recipe_of(safetensors_of(grown)), recipe_of(safetensors_of(base))) == same_names(base)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_full_precision_under_half(dtype: Any) -> None:
    base = model(large=np.random.default_rng(2).normal(0, 1, 2_500_000).astype(np.float32))
    half = {name: array.astype(dtype) for name, array in base.items()}
    before, after = recipe_of(safetensors_of(base)), recipe_of(safetensors_of(half))
    assert pairs(after, before) == same_names(base)
    assert pairs(before, after) == same_names(base)
    other = {
        name: array.astype(np.float16 if dtype is not np.float16 else ml_dtypes.bfloat16)
        for name, array in base.items()
    }
    assert pairs(recipe_of(safetensors_of(other)), after) == {}, "half of one kind says little about the other"


def test_another_shape_is_no_base() -> None:
    base = {"w": np.zeros((300, 300), np.float32)}
    assert (
        pairs(recipe_of(safetensors_of({"w": np.ones((300, 301), np.float32)})), recipe_of(safetensors_of(base))) == {}
    )


def test_headers_and_bytes_between_the_same_neighbours() -> None:
    base = arrays()
    before, after = (
        recipe_of(safetensors_of(base)),
        recipe_of(safetensors_of(fine_tuned(base) | {"z": np.ones(3, np.int8)})),
    )
    assert [each.id for each in Candidates(after, [before]).of(0)] == [before.segments[0].id]
    data = np.random.default_rng(1).bytes(4 << 20)
    changed = bytearray(data)
    changed[2 << 20] ^= 255
    before, after = recipe_of(data), recipe_of(bytes(changed))
    known = {segment.id for segment in before.segments}
    new = [number for number, segment in enumerate(after.segments) if segment.id not in known]
    assert len(new) == 1
    assert Candidates(after, [before]).of(new[0])[0].id == before.segments[new[0]].id


def npz_of(tensors: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **tensors)
    return out.getvalue()


def test_across_formats() -> None:
    base = model()
    found = pairs(recipe_of(npz_of(fine_tuned(base))), recipe_of(safetensors_of(base)))
    assert found == same_names(base)


def test_predecessors_by_agreement() -> None:
    base, other = model(1), {"x": np.ones((400, 400), np.float32)}
    near = recipe_of(safetensors_of(base | {"wte.weight": base["wte.weight"] + 1}))
    far = recipe_of(safetensors_of(fine_tuned(base)))
    none = recipe_of(safetensors_of(other))
    mine = recipe_of(safetensors_of(base))
    assert choose_predecessors(mine, [none, far, mine, near]) == [near, far]
    assert choose_predecessors(mine, [far, near], 1) == [near]
    assert agreement(mine, mine) == pytest.approx(1, abs=0.01)
    assert agreement(recipe_of(b""), mine) == 0
    assert agreement(mine, recipe_of(b"no weights" * 20_000)) == 0


def test_equals_keep_the_order_of_history() -> None:
    versions = [recipe_of(safetensors_of(fine_tuned(model(), seed))) for seed in (3, 4, 5, 6)]
    mine = recipe_of(safetensors_of(model()))
    assert choose_predecessors(mine, versions) == versions[:3]
    assert len(Candidates(mine, versions).of(1)) == MAX_CANDIDATES


def test_no_weights_by_shared_segments() -> None:
    data = b"".join(hashlib.sha256(bytes((n % 256, n // 256))).digest() for n in range(30_000))
    mine, near = recipe_of(data), recipe_of(data[: len(data) // 2] + b"new")
    assert choose_predecessors(mine, [near, recipe_of(b"other" * 50_000)]) == [near]
