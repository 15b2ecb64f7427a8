"""The generated checkpoint has the published model's shapes, scales down, and its fine-tune moves every tensor a little."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

from bench.checkpoint8b import INDEX, Architecture, shards, tensors, write_finetune, write_model

SMALL = Architecture().scaled(30_000_000)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_model(folder / "base", SMALL, seed=1)
    write_finetune(folder / "base", folder / "tuned", seed=2)
    return folder / "base", folder / "tuned"


def words(path: Path) -> dict[str, NDArray[np.uint16]]:
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    table = json.loads(data[8:start])
    table.pop("__metadata__")
    whole = np.frombuffer(data, np.uint16, offset=start)
    return {name: whole[slice(*(place // 2 for place in entry["data_offsets"]))] for name, entry in table.items()}


def test_the_original_has_the_published_size_and_four_files() -> None:
    layout = tensors(Architecture())
    assert Architecture().size == 17_534_247_392
    assert dict(layout)["model.visual.deepstack_merger_list.2.norm.weight"] == (4608,)
    sizes = [sum(2 * math.prod(shape) for _, shape in file) for file in shards(layout)]
    assert len(sizes) == 4
    assert max(sizes) <= 5e9


@pytest.mark.parametrize("target", [30e6, 200e6, 1.1e9, 4.3e9])
def test_a_smaller_one_keeps_to_its_size_in_four_files(target: float) -> None:
    model = Architecture().scaled(int(target))
    assert 0.8 * target < model.size <= target
    assert len(shards(tensors(model))) == 4


def test_the_files_are_what_the_index_and_the_shapes_say(checkpoints: tuple[Path, Path]) -> None:
    base, _ = checkpoints
    index = json.loads((base / INDEX).read_text())
    shapes = dict(tensors(SMALL))
    seen = {}
    for path in base.glob("*.safetensors"):
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping, it has the method alone
                seen[name] = path.name
                assert tuple(file.get_slice(name).get_shape()) == shapes[name]
    assert seen == index["weight_map"]
    assert index["metadata"]["total_size"] == SMALL.size


def test_a_fine_tune_changes_every_large_tensor_and_leaves_most_elements(checkpoints: tuple[Path, Path]) -> None:
    same = count = 0
    for path in checkpoints[0].glob("*.safetensors"):
        before, after = words(path), words(checkpoints[1] / path.name)
        assert before.keys() == after.keys()
        for name, old in before.items():
            equal = int((old == after[name]).sum())
            assert equal < len(old), name
            same += equal
            count += len(old)
    assert 0.6 < same / count < 0.9


def test_the_seed_decides_every_byte(checkpoints: tuple[Path, Path], tmp_path: Path) -> None:
    write_model(tmp_path / "again", SMALL, seed=1)
    for path in checkpoints[0].iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
