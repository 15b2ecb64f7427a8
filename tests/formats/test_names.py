"""Which names are weight files."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.formats.names import SUFFIXES, is_weight_file, lfs_pattern


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("model.safetensors", "*.safetensors"),
        ("a/b c/model-00001-of-00002.safetensors", "*.safetensors"),
        ("Model.PT", "*.PT"),
        ("pytorch_model-00001-of-00003.bin", "*.bin"),
        ("unet/diffusion_pytorch_model.fp16.bin", "*.bin"),
        ("1/saved_model.pb", "*.pb"),
        ("1/variables/variables.data-00000-of-00001", "*.data-*-of-*"),
        ("flax_model.msgpack", "*.msgpack"),
        ("model.onnx_data", "*.onnx_data"),
    ],
)
def test_weight_files_and_the_pattern_that_tracks_them(path: str, pattern: str) -> None:
    assert lfs_pattern(path) == pattern
    assert is_weight_file(path)


@pytest.mark.parametrize(
    "path",
    [
        "", "README.md", "firmware.bin", "api.pb", "messages.msgpack", "spiece.model", "notes.pkl", ".pt",
        "dir/.npy", "model.pt/readme", "safetensors", "table.data-x-of-y", "train.py",
    ],
)  # fmt: skip
def test_other_files(path: str) -> None:
    assert not is_weight_file(path)
    assert lfs_pattern(path) == ""


def test_the_page_lists_every_suffix() -> None:
    page = (Path(__file__).parents[2] / "docs" / "hub-administration.md").read_text()
    assert [suffix for suffix in SUFFIXES if f"`.{suffix}`" not in page] == []


def test_every_suffix_is_found_in_any_case() -> None:
    for suffix in SUFFIXES:
        assert is_weight_file(f"x.{suffix}")
        assert is_weight_file(f"x/y.{suffix.upper()}")
