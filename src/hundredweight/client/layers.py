"""Layers of a model, found in the names of its tensors, and how warm each became."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.client.tensor_numbers import ELEMENTS, Sums
from hundredweight.client.tensor_scan import cosine, relative

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hundredweight.client.tensor_diff import TensorChange, TensorDiff

# `model.layers.12.`, `encoder.layer.3.`, `h.0.`, `blk.7.`, `encoder/layer_3/`, `/encoder/layer.0/`
_LAYER = re.compile(
    r"^(/?(?:[^/.]+[./])*?(?:layers?|h|blocks?|blk|resblocks|stages?|groups?|transformer_blocks)[._]\d+)(?=[./])"
)
_NUMBERED = re.compile(r"^(/?(?:[^/.]+[./])*?(?:[^/.]*\D[._])?\d+)(?=[./])")
_PARTS = re.compile(r"\d+|\D+")


@dataclass
class Layer:
    """What changed in the tensors below one name. `numbered`: it is one of a stack."""

    name: str
    numbered: bool
    changes: list[TensorChange] = field(default_factory=list)
    tensors: int = 0
    sums: Sums = field(default_factory=Sums)
    compared: bool = False

    @property
    def share(self) -> float:
        """Of the elements that were compared, those that changed."""
        return self.sums.changed / self.sums.units if self.sums.units else 0.0

    @property
    def relative_l2(self) -> float | None:
        return relative(self.sums) if self.compared else None

    @property
    def cosine(self) -> float | None:
        return cosine(self.sums) if self.compared else None


def layer_of(name: str) -> str:
    """The numbered layer that a tensor belongs to; empty where its name has none."""
    found = _LAYER.match(name) or _NUMBERED.match(name)
    return found[1] if found else ""


def group(diff: TensorDiff, names: Iterable[str]) -> list[Layer]:
    """The layers of both versions' tensors (`names`), those that stand in no numbered layer by the module they are in: in the
    order of their names, numbers as numbers, tensors before and after the stack where they would stand."""
    layers = {name: layer_of(name) for name in names}
    containers = {prefix for layer in set(layers.values()) for prefix in _prefixes(layer)}
    found: dict[str, Layer] = {}
    for name, numbered in layers.items():
        key = numbered or _module(name, containers)
        layer = found.setdefault(key, Layer(key, bool(numbered)))
        layer.tensors += 1
    for change in diff.changes:
        layer = found[layers[change.name] or _module(change.name, containers)]
        layer.changes.append(change)
        statistics = change.statistics
        if statistics is not None and statistics.unit == ELEMENTS and statistics.max_abs is not None:
            layer.compared = True
            layer.sums.add(statistics.sums)
    return sorted(found.values(), key=lambda layer: natural(layer.name))


def natural(text: str) -> list[tuple[int, str]]:
    """A key by which `layers.10` comes after `layers.9`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _PARTS.findall(text)]


def heat(layer: Layer) -> int:
    """0 (nothing changed) to 8, a step for each half of a power of ten in relative L2, 8 from 0.3 on. A layer that changed in
    other ways than by values (tensors added, removed, of other shape) is as hot."""
    if not layer.changes:
        return 0
    warmth = layer.relative_l2
    if warmth is None:
        return 8
    if warmth <= 0:
        return 1
    return max(1, min(8, 9 + math.floor(2 * math.log10(warmth))))


def _prefixes(layer: str) -> Iterable[str]:
    """`a`, `a.b` of `a.b.3`."""
    for place, char in enumerate(layer):
        if char in "./" and place:
            yield layer[:place]


def _module(name: str, containers: Mapping[str, object] | set[str]) -> str:
    """The first part of a name that holds no numbered layers: `model.norm`, `embeddings`, `lm_head`."""
    ends = [place for place, char in enumerate(name) if char in "./" and place]
    return next((name[:end] for end in ends if name[:end] not in containers), name[: ends[-1]] if ends else name)
