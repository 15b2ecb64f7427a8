"""PyTorch itself as the oracle: whatever it saves is read as it loads it. For `make test-full`, where torch is installed."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest

from tests.formats.reading import Plain, tensors_of, weights_of

pytestmark = pytest.mark.full
torch = pytest.importorskip("torch", reason="torch is not installed; 'pip install torch' compares with it")

TYPES = {
    "float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint8": "U8", "bool": "BOOL", "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip


def saved(value: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def plain(tensors: dict[str, Any]) -> Plain:
    """The tensors as `tensors_of` gives them, by torch alone."""
    found: Plain = {}
    for name, tensor in tensors.items():
        whole = tensor.detach().clone(memory_format=torch.contiguous_format)
        data = bytes(whole.reshape(-1).view(torch.uint8).tolist()) if whole.numel() else b""
        found[name] = (TYPES[str(tensor.dtype).removeprefix("torch.")], tuple(tensor.shape), data)
    return found


def random_tensor(rng: random.Random) -> Any:
    """Any type, any of the ways in which torch shares storages."""
    kind = getattr(torch, rng.choice(list(TYPES)))
    shape = tuple(rng.randint(0, 5) for _ in range(rng.randint(0, 3)))
    tensor = (torch.rand(shape) * 100).to(kind)
    if tensor.dim() >= 2 and rng.random() < 0.5:
        tensor = tensor.transpose(0, rng.randrange(tensor.dim()))
    if tensor.dim() >= 1 and tensor.shape[0] > 1 and rng.random() < 0.5:
        tensor = tensor[rng.randrange(2) :: rng.randint(1, 2)]
    if tensor.dim() >= 1 and rng.random() < 0.2:
        tensor = tensor[:1].expand(3, *tensor.shape[1:]) if tensor.shape[0] else tensor
    return torch.nn.Parameter(tensor) if tensor.is_floating_point() and rng.random() < 0.2 else tensor


@pytest.mark.parametrize("seed", range(60))
def test_random_state_dicts(seed: int) -> None:
    rng = random.Random(seed)
    torch.manual_seed(seed)
    tensors = {f"layer.{number}": random_tensor(rng) for number in range(rng.randint(1, 12))}
    tensors["tied"] = tensors["layer.0"]
    protocol = rng.choice([2, 3, 4, 5])
    data = saved(tensors, pickle_protocol=protocol)
    assert tensors_of(data) == plain(tensors)
    # torch's own reader of pickles as data knows protocol 2 alone.
    assert plain(torch.load(io.BytesIO(data), weights_only=protocol == 2)) == plain(tensors)


def test_a_module_with_its_optimizer() -> None:
    model = torch.nn.TransformerEncoderLayer(16, 2, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    model(torch.rand(3, 1, 16)).sum().backward()
    optimizer.step()
    data = saved({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 7})
    expected = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for number, entry in optimizer.state_dict()["state"].items():
        expected |= {f"optimizer.state.{number}.{name}": tensor for name, tensor in entry.items()}
    assert tensors_of(data) == plain(expected)
    facts = weights_of(data).metadata
    assert (facts["epoch"], facts["optimizer.param_groups.0.lr"]) == (7, 0.02)


def test_a_whole_module_is_read_without_its_class() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    found = weights_of(saved(model))
    assert found.metadata["archive.class"] == "torch.nn.modules.container.Sequential"
    read = sorted(data for _, _, data in tensors_of(saved(model)).values())
    assert read == sorted(data for _, _, data in plain(model.state_dict()).values())


def test_a_scripted_module() -> None:
    module = torch.jit.script(torch.nn.Linear(5, 2))
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    assert tensors_of(buffer.getvalue()) == plain(dict(module.state_dict()))
