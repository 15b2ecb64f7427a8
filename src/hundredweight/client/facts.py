"""What files say about a model beside its tensors, as flat text, so that two versions can be compared key by key."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from hundredweight.formats.safetensors import parse_json
from hundredweight.formats.source import FormatError
from hundredweight.formats.tensors import ArrayHead

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hundredweight.client.weight_files import Model

FILES = ("config.json", "adapter_config.json", "generation_config.json", "trainer_state.json")
"""Files beside a model that hold its hyper-parameters and how far its training was."""
_MAX_FILE = 1 << 24
_MAX_TEXT = 160
_MAX_ITEMS = 32
_MAX_DEPTH = 8


class FactChange(NamedTuple):
    """One key that is not as it was. `source` is the file beside the model, empty for the weight file's own metadata; a value
    is None where the key is missing."""

    source: str
    key: str
    old: str | None
    new: str | None


def facts_of(model: Model) -> dict[str, str]:
    """The metadata of all files of the model."""
    found: dict[str, str] = {}
    for part in model.parts:
        found.update({key: as_text(value) for key, value in part.weights.metadata.items()})
    return found


def facts_beside(model: Model, folder: str) -> dict[str, dict[str, str]]:
    """Of each of `FILES` that is there and readable, what it says. `folder` is where the model is in its place, empty or with
    a slash at its end."""
    found = {}
    for name in FILES:
        data = model.beside(folder + name, _MAX_FILE)
        if not data:
            continue
        try:
            found[name] = dict(_flat(parse_json(data, 0), "", 0))
        except FormatError as error:
            found[name] = {"(unreadable)": str(error)}
    return found


def changes(source: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[FactChange]:
    """In the order of the new one, then what is gone."""
    keys = [*new, *(key for key in old if key not in new)]
    return [FactChange(source, key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def as_text(value: object) -> str:
    """A value as text that differs where values differ: what is too long is cut and gets a hash."""
    text = json.dumps(plain(value), ensure_ascii=False)
    if len(text) <= _MAX_TEXT:
        return text
    digest = blake3(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[:_MAX_TEXT]}... ({len(text)} characters, {digest})"


def plain(value: object) -> object:
    """`value` as JSON knows it: heads of arrays as objects, numbers that JSON lacks as text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, ArrayHead):
        return {"length": value.length, "first": [plain(item) for item in value.first]}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _flat(value: object, name: str, depth: int) -> Iterator[tuple[str, str]]:
    """Dotted keys with their values; long lists (logs of a training) as their length and a hash."""
    if isinstance(value, dict) and value and depth < _MAX_DEPTH:
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else key, depth + 1)
    elif isinstance(value, list) and len(value) > _MAX_ITEMS:
        yield name, f"{len(value)} items ({blake3(json.dumps(plain(value)).encode()).hexdigest()[:16]})"
    else:
        yield name, as_text(value)
