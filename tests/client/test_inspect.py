"""`cwt inspect` and `cwt id` below the command line: files, shards, revisions, pointers, and what stands beside a model."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save

from hundredweight.base.errors import UsageError
from hundredweight.client.inspect import TensorLine, inspect
from hundredweight.client.weight_files import BadWeights, CannotOpen, Model, ObjectNotHere, open_model
from hundredweight.client.weights_id import identify
from hundredweight.client.workspace import Workspace, open_workspace
from tests.clones import Clone, pointer_of
from tests.formats.reading import training_arguments

GOLDEN = Path(__file__).parents[1] / "formats" / "golden"
ARRAYS: dict[str, Any] = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([1, 2], dtype=np.int64),
}
WHOLE = save(ARRAYS, {"format": "pt", "ss_epoch": "3"})


def opened(target: object, clone: Clone | None = None) -> Model:
    return open_model(str(target), lambda _: None if clone is None else workspace(clone))


def workspace(clone: Clone) -> Workspace:
    return open_workspace(clone.git, clone.git.env)


def sharded(folder: Path, weight_map: dict[str, str] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(ARRAYS, 1):
        (folder / f"model-{number}.safetensors").write_bytes(save({name: ARRAYS[name]}))
    named = weight_map or {"a.weight": "model-1.safetensors", "b": "model-2.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 40}, "weight_map": named}))
    return index


def test_a_file_and_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(WHOLE)
    config = {"architectures": ["BertModel"], "hidden_size": 384, "transformers_version": "5.1", "id2label": {"0": "x"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    state = {"global_step": 500, "epoch": 2.5, "log_history": [{"loss": 0.7}, {"loss": 0.5, "text": "x"}]}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    with opened(tmp_path / "weights") as model:
        report = inspect(model)
    assert (report.format, report.size, report.parameters) == ("safetensors", len(WHOLE), 8)
    assert report.by_dtype == {"F32": 6, "I64": 2}
    assert (report.framework, report.architecture) == ("PyTorch, transformers 5.1", "BertModel")
    assert sorted(report.tensors, key=lambda line: line.name) == [
        TensorLine("a.weight", "F32", (2, 3), 24, "weights"),
        TensorLine("b", "I64", (2,), 16, "weights"),
    ]
    assert report.hyper_parameters == {"hidden_size": 384, "transformers_version": "5.1"}
    assert report.training == {"ss_epoch": "3", "global_step": 500, "epoch": 2.5, "last_log.loss": 0.5}
    assert report.notes == []


def test_an_adapter_and_a_broken_config(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").write_bytes(WHOLE)
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 8}
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter))
    (tmp_path / "config.json").write_text("{")
    with opened(tmp_path / "adapter_model.safetensors") as model:
        report = inspect(model)
    assert (report.architecture, report.hyper_parameters["r"]) == ("LORA adapter of org/base", 8)
    assert "'config.json' beside it is not readable" in report.notes[0]


def test_a_lightning_checkpoint() -> None:
    with opened(GOLDEN / "lightning.pt") as model:
        report = inspect(model)
    assert report.framework == "PyTorch, Lightning 2.4.0"
    assert report.training == {"epoch": 3, "global_step": 120, "pytorch-lightning_version": "2.4.0"}
    assert report.hyper_parameters["hyper_parameters.learning_rate"] == 0.01
    assert report.hyper_parameters["optimizer_states.0.param_groups.0.lr"] == 0.01


def test_arguments_of_a_training(tmp_path: Path) -> None:
    """Named themselves they are the hyper-parameters; beside weights they are shown with them."""
    made = training_arguments(Namespace(learning_rate=0.1, output_dir="out"))
    (tmp_path / "training_args.bin").write_bytes(made)
    with opened(tmp_path / "training_args.bin") as model:
        report = inspect(model)
    assert (report.format, report.tensors) == ("pytorch", [])
    assert report.hyper_parameters == {"learning_rate": 0.1, "output_dir": "out"}
    (tmp_path / "model.safetensors").write_bytes(WHOLE)
    with opened(tmp_path / "model.safetensors") as model:
        report = inspect(model)
    assert report.hyper_parameters == {"training_args.learning_rate": 0.1, "training_args.output_dir": "out"}
    (tmp_path / "training_args.bin").write_bytes(made[:-30])
    with opened(tmp_path / "model.safetensors") as model:
        report = inspect(model)
    assert report.hyper_parameters == {}
    assert report.notes[0].startswith("'training_args.bin' beside it is not readable: ")


def test_shards_are_one_model(tmp_path: Path) -> None:
    index = sharded(tmp_path / "shards")
    (tmp_path / "whole").write_bytes(WHOLE)
    with opened(index) as model, opened(tmp_path / "whole") as whole:
        report = inspect(model)
        assert identify(model) == identify(whole)
    assert [name for name, _ in report.shards] == ["model-1.safetensors", "model-2.safetensors"]
    assert report.metadata["index.total_size"] == 40
    assert [line.file for line in report.tensors] == ["model-1.safetensors", "model-2.safetensors"]


@pytest.mark.parametrize(
    ("weight_map", "error", "fault"),
    [
        ({"a.weight": "model-2.safetensors", "b": "model-1.safetensors"}, BadWeights, "is not there by the index"),
        ({"a.weight": "model-1.safetensors"} | {"c": "model-1.safetensors"}, BadWeights, "'c' is not in"),
        (
            {"a.weight": "model-1.safetensors", "b": "model-3.safetensors"},
            CannotOpen,
            "model-3.safetensors': no such file",
        ),
        ({"a.weight": "../x"}, BadWeights, "is not a file beside the index"),
    ],
)
def test_an_index_that_lies(tmp_path: Path, weight_map: dict[str, str], error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        opened(sharded(tmp_path / "shards", weight_map))


@pytest.mark.parametrize("first", [b" ", b"{", b"\n"])
def test_a_header_whose_length_begins_as_an_index_does(tmp_path: Path, first: bytes) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    header = header.ljust(256 + first[0])
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with opened(tmp_path / "model.safetensors") as model:
        report = inspect(model)
    assert (report.format, report.parameters) == ("safetensors", 2)


def test_external_data_of_onnx(tmp_path: Path) -> None:
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    made.external_data.add(key="location", value="m.data")
    onnx.save(helper.make_model(helper.make_graph([], "g", [], [], [made])), str(tmp_path / "m.onnx"))
    with opened(tmp_path / "m.onnx") as model:
        assert inspect(model).tensors == [TensorLine("w", "F32", (2,), 8, "m.data")]
        with pytest.raises(CannotOpen, match=r"m\.data': no such file"):
            identify(model)
        (tmp_path / "m.data").write_bytes(bytes(7))
        with pytest.raises(BadWeights, match="ends at byte 8, the file has 7"):
            identify(model)
    (tmp_path / "m.data").write_bytes(bytes(8))
    with opened(tmp_path / "m.onnx") as model:
        assert identify(model).startswith("w1-")


def test_a_revision_with_pointers(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.put("models/m.safetensors", WHOLE)
    clone.write("models/config.json", b'{"model_type": "tiny"}')
    clone.write("plain.safetensors", WHOLE)
    clone.write("models/lost.safetensors", pointer_of(b"lost").encode())
    clone.commit()
    (clone.folder / "models" / "config.json").unlink()
    with opened("HEAD:models/m.safetensors", clone) as model:
        report = inspect(model)
        first = identify(model)
    assert (report.architecture, report.parameters) == ("tiny", 8)
    with opened("main:plain.safetensors", clone) as model:
        assert identify(model) == first
    assert not list((clone.folder / ".git" / "lfs" / "tmp").iterdir())
    with pytest.raises(ObjectNotHere) as caught:
        opened("HEAD:models/lost.safetensors", clone)
    assert caught.value.hint == "run 'git lfs fetch --include=models/lost.safetensors origin HEAD' to download it"
    for name, fault in (
        ("HEAD:none", "no such revision"),
        ("HEAD:models", "it is a tree"),
        ("HEAD:", "it is a folder"),
    ):
        with pytest.raises(CannotOpen, match=fault):
            opened(name, clone)


def test_a_pointer_in_the_work_tree(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.put("m.safetensors", WHOLE)
    with opened(clone.folder / "m.safetensors", clone) as model:
        assert inspect(model).parameters == 8
    with pytest.raises(ObjectNotHere, match="it is a pointer") as caught:
        opened(clone.folder / "m.safetensors")
    assert "git lfs pull --include=m.safetensors" in caught.value.hint


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello")
    (tmp_path / "cut").write_bytes(WHOLE[:-1])
    (tmp_path / "json").write_text('{"a": 1}')
    for name, error, fault in (
        ("empty", BadWeights, "the file is empty"),
        ("text", BadWeights, "no weight file that is known"),
        ("json", BadWeights, "no weight file that is known"),
        ("cut", BadWeights, "it is cut short"),
        ("none", CannotOpen, "no such file"),
        ("", CannotOpen, "it is a folder"),
        ("none:none", CannotOpen, "no git repository"),
    ):
        with pytest.raises(error, match=fault):
            opened(tmp_path / name if name != "none:none" else name)
    with pytest.raises(UsageError, match="this command reads no URLs"):
        opened("https://example.com/m.safetensors")
