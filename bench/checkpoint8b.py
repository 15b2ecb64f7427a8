"""`python -m bench.checkpoint8b FOLDER`: a checkpoint with the names, shapes and shards of Qwen3-VL-8B-Instruct in bf16.

The tensors are those of the published configuration (17,534,247,392 bytes in four shards); the values are drawn: Gaussian, with
a deviation of its own for every tensor, norms near one. `--bytes` asks for a smaller model of the same build: narrower, then
with fewer words and layers. `--finetune FROM` writes a fine-tune of an earlier one: every tensor changes a little, as bf16 shows
it, so most elements stay. Everything streams, and the seed decides every byte.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

INDEX = "model.safetensors.index.json"
BLOCK = 1 << 16
POOL = 1 << 20
# transformers starts a new file when the next tensor would take it over 5 GB.
SHARD_SHARE = 5e9 / 17_534_247_392

Words = NDArray[np.uint16]
Layout = list[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Architecture:
    """The numbers of config.json that decide the shapes."""

    hidden: int = 4096
    intermediate: int = 12288
    layers: int = 36
    heads: int = 32
    key_heads: int = 8
    head: int = 128
    vocabulary: int = 151936
    vision_hidden: int = 1152
    vision_intermediate: int = 4304
    vision_depth: int = 27
    vision_heads: int = 16
    patch: int = 16
    temporal: int = 2
    positions: int = 2304
    merge: int = 2
    deepstack: tuple[int, ...] = (8, 16, 24)

    @property
    def size(self) -> int:
        return sum(2 * math.prod(shape) for _, shape in tensors(self))

    def scaled(self, target: int) -> Architecture:
        """One of the same build with at most `target` bytes: half the width, and again; fewer words; fewer layers."""
        found = self
        while found.size > 2 * target and found.key_heads > 1:
            found = replace(
                found,
                hidden=found.hidden // 2,
                intermediate=found.intermediate // 2,
                heads=found.heads // 2,
                key_heads=found.key_heads // 2,
                vision_hidden=found.vision_hidden // 2,
                vision_intermediate=found.vision_intermediate // 2,
                vision_heads=found.vision_heads // 2,
            )
        while 4 * found.vocabulary * found.hidden > target / 3:
            found = replace(found, vocabulary=found.vocabulary // 2)
        while found.size > target and found.layers > 1:
            found = replace(found, layers=found.layers - 1)
        while found.size > target and found.vision_depth > 1:
            found = replace(found, vision_depth=found.vision_depth - 1)
        return found

    def config(self) -> dict[str, object]:
        """config.json."""
        text = {
            "model_type": "qwen3_vl_text",
            "dtype": "bfloat16",
            "head_dim": self.head,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.key_heads,
            "vocab_size": self.vocabulary,
        }
        vision = {
            "model_type": "qwen3_vl",
            "deepstack_visual_indexes": list(self.deepstack),
            "depth": self.vision_depth,
            "hidden_size": self.vision_hidden,
            "intermediate_size": self.vision_intermediate,
            "num_heads": self.vision_heads,
            "num_position_embeddings": self.positions,
            "out_hidden_size": self.hidden,
            "patch_size": self.patch,
            "spatial_merge_size": self.merge,
            "temporal_patch_size": self.temporal,
        }
        return {
            "architectures": ["Qwen3VLForConditionalGeneration"],
            "model_type": "qwen3_vl",
            "text_config": text,
            "tie_word_embeddings": False,
            "vision_config": vision,
        }


def tensors(model: Architecture) -> Layout:
    """Names and shapes in the order of the model's own state dict."""
    return [
        *_vision(model),
        ("model.language_model.embed_tokens.weight", (model.vocabulary, model.hidden)),
        *itertools.chain.from_iterable(_text_layer(model, number) for number in range(model.layers)),
        ("model.language_model.norm.weight", (model.hidden,)),
        ("lm_head.weight", (model.vocabulary, model.hidden)),
    ]


def _text_layer(model: Architecture, number: int) -> Layout:
    name = f"model.language_model.layers.{number}."
    queries, keys = model.heads * model.head, model.key_heads * model.head
    return [
        (name + "self_attn.q_proj.weight", (queries, model.hidden)),
        (name + "self_attn.k_proj.weight", (keys, model.hidden)),
        (name + "self_attn.v_proj.weight", (keys, model.hidden)),
        (name + "self_attn.o_proj.weight", (model.hidden, queries)),
        (name + "self_attn.q_norm.weight", (model.head,)),
        (name + "self_attn.k_norm.weight", (model.head,)),
        (name + "mlp.gate_proj.weight", (model.intermediate, model.hidden)),
        (name + "mlp.up_proj.weight", (model.intermediate, model.hidden)),
        (name + "mlp.down_proj.weight", (model.hidden, model.intermediate)),
        (name + "input_layernorm.weight", (model.hidden,)),
        (name + "post_attention_layernorm.weight", (model.hidden,)),
    ]


def _vision(model: Architecture) -> Layout:
    name, width = "model.visual.", model.vision_hidden
    found = _with_bias(name + "patch_embed.proj", (width, 3, model.temporal, model.patch, model.patch))
    found.append((name + "pos_embed.weight", (model.positions, width)))
    for number in range(model.vision_depth):
        block = f"{name}blocks.{number}."
        found += _with_bias(block + "norm1", (width,)) + _with_bias(block + "norm2", (width,))
        found += _with_bias(block + "attn.qkv", (3 * width, width)) + _with_bias(block + "attn.proj", (width, width))
        found += _with_bias(block + "mlp.linear_fc1", (model.vision_intermediate, width))
        found += _with_bias(block + "mlp.linear_fc2", (width, model.vision_intermediate))
    merged = width * model.merge**2
    mergers = [
        ("merger", width),
        *((f"deepstack_merger_list.{number}", merged) for number in range(len(model.deepstack))),
    ]
    for merger, normed in mergers:
        found += _with_bias(f"{name}{merger}.norm", (normed,))
        found += _with_bias(f"{name}{merger}.linear_fc1", (merged, merged))
        found += _with_bias(f"{name}{merger}.linear_fc2", (model.hidden, merged))
    return found


def _with_bias(name: str, shape: tuple[int, ...]) -> Layout:
    return [(name + ".weight", shape), (name + ".bias", shape[:1])]


def shards(layout: Layout) -> list[Layout]:
    """The files, filled in order to the share of the whole that 5 GB are of the original, each sorted as safetensors does."""
    limit = SHARD_SHARE * sum(2 * math.prod(shape) for _, shape in layout)
    files: list[Layout] = [[]]
    room = limit
    for name, shape in layout:
        size = 2 * math.prod(shape)
        if size > room and files[-1]:
            files.append([])
            room = limit
        files[-1].append((name, shape))
        room -= size
    return [sorted(file) for file in files]


class Values:
    """Draws bf16 words: the exponents of Gaussian blocks, with sign and mantissa of every word mixed anew."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        draw = np.random.default_rng([seed, 0])
        self.normal = draw.standard_normal(POOL, dtype=np.float32)
        self.noise = draw.integers(0, 1 << 16, POOL + BLOCK, dtype=np.uint16)
        self.signed = self.noise & np.uint16(0x807F)
        self.within = np.concatenate([self.normal, self.normal[:BLOCK]])
        # A value within the rounding of a word, as what is added to its bits: half a step down to half a step up.
        self.rounding = self.noise.astype(np.uint32) - np.uint32(0x8000)

    def generator(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def fresh(self, name: str, shape: tuple[int, ...]) -> Iterator[Words]:
        """The tensor's words, block by block."""
        draw = self.generator(name)
        count = math.prod(shape)
        if len(shape) == 1:
            middle = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            spread = 0.02 * math.exp(draw.normal(0, 0.4))
            yield to_bf16(middle + spread * draw.standard_normal(count, dtype=np.float32))
            return
        fan_in = math.prod(shape[1:])
        deviation = np.float32(math.exp(draw.normal(0, 0.25)) / math.sqrt(fan_in))
        pool = min(POOL, count)
        exponents = to_bf16(self.within[: pool + BLOCK] * deviation)
        for start in range(0, count, BLOCK):
            one, other = draw.integers(0, [pool, POOL])
            size = min(BLOCK, count - start)
            yield exponents[one : one + size] ^ self.signed[other : other + size]

    def tuned(self, name: str, blocks: Iterator[Words]) -> Iterator[Words]:
        """What a fine-tune makes of a tensor: each word stands for a value within its rounding, which moves a little."""
        draw = self.generator(name)
        # Of a bf16 step at the tensor's typical value, this is what training moves a weight by.
        share = 0.22 * math.exp(draw.normal(0, 0.3))
        moves = None
        bits = np.empty(BLOCK, np.uint32)
        for words in blocks:
            if moves is None:
                typical = float(np.sqrt(np.mean(np.square(to_float(words)))))
                moves = self.within * np.float32(share * typical / 256)
            one, other = draw.integers(0, POOL, 2)
            part = bits[: len(words)]
            np.left_shift(words, 16, out=part, dtype=np.uint32)
            part += self.rounding[other : other + len(words)]
            values = part.view(np.float32)
            values += moves[one : one + len(words)]
            part += 0x8000
            yield part.view(np.uint16)[1::2].copy()


def to_bf16(values: NDArray[np.float32]) -> Words:
    """Rounded to the nearest, ties away from zero."""
    return ((values.astype(np.float32).view(np.uint32) + np.uint32(0x8000)) >> 16).astype(np.uint16)


def to_float(words: Words) -> NDArray[np.float32]:
    return (words.astype(np.uint32) << 16).view(np.float32)


def write_model(folder: Path, model: Architecture, seed: int) -> None:
    """A fresh checkpoint: shards, index, config."""
    folder.mkdir(parents=True, exist_ok=True)
    values = Values(2 * seed)
    files = shards(tensors(model))
    names = {}
    for number, layout in enumerate(files, 1):
        path = folder / f"model-{number:05d}-of-{len(files):05d}.safetensors"
        names.update(dict.fromkeys((name for name, _ in layout), path.name))
        with path.open("wb") as out:
            out.write(header(layout))
            for name, shape in layout:
                out.writelines(words.data for words in values.fresh(name, shape))
    index = {"metadata": {"total_size": model.size}, "weight_map": dict(sorted(names.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    (folder / "config.json").write_text(json.dumps(model.config(), indent=2) + "\n")


def header(layout: Layout) -> bytes:
    """Length and JSON, as safetensors writes them, padded to eight bytes."""
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, shape in layout:
        size = 2 * math.prod(shape)
        table[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def write_finetune(source: Path, folder: Path, seed: int) -> None:
    """A fine-tune of the checkpoint in `source`, with the same names, order and shards."""
    folder.mkdir(parents=True, exist_ok=True)
    # Never the draws that a fresh model of the same seed is made of.
    values = Values(2 * seed + 1)
    for path in (source / INDEX, source / "config.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    for path in sorted(source.glob("model-*.safetensors")):
        with path.open("rb") as read, (folder / path.name).open("wb") as out:
            start = read.read(8)
            text = read.read(struct.unpack("<Q", start)[0])
            out.write(start + text)
            table = json.loads(text)
            table.pop("__metadata__", None)
            for name, entry in sorted(table.items(), key=lambda item: int(item[1]["data_offsets"][0])):
                count = math.prod(entry["shape"])
                sizes = (min(BLOCK, count - place) for place in range(0, count, BLOCK))
                blocks = (np.frombuffer(read.read(2 * size), np.uint16) for size in sizes)
                out.writelines(words.data for words in values.tuned(name, blocks))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.checkpoint8b", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the checkpoint is written")
    parser.add_argument("--bytes", type=float, default=2e10, help="at most so many bytes (default: the full size)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--finetune", type=Path, metavar="FROM", help="a fine-tune of the checkpoint in this folder")
    options = parser.parse_args()
    begin = time.perf_counter()
    if options.finetune:
        write_finetune(options.finetune, options.folder, options.seed)
    else:
        write_model(options.folder, Architecture().scaled(int(options.bytes)), options.seed)
    seconds = time.perf_counter() - begin
    size = sum(path.stat().st_size for path in options.folder.glob("*.safetensors"))
    print(f"{size:,} bytes in {seconds:.1f} s, {size / seconds / 1e9:.2f} GB/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
