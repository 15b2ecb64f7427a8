"""What becomes of tensors between two versions, from data, from hashes, and grouped by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hundredweight.client.layers import group, heat, layer_of, natural
from hundredweight.client.tensor_diff import (
    ADDED,
    CHANGED,
    REMOVED,
    RENAMED,
    RESHAPED,
    RETYPED,
    TensorDiff,
    compare,
)
from hundredweight.client.tensor_hashes import KnownHashes, ModelHashes
from hundredweight.client.weight_files import BadWeights, Model, open_model, open_parts
from tests.cli.diff_cases import weights

Arrays = dict[str, Any]


@pytest.fixture
def open_arrays(tmp_path: Path) -> Any:
    """A function from arrays to the hashes of a file that holds them."""
    opened: list[Model] = []

    def make(arrays: Arrays) -> ModelHashes:
        path = tmp_path / f"{len(opened)}.safetensors"
        path.write_bytes(weights(arrays))
        opened.append(open_model(str(path), lambda _: None))
        return ModelHashes(opened[-1])

    yield make
    for model in opened:
        model.close()


def known(hashes: ModelHashes) -> KnownHashes:
    """The same from a recipe: without data."""
    return KnownHashes([(fact, hashes.digest(fact.name)) for fact in hashes.facts.values()])


def arrays() -> Arrays:
    random = np.random.default_rng(0)
    return {f"h.{n}.w": random.standard_normal((8, 4)).astype(np.float32) for n in range(4)}


def kinds(diff: TensorDiff) -> list[tuple[str, str]]:
    return [(change.kind, change.name) for change in diff.changes]


def edited() -> Arrays:
    """One of each kind."""
    base = arrays()
    return {
        "h.0.w": base["h.0.w"],
        "h.1.w": base["h.1.w"] + 1,
        "h.2.w": base["h.2.w"].reshape(4, 8),
        "h.3.w": base["h.3.w"].astype(np.float16),
        "b": np.arange(3, dtype=np.int64),
        "c": np.ones(7, np.float32),
    }


EDITS = [(CHANGED, "h.1.w"), (RESHAPED, "h.2.w"), (RETYPED, "h.3.w"), (RENAMED, "b"), (ADDED, "c"), (REMOVED, "d")]


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("hashes", ["none", "old", "both"])
def test_each_kind(open_arrays: Any, statistics: bool, hashes: str) -> None:
    old = open_arrays({**arrays(), "a": np.arange(3, dtype=np.int64), "d": np.ones(9, np.float32)})
    new = open_arrays(edited())
    with_data = statistics and hashes == "none"
    first = old if hashes == "none" else known(old)
    second = known(new) if hashes == "both" else new
    found = compare(first, second, statistics=statistics)
    assert kinds(found) == EDITS
    assert (found.unchanged, found.old_count, found.new_count) == (1, 6, 6)
    changed, reshaped, retyped, renamed, _, _ = found.changes
    assert (changed.statistics is not None, retyped.statistics is not None) == (with_data, with_data)
    assert reshaped.same_bytes
    assert renamed.old is not None
    assert (renamed.old.name, renamed.same_bytes) == ("a", True)
    if changed.statistics is not None:
        assert changed.statistics.max_abs == pytest.approx(1)


def test_known_hashes_of_open_models_spare_reading(open_arrays: Any) -> None:
    old, new = open_arrays(arrays()), open_arrays({**arrays(), "h.1.w": arrays()["h.1.w"] * 2})
    models = [hashes.place("h.0.w")[0] for hashes in (old, new)]
    first, second = (
        ModelHashes(model, {name: hashes.digest(name) for name in hashes.facts})
        for model, hashes in zip(models, (old, new), strict=True)
    )
    told: list[int] = []
    found = compare(first, second, advance=told.append)
    assert kinds(found) == [(CHANGED, "h.1.w")]
    assert found.changes[0].statistics is not None
    assert found.changes[0].statistics.relative_l2 == pytest.approx(1)
    assert told == [128]


@pytest.mark.parametrize("rows", [6, 10])
def test_a_tensor_with_another_number_of_rows(open_arrays: Any, rows: int) -> None:
    grown = np.resize(arrays()["h.0.w"], (rows, 4))
    grown[0, 0] += 1
    found = compare(open_arrays(arrays()), open_arrays({**arrays(), "h.0.w": grown})).changes[0]
    assert (found.kind, found.rows, found.same_bytes) == (RESHAPED, min(rows, 8), False)
    assert found.statistics is not None
    assert (found.statistics.changed, found.statistics.units) == (1, 4 * min(rows, 8))


def test_shapes_that_cannot_be_compared(open_arrays: Any) -> None:
    found = compare(open_arrays(arrays()), open_arrays({**arrays(), "h.0.w": np.ones((3, 5), np.float32)})).changes[0]
    assert (found.kind, found.statistics, found.same_bytes) == (RESHAPED, None, False)


def test_equal_bytes_find_their_own_names(open_arrays: Any) -> None:
    """Of tensors with the same bytes each finds the name that is most like its own."""
    zeros = {f"model.{n}.bias": np.zeros(4, np.float32) for n in ("k", "q", "v")}
    found = compare(open_arrays(zeros), open_arrays({f"base.{name}": zero for name, zero in reversed(zeros.items())}))
    assert [(c.old.name, c.name) for c in found.changes if c.old] == [
        (f"model.{n}.bias", f"base.model.{n}.bias") for n in "vqk"
    ]


def test_scalars_and_empty_tensors(open_arrays: Any) -> None:
    old = {"s": np.array(1, np.float32), "e": np.zeros((0, 4), np.float32), "f": np.zeros(0, np.int64)}
    new = {"s": np.array(2, np.float32), "e": np.zeros((0, 5), np.float32), "f": np.zeros(0, np.float32)}
    found = compare(open_arrays(old), open_arrays(new))
    assert kinds(found) == [(CHANGED, "s"), (RESHAPED, "e"), (RETYPED, "f")]
    assert compare(open_arrays(old), open_arrays(old)).changes == []


def test_one_name_in_two_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(weights({"w": np.ones(1, np.float32)}))
    with (
        open_parts("m", open_model(str(tmp_path / "a"), lambda _: None).place, ["a", "b"]) as model,
        pytest.raises(BadWeights, match="tensor 'w' is also in 'a'"),
    ):
        ModelHashes(model)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model.layers.12.mlp.up_proj.weight", "model.layers.12"),
        ("encoder.layer.3.attention.self.query.bias", "encoder.layer.3"),
        ("h.0.attn.weight", "h.0"),
        ("blocks.7.norm.weight", "blocks.7"),
        ("blk.7.attn_q.weight", "blk.7"),
        ("/encoder/layer.0/MatMul", "/encoder/layer.0"),
        ("params/encoder/layer_3/kernel", "params/encoder/layer_3"),
        ("down_blocks.0.resnets.1.conv1.weight", "down_blocks.0"),
        ("model.layers.3.mlp.experts.7.w1", "model.layers.3"),
        ("embeddings.word_embeddings.weight", ""),
        ("conv1.weight", ""),
        ("weight", ""),
    ],
)
def test_layers_in_names(name: str, layer: str) -> None:
    assert layer_of(name) == layer


def test_groups_and_their_heat(open_arrays: Any) -> None:
    base = {f"model.layers.{n}.w": np.ones(100, np.float32) for n in (0, 2, 10)}
    base |= {"model.embed.weight": np.ones(2, np.float32), "lm_head.weight": np.ones(3, np.float32)}
    new = {
        **base,
        "model.layers.2.w": base["model.layers.2.w"] * np.float32(1.02),
        "model.layers.10.new": np.ones(2, np.float32),
    }
    old, now = open_arrays(base), open_arrays(new)
    layers = group(compare(old, now), dict.fromkeys([*old.facts, *now.facts]))
    assert [(layer.name, layer.numbered, layer.tensors, len(layer.changes)) for layer in layers] == [
        ("lm_head", False, 1, 0),
        ("model.embed", False, 1, 0),
        ("model.layers.0", True, 1, 0),
        ("model.layers.2", True, 1, 1),
        ("model.layers.10", True, 2, 1),
    ]
    assert [heat(layer) for layer in layers] == [0, 0, 0, 5, 8]
    assert layers[3].relative_l2 == pytest.approx(0.02, rel=1e-4)
    assert layers[3].share == 1
    assert natural("a.9.b") < natural("a.10.b")
