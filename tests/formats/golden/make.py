"""How the PyTorch files beside this were made: `python make.py`, with torch and safetensors installed. Each has a twin in
safetensors with the same tensors, written by the official library from what torch itself loaded."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    base = torch.randn(6, 8, generator=generator)
    return {
        "float32": base,
        "bfloat16": base.to(torch.bfloat16),
        "float16": base.half(),
        "float64": base[0].double(),
        "int64": torch.arange(-3, 3),
        "uint8": torch.arange(5, dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "float8": base.to(torch.float8_e4m3fn),
        "uint16": torch.arange(4).to(torch.uint16),
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "transposed": base.t(),
        "slice": base[1:5, 2:7:2],
        "expanded": base[:1].expand(3, 8),
        "tied": base,
        "parameter": torch.nn.Parameter(base[2]),
        "special": torch.tensor([float("nan"), float("inf"), -0.0, 1e-42]),
    }


def twin(name: str, found: dict[str, torch.Tensor]) -> None:
    save_file({key: value.detach().clone().contiguous() for key, value in found.items()}, HERE / f"{name}.safetensors")


def save(name: str, value: object, found: dict[str, torch.Tensor], **options: Any) -> None:
    torch.save(value, HERE / f"{name}.pt", **options)
    twin(name, found)


def training() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    state = {
        "epoch": 3,
        "global_step": 120,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": model.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "hyper_parameters": {"learning_rate": 0.01, "layers": [4, 3], "args": argparse.Namespace(batch_size=8)},
    }
    found = {f"state_dict.{key}": value for key, value in model.state_dict().items()}
    for number, entry in optimizer.state_dict()["state"].items():
        found.update({f"optimizer_states.0.state.{number}.{key}": value for key, value in entry.items()})
    save("lightning", state, found)


def main() -> None:
    torch.manual_seed(7)
    save("types", OrderedDict(tensors()), tensors())
    save("protocol4", tensors(), tensors(), pickle_protocol=4)
    training()
    torch.save(torch.ones(2), HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    module = torch.jit.script(torch.nn.Linear(2, 2))
    module.save(str(HERE / "scripted.pt"))
    twin("scripted", dict(module.state_dict()))


if __name__ == "__main__":
    main()
