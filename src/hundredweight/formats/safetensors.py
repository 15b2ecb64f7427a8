"""safetensors: 8 bytes of header length, a JSON header, then all tensors without gaps; and the index of a sharded model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.formats.source import MAX_TENSORS, FormatError, Source, decode_text
from hundredweight.formats.tensors import BITS, Tensor, WeightFile, byte_count, check_shape, check_tensors, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "safetensors"
MAX_HEADER = 100_000_000
MAX_INDEX = 100_000_000
METADATA = "__metadata__"
TYPES = frozenset((
    "BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "BF16", "F32", "F64", "C64",
    "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F6_E2M3", "F6_E3M2", "F4",
))  # fmt: skip


@dataclass(frozen=True)
class Index:
    """A `*.index.json`: which file beside it holds which tensor."""

    weight_map: Mapping[str, str]
    metadata: Mapping[str, object]

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.weight_map.values())))


def matches(source: Source) -> bool:
    if source.size < 9:
        return False
    head = source.read(0, 9)
    # A header that is longer than the file is still recognised: `read` says that the file is cut short.
    return head[8:] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= MAX_HEADER


def read(source: Source) -> WeightFile:
    """Only the header is read. Raises `FormatError`."""
    if source.size < 8:
        raise FormatError(f"the file ends early: a header length is 8 bytes, its size is {source.size}", 0)
    length = int.from_bytes(source.read(0, 8), "little")
    if length > MAX_HEADER:
        raise FormatError(f"the header has {length} bytes, more than the format allows ({MAX_HEADER})", 0)
    if 8 + length > source.size:
        raise FormatError(f"the header has {length} bytes, the file {source.size}", 0)
    header = parse_json(source.read(8, length), 8)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FormatError(f"'{METADATA}' is not a map of texts", 8)
    tensors = check_tensors(_tensor(name, entry, 8 + length) for name, entry in header.items())
    _check_ranges(tensors, 8 + length, source.size)
    return WeightFile(NAME, tensors, metadata)


def parse_index(data: bytes) -> Index | None:
    """The index in `data`, None when it is JSON of another kind. Raises `FormatError` where an index breaks its rules."""
    parsed = parse_json(data, 0)
    weight_map = parsed.get("weight_map")
    if weight_map is None:
        return None
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise FormatError("'weight_map' is not a map from tensors to files")
    for file in set(weight_map.values()):
        # Shards lie beside their index; anything else would let an index read files of its choice.
        if not file.isprintable() or file in ("", ".", "..") or any(c in file for c in "/\\\0:"):
            raise FormatError(f"shard '{shorten(file)}' is not a file beside the index")
    metadata = parsed.get("metadata")
    return Index(weight_map, metadata if isinstance(metadata, dict) else {})


def parse_json(data: bytes, offset: int) -> dict[str, object]:
    """A JSON object without duplicate keys, whose size in memory is bounded. Raises `FormatError`."""
    if data.count(b"{") > MAX_TENSORS + 2 or data.count(b"[") > 4 * MAX_TENSORS or data.count(b",") > 32 * MAX_TENSORS:
        raise FormatError(f"JSON of too many parts, at most {MAX_TENSORS} tensors are read", offset)
    text = decode_text(data, offset)
    try:
        parsed = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except FormatError as error:
        raise FormatError(error.what, offset) from error
    except json.JSONDecodeError as error:
        raise FormatError(f"malformed JSON: {error.msg}", offset + len(text[: error.pos].encode())) from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"unreadable JSON: {shorten(str(error))}", offset) from error
    if not isinstance(parsed, dict):
        raise FormatError("the JSON is not an object", offset)
    return parsed


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise FormatError(f"key '{shorten(twice)}' stands twice")
    return made


def _refuse_constant(name: str) -> object:
    raise FormatError(f"'{name}' is not JSON")


def _tensor(name: str, entry: object, base: int) -> Tensor:
    label = shorten(name)
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"tensor '{label}' has not exactly dtype, shape and data_offsets", 8)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in TYPES:
        raise FormatError(f"tensor '{label}' has an unknown type '{shorten(str(dtype), 40)}'", 8)
    if not _is_numbers(shape) or not _is_numbers(offsets) or len(offsets) != 2:
        raise FormatError(f"tensor '{label}' has a shape or offsets that are no lists of whole numbers", 8)
    extents = tuple(shape)
    check_shape(extents, name, 8)
    if _bits(dtype, extents) % 8:
        raise FormatError(f"tensor '{label}' does not fill its last byte", 8)
    if offsets[1] - offsets[0] != byte_count(dtype, extents):
        raise FormatError(
            f"tensor '{label}' takes {byte_count(dtype, extents)} bytes by shape, its offsets say otherwise", 8
        )
    return Tensor(name, dtype, extents, base + offsets[0], base + offsets[1])


def _bits(dtype: str, shape: tuple[int, ...]) -> int:
    count = BITS[dtype]
    for extent in shape:
        count *= extent
    return count


def _is_numbers(value: object) -> bool:
    # bool is an int in Python, not in JSON.
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 63 for item in value)


def _check_ranges(tensors: tuple[Tensor, ...], base: int, size: int) -> None:
    at = base
    for tensor in sorted(tensors, key=lambda item: (item.start, item.end)):
        if tensor.start != at:
            fault = "overlaps the one before it" if tensor.start < at else "leaves a hole before it"
            raise FormatError(f"tensor '{shorten(tensor.name)}' {fault}", tensor.start)
        at = tensor.end
    if at > size:
        raise FormatError(f"the tensors end at byte {at}, the file has {size}: it is cut short", size)
    if at < size:
        raise FormatError(f"{size - at} bytes follow the last tensor", at)
