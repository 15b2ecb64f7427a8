"""`cwt inspect`: what a model's files say about it, without reading its tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.formats import recognise
from hundredweight.formats.pytorch import CLASS
from hundredweight.formats.safetensors import parse_json
from hundredweight.formats.source import BytesSource, FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.client.weight_files import Model

MAX_BESIDE = 1 << 24
MAX_ARGUMENTS = 1 << 20
ARGUMENTS = "training_args.bin"
_FRAMEWORKS = {
    "pt": "PyTorch",
    "tf": "TensorFlow",
    "flax": "Flax",
    "np": "NumPy",
    "mlx": "MLX",
    "jax": "JAX",
    "paddle": "Paddle",
}
_TRAINING = ("epoch", "step", "global_step", "iteration", "best_metric", "best_loss", "loss", "max_steps", "num_train_epochs",
             "train_batch_size", "total_flos", "pytorch-lightning_version")  # fmt: skip
_HYPER = ("hyper_parameters.", "hparams.", "args.", "config.", "training_args.")


@dataclass(frozen=True)
class TensorLine:
    """One tensor as it is shown; `file` is the shard or external file that holds it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    file: str


@dataclass
class Report:
    """What `inspect` found. Texts are empty, maps are without entries where a file says nothing."""

    name: str
    format: str
    size: int
    framework: str = ""
    architecture: str = ""
    parameters: int = 0
    by_dtype: dict[str, int] = field(default_factory=dict)
    tensors: list[TensorLine] = field(default_factory=list)
    metadata: dict[str, object] = field(default_factory=dict)
    hyper_parameters: dict[str, object] = field(default_factory=dict)
    training: dict[str, object] = field(default_factory=dict)
    shards: list[tuple[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inspect(model: Model) -> Report:
    """Raises nothing of its own: faults were found when the model was opened."""
    report = Report(model.name, model.format, model.size)
    for part, tensor in model.tensors():
        report.parameters += tensor.elements
        report.by_dtype[tensor.dtype] = report.by_dtype.get(tensor.dtype, 0) + tensor.elements
        report.tensors.append(
            TensorLine(tensor.name, tensor.dtype, tensor.shape, tensor.nbytes, tensor.file or part.name)
        )
    for part in model.parts:
        report.metadata.update(part.weights.metadata)
        report.notes += part.weights.notes
    if model.index is not None:
        report.shards = [(part.name, part.size) for part in model.parts]
        report.metadata.update({f"index.{key}": value for key, value in model.index.metadata.items()})
    config = _beside(model, "config.json", report)
    adapter = _beside(model, "adapter_config.json", report)
    report.framework = _framework(report, config)
    report.architecture = _architecture(report, config, adapter)
    report.hyper_parameters = {
        **_hyper_parameters(report.metadata, {**config, **adapter}),
        **_arguments(report.metadata),
        **{f"training_args.{key}": value for key, value in _arguments_beside(model, report).items()},
    }
    report.training = _training(report.metadata, _beside(model, "trainer_state.json", report))
    return report


def _beside(model: Model, name: str, report: Report) -> dict[str, object]:
    data = model.beside(name, MAX_BESIDE)
    if not data:
        return {}
    try:
        return parse_json(data, 0)
    except FormatError as error:
        report.notes.append(f"'{name}' beside it is not readable: {error}")
        return {}


def _framework(report: Report, config: Mapping[str, object]) -> str:
    metadata = report.metadata
    if report.format == "onnx":
        found = f"{metadata.get('producer_name', '')} {metadata.get('producer_version', '')}".strip()
    elif report.format == "pytorch":
        found = "TorchScript" if metadata.get("archive.scripted") else "PyTorch"
        if "pytorch-lightning_version" in metadata:
            found += f", Lightning {metadata['pytorch-lightning_version']}"
    elif report.format in ("npy", "npz"):
        found = "NumPy"
    elif report.format == "gguf":
        found = f"GGUF version {metadata['gguf.version']}"
    else:
        told = metadata.get("format")
        found = _FRAMEWORKS.get(told, told) if isinstance(told, str) else ""
    version = config.get("transformers_version")
    if isinstance(version, str):
        found = f"{found}, transformers {version}" if found else f"transformers {version}"
    return found


def _architecture(report: Report, config: Mapping[str, object], adapter: Mapping[str, object]) -> str:
    told = report.metadata.get("general.architecture")
    if isinstance(told, str):
        words = (told, report.metadata.get("general.name"), report.metadata.get("general.size_label"))
        return " ".join(word for word in words if isinstance(word, str))
    if isinstance(adapter.get("peft_type"), str):
        base = adapter.get("base_model_name_or_path")
        return f"{adapter['peft_type']} adapter" + (f" of {base}" if isinstance(base, str) else "")
    named = config.get("architectures")
    if isinstance(named, list) and named and all(isinstance(name, str) for name in named):
        return ", ".join(named)
    for value in (config.get("model_type"), report.metadata.get("graph")):
        if isinstance(value, str):
            return value
    return ""


def _hyper_parameters(metadata: Mapping[str, object], config: Mapping[str, object]) -> dict[str, object]:
    """The model's own, from GGUF keys and config.json, and what Lightning and others keep in a checkpoint."""
    architecture = metadata.get("general.architecture")
    prefixes = (*_HYPER, f"{architecture}.") if isinstance(architecture, str) else _HYPER
    found: dict[str, object] = {key: value for key, value in config.items() if isinstance(value, str | int | float)}
    found.update(
        {
            key: value
            for key, value in metadata.items()
            if key.startswith(prefixes) or (".param_groups." in f".{key}" and not key.endswith(".params"))
        }
    )
    return found


def _arguments(metadata: Mapping[str, object]) -> dict[str, object]:
    """All of a file that is nothing but the arguments of a training: a Trainer's `training_args.bin`, a Namespace."""
    kind = metadata.get(CLASS)
    if not isinstance(kind, str) or not kind.endswith(("Arguments", ".Namespace", "Args")):
        return {}
    return {key: value for key, value in metadata.items() if not key.startswith("archive.")}


def _arguments_beside(model: Model, report: Report) -> dict[str, object]:
    data = model.beside(ARGUMENTS, MAX_ARGUMENTS)
    if not data or ARGUMENTS in (part.name for part in model.parts):
        return {}
    try:
        return _arguments(recognise.read(BytesSource(data)).metadata)
    except FormatError as error:
        report.notes.append(f"'{ARGUMENTS}' beside it is not readable: {error}")
        return {}


def _training(metadata: Mapping[str, object], trainer: Mapping[str, object]) -> dict[str, object]:
    """How far a training was: keys of Lightning and common checkpoints, kohya's `ss_*`, and the Trainer's state beside."""
    found = {key: value for key, value in metadata.items() if key in _TRAINING or key.startswith("ss_")}
    found.update({key: trainer[key] for key in _TRAINING if key in trainer})
    history = trainer.get("log_history")
    if isinstance(history, list) and history and isinstance(history[-1], dict):
        found.update({f"last_log.{key}": value for key, value in history[-1].items() if isinstance(value, int | float)})
    return found
