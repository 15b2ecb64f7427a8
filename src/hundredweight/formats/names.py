"""Which paths are weight files, judged by name alone: the hub refuses them in git where LFS was missed.

A suffix is on the list when what carries it is weights (or optimizer state) nearly always. Suffixes shared with other
things are not: `.bin` counts only under the names that frameworks write, `.pb` under TensorFlow's, `.msgpack` under
Flax's; `.pkl`, `.model`, `.params`, `.data` and `.weights` not at all, since any Python object, configuration or table
may be called so. What is missed here and large is still caught by size.
"""

from __future__ import annotations

SUFFIXES = (
    "safetensors",
    "gguf",  # llama.cpp, and its forerunner's ggml
    "ggml",
    "pt",  # PyTorch
    "pth",
    "ckpt",
    "pt2",
    "ptl",
    "distcp",
    "nemo",
    "onnx",
    "onnx_data",
    "ort",
    "npz",
    "npy",
    "h5",  # Keras
    "hdf5",
    "keras",
    "tflite",
    "mlmodel",
    "caffemodel",
    "pdparams",  # Paddle
    "pdopt",
    "pdiparams",
    "engine",  # TensorRT
    "ot",  # tch-rs
    "joblib",
    "llamafile",
)

NAMES = (
    ("pytorch_model", ".bin"),
    ("diffusion_pytorch_model", ".bin"),
    ("open_clip_pytorch_model", ".bin"),
    ("adapter_model", ".bin"),
    ("optimizer", ".bin"),
    ("model", ".bin"),
    ("ggml-", ".bin"),
    ("weight", ".bin"),
    ("saved_model", ".pb"),
    ("frozen_", ".pb"),
    ("flax_model", ".msgpack"),
    ("diffusion_flax_model", ".msgpack"),
)
"""A file whose name starts and ends so is a weight file: shards carry numbers in between."""

_SUFFIXES = frozenset(SUFFIXES)
_TENSORFLOW = "*.data-*-of-*"


def is_weight_file(path: str) -> bool:
    """Whether the last part of `path` (with `/`) is a weight file's name, in any case."""
    return bool(lfs_pattern(path))


def lfs_patterns() -> list[str]:
    """Patterns of all that is on the lists, for a `.gitattributes` that is written before there are files."""
    return [*(f"*.{suffix}" for suffix in SUFFIXES), *(f"{start}*{end}" for start, end in NAMES), _TENSORFLOW]


def lfs_pattern(path: str) -> str:
    """The pattern that tracks files like this one, `*.safetensors`; empty where `path` is not a weight file's.

    It keeps the case of the name, as git's patterns do.
    """
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    if stem and dot and suffix.lower() in _SUFFIXES:
        return f"*.{suffix}"
    lower = name.lower()
    for start, end in NAMES:
        if lower.startswith(start) and lower.endswith(end):
            return f"*{name[-len(end) :]}"
    if _is_tensorflow_shard(lower):
        return _TENSORFLOW
    return ""


def _is_tensorflow_shard(name: str) -> bool:
    """`variables.data-00000-of-00001`, TensorFlow's checkpoint shards."""
    head, found, tail = name.rpartition(".data-")
    number, of, total = tail.partition("-of-")
    return bool(head and found and of) and number.isdigit() and total.isdigit()
