"""The network that train.py and app.py share: its layers, its prediction and its file.

A network is a tuple of dense layers with ReLU between them and softmax at the end. In the file, layer `i` is
the two float32 tensors `layers.<i>.weight` (outputs, inputs) and `layers.<i>.bias` (outputs,). How the
network was trained is one JSON object under the single metadata key `training`: safetensors does not keep the
order of several keys, and the same training must give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors

Floats = NDArray[np.float32]

PIXELS = 64
CLASSES = 10
PIXEL_MAX = 16
POINTER_START = b"version https://git-lfs.github.com/spec/v1"


class Layer(NamedTuple):
    """One dense layer: weight (outputs, inputs) and bias (outputs,), both float32."""

    weight: Floats
    bias: Floats


Layers = tuple[Layer, ...]


@dataclass(frozen=True)
class Weights:
    """A loaded file: `sha256` and `size` (bytes) are of the whole file, as in its LFS pointer.

    `training` is the recorded JSON object, empty when the file has none.
    """

    layers: Layers
    training: dict[str, Any]
    sha256: str
    size: int


class DigitsError(Exception):
    """Something the user can mend; `hint` says how."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint

    def line(self) -> str:
        """The one line to show to the user."""
        return f"error: {self}; hint: {self.hint}"


class WeightsError(DigitsError):
    """A weights file cannot be used."""


def scale(pixels: NDArray[Any]) -> Floats:
    """Map pixel values 0..16 of any numeric dtype to the 0..1 that the network sees."""
    return pixels.astype(np.float32) / np.float32(PIXEL_MAX)


def activations(layers: Layers, images: Floats) -> list[Floats]:
    """Return the input (n, inputs) of each layer and, last, the probabilities (n, 10) for images (n, 64)."""
    values = [images]
    for layer in layers[:-1]:
        values.append(np.maximum(values[-1] @ layer.weight.T + layer.bias, np.float32(0)))
    values.append(softmax(values[-1] @ layers[-1].weight.T + layers[-1].bias))
    return values


def softmax(scores: Floats) -> Floats:
    """Turn scores (n, classes) into probabilities; each row sums to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def probabilities(layers: Layers, images: Floats) -> Floats:
    """Return the probability of each digit, (n, 10), for scaled images (n, 64)."""
    return activations(layers, images)[-1]


def parameter_count(layers: Layers) -> int:
    """Count the numbers that training may change."""
    return sum(layer.weight.size + layer.bias.size for layer in layers)


def to_bytes(layers: Layers, training: dict[str, Any]) -> bytes:
    """Return the safetensors file of a network; equal arguments give equal bytes."""
    tensors: dict[str, NDArray[Any]] = {}
    for index, layer in enumerate(layers):
        tensors[f"layers.{index}.weight"] = np.ascontiguousarray(layer.weight)
        tensors[f"layers.{index}.bias"] = np.ascontiguousarray(layer.bias)
    return format_tensors(tensors, {"training": json.dumps(training, sort_keys=True)})


def load(path: Path) -> Weights:
    """Read and check a weights file; every way in which it is unusable raises WeightsError.

    The hash, the tensors and the metadata come from one read, so they belong together even when the file is
    replaced meanwhile.
    """
    data = read_weights_file(path)
    try:
        tensors = parse_tensors(data)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = f"run 'git checkout -- {path}' to restore the committed version"
        raise WeightsError(f"'{path}' is not a complete safetensors file ({error})", hint) from error
    fault = find_fault(tensors)
    if fault:
        raise WeightsError(f"'{path}' holds no digit network ({fault})", "use a file written by train.py")
    names = [f"layers.{index}" for index in range(len(tensors) // 2)]
    layers = tuple(Layer(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names)
    return Weights(layers, read_training(data), hashlib.sha256(data).hexdigest(), len(data))


def read_weights_file(path: Path) -> bytes:
    """Return the bytes of the file, unless it is missing, unreadable or a Git LFS pointer (WeightsError)."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        hint = f"train it with 'python train.py --out {path}', or check the path"
        raise WeightsError(f"'{path}' does not exist", hint) from error
    except OSError as error:
        message = f"cannot read '{path}': {error.strerror}"
        raise WeightsError(message, "name a readable safetensors file") from error
    if data.startswith(POINTER_START):
        raise WeightsError(f"'{path}' is a Git LFS pointer, not weights", "run 'git lfs pull'")
    return data


def find_fault(tensors: dict[str, NDArray[Any]]) -> str | None:
    """Say what keeps the tensors from being a network from 64 pixels to 10 digits; None when nothing does."""
    inputs = PIXELS
    for index in range(max(1, (len(tensors) + 1) // 2)):
        for name in (f"layers.{index}.weight", f"layers.{index}.bias"):
            if name not in tensors:
                return f"tensor '{name}' is missing"
            if tensors[name].dtype != np.float32:
                return f"tensor '{name}' is {tensors[name].dtype}, not float32"
            if not np.isfinite(tensors[name]).all():
                return f"tensor '{name}' has values that are not finite"
        weight, bias = tensors[f"layers.{index}.weight"], tensors[f"layers.{index}.bias"]
        if weight.ndim != 2 or weight.shape[1] != inputs or bias.shape != weight.shape[:1]:
            return f"layer {index} has shapes {weight.shape} and {bias.shape} for {inputs} inputs"
        inputs = weight.shape[0]
    return None if inputs == CLASSES else f"the last layer has {inputs} outputs, not {CLASSES}"


def read_training(data: bytes) -> dict[str, Any]:
    """Return the `training` record of a file that safetensors has accepted; empty without one."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    try:
        training = json.loads(header.get("__metadata__", {}).get("training", "{}"))
    except ValueError:
        return {}
    return training if isinstance(training, dict) else {}
