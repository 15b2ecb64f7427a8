"""ONNX models: initializers and constants of the graph and its subgraphs, in the file or in external data beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.formats.protobuf import FIXED32, FIXED64, LENGTH, VARINT, Field, Walker
from hundredweight.formats.source import MAX_DIMENSIONS, MAX_NAME, FormatError, Source, Window
from hundredweight.formats.tensors import (
    Tensor,
    WeightFile,
    byte_count,
    check_shape,
    check_tensors,
    element_count,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "onnx"
MAX_FIELDS = 1 << 23
MAX_DEPTH = 16
MAX_PROPERTIES = 10_000
_MAX_RECOGNISED_FIELDS = 1000
_STRING = 8
_TYPES = {
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16", 11: "F64", 12: "U32", 13: "U64",
    14: "C64", 15: "C128", 16: "BF16", 17: "F8_E4M3", 18: "F8_E4M3FNUZ", 19: "F8_E5M2", 20: "F8_E5M2FNUZ", 21: "U4", 22: "I4",
    23: "F4", 24: "F8_E8M0", 25: "U2", 26: "I2", 27: "F6_E2M3", 28: "F6_E3M2",
}  # fmt: skip
# Fields of ModelProto with the wire type that each must have.
_MODEL = {
    1: VARINT, 2: LENGTH, 3: LENGTH, 4: LENGTH, 5: VARINT, 6: LENGTH, 7: LENGTH, 8: LENGTH, 14: LENGTH, 20: LENGTH, 25: LENGTH,
    26: LENGTH,
}  # fmt: skip


def matches(source: Source) -> bool:
    """ONNX has no magic: the outermost message must be a ModelProto through and through, with a version and a graph."""
    if source.size < 4 or source.read(0, 1) not in (b"\x08", b"\x12", b"\x3a"):
        return False
    seen = set()
    try:
        for entry in Walker(Window(source), _MAX_RECOGNISED_FIELDS).fields(0, source.size):
            if _MODEL.get(entry.number, entry.kind) != entry.kind:
                return False
            seen.add(entry.number)
    except FormatError:
        # A file that is cut short inside its graph is still best reported as ONNX.
        return 1 in seen and (2 in seen or 7 in seen)
    return {1, 7} <= seen


@dataclass
class _Found:
    """What TensorProto says, as its fields come."""

    name: str = ""
    kind: int = 0
    shape: list[int] = field(default_factory=list)
    data: Field | None = None
    values: list[Field] = field(default_factory=list)
    external: dict[str, str] = field(default_factory=dict)
    is_external: bool = False


def read(source: Source) -> WeightFile:
    """The messages are walked, tensor data is not read. Raises `FormatError`."""
    return _Reader(source).read()


class _Reader:
    def __init__(self, source: Source) -> None:
        self._size = source.size
        self._walker = Walker(Window(source), MAX_FIELDS)
        self._metadata: dict[str, object] = {}
        self._notes: list[str] = []

    def read(self) -> WeightFile:
        names = {
            1: "ir_version",
            2: "producer_name",
            3: "producer_version",
            4: "domain",
            5: "model_version",
            6: "doc_string",
        }
        opsets: dict[str, object] = {}
        tensors: list[Tensor] = []
        for entry in self._walker.fields(0, self._size):
            if entry.number in names:
                value = entry.value if entry.kind == VARINT else shorten(self._walker.text(entry), 1000)
                self._metadata[names[entry.number]] = value
            elif entry.number == 7:
                tensors.extend(self._graph(entry, "", 0))
            elif entry.number == 8:
                domain, version = self._opset(entry)
                opsets[domain or "ai.onnx"] = version
            elif entry.number == 14 and len(self._metadata) < MAX_PROPERTIES:
                key, text = self._pair(entry)
                self._metadata[f"metadata.{key}"] = text
        self._metadata["opset"] = opsets
        return WeightFile(NAME, check_tensors(tensors), self._metadata, tuple(self._notes))

    def _opset(self, message: Field) -> tuple[str, int]:
        domain, version = "", 0
        for entry in self._message(message):
            if entry.number == 1:
                domain = self._walker.text(entry)
            elif entry.number == 2:
                version = entry.value
        return domain, version

    def _pair(self, message: Field) -> tuple[str, str]:
        texts = {entry.number: self._walker.text(entry) for entry in self._message(message) if entry.number in (1, 2)}
        return texts.get(1, ""), texts.get(2, "")

    def _message(self, message: Field) -> Iterator[Field]:
        if message.kind != LENGTH:
            raise FormatError("a number stands where a message should", message.start)
        return self._walker.fields(message.start, message.end)

    def _graph(self, message: Field, prefix: str, depth: int) -> Iterator[Tensor]:
        if depth > MAX_DEPTH:
            raise FormatError(f"subgraphs nested more than {MAX_DEPTH} deep", message.start)
        if len(prefix) > MAX_NAME:
            raise FormatError("the names of nested subgraphs are too long", message.start)
        number = 0
        for entry in self._message(message):
            if entry.number == 1:
                yield from self._node(entry, prefix, number, depth)
                number += 1
            elif entry.number == 2 and depth == 0:
                self._metadata["graph"] = shorten(self._walker.text(entry), 1000)
            elif entry.number == 5:
                yield from self._tensor(entry, prefix, "")
            elif entry.number == 15:
                for part in self._message(entry):
                    if part.number in (1, 2):
                        yield from self._tensor(part, prefix, "" if part.number == 1 else ".indices", sparse=True)

    def _node(self, message: Field, prefix: str, number: int, depth: int) -> Iterator[Tensor]:
        """Tensors in a node's attributes: constants, named by what the node puts out, and those of subgraphs."""
        output, name = "", ""
        attributes = []
        for entry in self._message(message):
            if entry.number == 2 and not output:
                output = self._walker.text(entry)
            elif entry.number == 3:
                name = self._walker.text(entry)
            elif entry.number == 5:
                attributes.append(entry)
        for attribute in attributes:
            yield from self._attribute(attribute, prefix, output or name or f"node{number}", depth)

    def _attribute(self, message: Field, prefix: str, node: str, depth: int) -> Iterator[Tensor]:
        label = ""
        tensors, graphs = [], []
        for entry in self._message(message):
            if entry.number == 1:
                label = self._walker.text(entry)
            elif entry.number in (5, 10):
                tensors.append(entry)
            elif entry.number in (6, 11):
                graphs.append(entry)
        for place, entry in enumerate(tensors):
            named = node if label == "value" else f"{node}.{label}" + (f".{place}" if len(tensors) > 1 else "")
            yield from self._tensor(entry, prefix, named, constant=True)
        for place, entry in enumerate(graphs):
            inner = f"{prefix}{node}.{label}" + (f".{place}" if len(graphs) > 1 else "") + "/"
            yield from self._graph(entry, inner, depth + 1)

    def _tensor(
        self, message: Field, prefix: str, named: str, *, constant: bool = False, sparse: bool = False
    ) -> Iterator[Tensor]:
        found = self._collect(message)
        name = prefix + (named if constant else found.name + named if sparse else found.name)
        shape = tuple(found.shape)
        if found.kind == _STRING:
            self._notes.append(f"tensor '{shorten(name)}' holds texts and is left out")
            return
        if found.kind not in _TYPES:
            raise FormatError(f"tensor '{shorten(name)}' has an unknown type {found.kind}", message.start)
        check_shape(shape, name, message.start)
        dtype = _TYPES[found.kind]
        size = byte_count(dtype, shape)
        if found.is_external:
            yield _external(name, dtype, shape, size, found.external, message.start)
        elif found.data is not None:
            if found.data.end - found.data.start != size:
                raise FormatError(
                    f"tensor '{shorten(name)}' takes {size} bytes by shape, {found.data.end - found.data.start} are there",
                    found.data.start,
                )
            yield Tensor(name, dtype, shape, found.data.start, found.data.end)
        else:
            yield self._listed(name, dtype, shape, found.values, message.start)

    def _collect(self, message: Field) -> _Found:
        found = _Found()
        for entry in self._message(message):
            if entry.number == 1:
                found.shape += self._walker.numbers(entry, MAX_DIMENSIONS)
                if len(found.shape) > MAX_DIMENSIONS:
                    raise FormatError(f"a tensor has more than {MAX_DIMENSIONS} dimensions", entry.start)
            elif entry.number == 2:
                found.kind = entry.value
            elif entry.number == 8:
                found.name = self._walker.text(entry)
            elif entry.number == 9:
                found.data = entry
            elif entry.number in (4, 5, 7, 10, 11):
                found.values.append(entry)
            elif entry.number == 13 and len(found.external) < 16:
                key, value = self._pair(entry)
                found.external[key] = value
            elif entry.number == 14:
                found.is_external = entry.value == 1
        return found

    def _listed(self, name: str, dtype: str, shape: tuple[int, ...], values: list[Field], at: int) -> Tensor:
        """A tensor whose elements stand in a typed list: floats as they are, integers as varints, one an element."""
        if not values and element_count(shape) == 0:
            return Tensor(name, dtype, shape, at, at)
        if len(values) != 1 or (values[0].kind in (FIXED32, FIXED64, VARINT) and element_count(shape) != 1):
            raise FormatError(f"tensor '{shorten(name)}' has no data, or data in pieces", at)
        start, end = values[0].start, values[0].end
        varints = values[0].number in (5, 7, 11)
        if not varints and end - start != byte_count(dtype, shape):
            raise FormatError(
                f"tensor '{shorten(name)}' takes {byte_count(dtype, shape)} bytes, {end - start} are there", start
            )
        if varints and values[0].kind == VARINT:
            start = end - _varint_length(values[0].value)
        return Tensor(name, dtype, shape, start, end, varints=varints)


def _varint_length(value: int) -> int:
    return max(-(-value.bit_length() // 7), 1)


def _external(name: str, dtype: str, shape: tuple[int, ...], size: int, facts: dict[str, str], at: int) -> Tensor:
    location = facts.get("location", "")
    # External data lies in the model's folder: a path that leaves it would let a model read any file.
    parts = location.split("/")
    if (
        not location
        or not location.isprintable()
        or location.startswith("/")
        or ".." in parts
        or any(c in location for c in "\\\0:")
    ):
        raise FormatError(f"tensor '{shorten(name)}' is in '{shorten(location)}', outside of the model's folder", at)
    offset, length = (_decimal(facts.get(key, "0"), at) for key in ("offset", "length"))
    if "length" in facts and length != size:
        raise FormatError(f"tensor '{shorten(name)}' takes {size} bytes by shape, its external data {length}", at)
    return Tensor(name, dtype, shape, offset, offset + size, file=location)


def _decimal(text: str, at: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise FormatError(f"'{shorten(text)}' is no offset or length", at)
    return int(text)
