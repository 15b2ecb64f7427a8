"""Versions of a real model as a team makes them: fine-tunes of MiniLM, with fixed seeds, cached in a folder.

`make_history(folder)` writes what is missing and gives the files by name. Everything is trained in fp32 and cast, as is usual,
but for the run in native bf16. Files appear whole or not at all, so an interrupted run is taken up again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.weights.minilm import LAYERS, Weights, batches, contrastive_loss, embed, model_folder
from bench.weights.versions import EVERY, PAIRS, STEPS, VERSIONS

EXTRA_ROWS = 64
LORA_RANK = 8
WORDS = "embeddings.word_embeddings.weight"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Run:
    """One fine-tune: AdamW with a learning rate that falls linearly to nothing; no decay of biases and norms.

    `only` is how the names of what is trained begin.
    """

    name: str
    rate: float = 2e-5
    decay: float = 0.01
    seed: int = 1
    only: str = ""
    dtype: torch.dtype = torch.float32
    lora: bool = False
    extra_rows: int = 0


RUNS = (
    Run("series"),
    Run("full_wd0", rate=5e-5, decay=0.0, seed=2),
    Run("lastlayer", seed=3, only=f"encoder.layer.{LAYERS - 1}."),
    Run("lora_merged", rate=2e-4, seed=4, lora=True),
    Run("resized_ft", decay=0.0, seed=5, extra_rows=EXTRA_ROWS),
    Run("full_nativebf16", seed=6, dtype=torch.bfloat16),
)


def make_history(folder: Path) -> dict[str, Path]:
    """Every file of `VERSIONS` (`NAME_fp32`, `NAME_bf16`) and of `PAIRS`, by name without suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)
    base = load_file(model_folder() / "model.safetensors")
    for name, dtype in DTYPES.items():
        _save(folder, f"base_{name}", _cast(base, dtype))
    _save_casts(folder, "resized_only", resized(base))
    for run in RUNS:
        Training(run, base, folder).finish()
    wanted = [f"{version}_{dtype}" for version in VERSIONS for dtype in ("fp32", "bf16")]
    wanted += [name for pair in PAIRS for name in pair]
    return {name: folder / f"{name}.safetensors" for name in wanted}


def resized(base: Weights) -> Weights:
    """New rows for new tokens, drawn as transformers does; nothing trained."""
    fresh = torch.normal(0.0, 0.02, (EXTRA_ROWS, base[WORDS].shape[1]), generator=torch.Generator().manual_seed(7))
    return {**base, WORDS: torch.cat([base[WORDS], fresh])}


class Training:
    """One run from its base to its last checkpoint."""

    def __init__(self, run: Run, base: Weights, folder: Path) -> None:
        self.run = run
        self.folder = folder
        start = resized(base) if run.extra_rows else base
        self.weights = {name: tensor.clone() for name, tensor in _cast(start, run.dtype).items()}
        self.lora: dict[str, tuple[Tensor, Tensor]] = {}
        torch.manual_seed(run.seed)
        self.optimizer = torch.optim.AdamW(self._groups(), lr=run.rate, fused=True)

    def finish(self) -> None:
        if all((self.folder / f"{name}.safetensors").exists() for name in self._final_names()):
            return
        schedule = torch.optim.lr_scheduler.LinearLR(self.optimizer, 1.0, 0.0, STEPS)
        rows = self.weights[WORDS].shape[0]
        extra = range(rows - self.run.extra_rows, rows)
        for step, (ids, mask) in enumerate(batches(STEPS, self.run.seed, extra), 1):
            self.optimizer.zero_grad()
            loss = contrastive_loss(embed(self.merged(), ids, mask))
            loss.backward()
            self.optimizer.step()
            schedule.step()
            if step % EVERY == 0:
                print(f"{self.run.name}: step {step}, loss {loss.item():.4f}", file=sys.stderr, flush=True)
                self._checkpoint(step)

    def merged(self) -> Weights:
        """The weights as they are saved: with the low-rank updates added to what they update."""
        return {**self.weights, **{name: self.weights[name] + up @ down for name, (up, down) in self.lora.items()}}

    def _groups(self) -> list[dict[str, object]]:
        """What is trained, as AdamW takes it."""
        if self.run.lora:
            for name, tensor in self.weights.items():
                if name.endswith(("query.weight", "value.weight")):
                    down = torch.normal(0.0, 0.02, (LORA_RANK, tensor.shape[1])).requires_grad_()
                    self.lora[name] = (torch.zeros(tensor.shape[0], LORA_RANK).requires_grad_(), down)
            return [{"params": [part for pair in self.lora.values() for part in pair], "weight_decay": 0.0}]
        plain: list[Tensor] = []
        decayed: list[Tensor] = []
        for name, tensor in self.weights.items():
            if tensor.is_floating_point() and name.startswith(self.run.only):
                tensor.requires_grad_()
                (plain if tensor.dim() == 1 else decayed).append(tensor)
        return [{"params": decayed, "weight_decay": self.run.decay}, {"params": plain, "weight_decay": 0.0}]

    def _final_names(self) -> list[str]:
        if self.run.dtype != torch.float32:
            return [f"{self.run.name}_bf16"]
        stem = f"series_step{STEPS:04d}" if self.run.name == "series" else self.run.name
        last = [f"{stem}_fp32", f"{stem}_bf16"]
        return [*last, f"{stem}_fp16", f"{stem}_optim_fp32"] if self.run.name == "series" else last

    def _checkpoint(self, step: int) -> None:
        weights = {name: tensor.detach() for name, tensor in self.merged().items()}
        if self.run.name == "series":
            _save_casts(self.folder, f"series_step{step:04d}", weights)
            if step > STEPS - 2 * EVERY:
                _save(self.folder, f"series_step{step:04d}_optim_fp32", self._optimizer_state())
            if step == STEPS:
                _save(self.folder, f"series_step{step:04d}_fp16", _cast(weights, torch.float16))
        elif step == STEPS and self.run.dtype == torch.float32:
            _save_casts(self.folder, self.run.name, weights)
        elif step == STEPS:
            _save(self.folder, f"{self.run.name}_bf16", weights)

    def _optimizer_state(self) -> Weights:
        """AdamW's two moments of every weight. What got no gradient has none."""
        return {
            f"{name}.{moment}": self.optimizer.state[tensor][moment]
            for name, tensor in self.weights.items()
            for moment in ("exp_avg", "exp_avg_sq")
            if tensor in self.optimizer.state
        }


def _cast(weights: Weights, dtype: torch.dtype) -> Weights:
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


def _save_casts(folder: Path, name: str, weights: Weights) -> None:
    _save(folder, f"{name}_fp32", weights)
    _save(folder, f"{name}_bf16", _cast(weights, torch.bfloat16))


def _save(folder: Path, name: str, weights: Weights) -> None:
    path = folder / f"{name}.safetensors"
    if path.exists():
        return
    part = path.with_suffix(".part")
    save_file({key: tensor.contiguous() for key, tensor in weights.items()}, part, metadata={"format": "pt"})
    part.rename(path)


if __name__ == "__main__":
    for made in make_history(Path(sys.argv[1])).values():
        print(made)
