"""What every format is read into: named tensors of a type and shape, and where in the file their bytes stand.

Types have one name in all formats, safetensors' own where it has one: F32, BF16, I64, F8_E4M3; GGUF's blocks are named
as GGUF does (Q4_K). `content` gives a tensor's canonical bytes: row-major, little-endian, sub-byte types packed as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.formats.source import MAX_DIMENSIONS, MAX_NAME, MAX_TENSORS, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C32": 32, "C64": 64, "C128": 128,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "U4": 4, "I4": 4, "U2": 2, "I2": 2,
}  # fmt: skip
"""Bits of one element."""

BLOCKS = {
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34), "Q8_1": (32, 36),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210), "Q8_K": (256, 292),
    "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74), "IQ3_XXS": (256, 98), "IQ1_S": (256, 50), "IQ4_NL": (32, 18),
    "IQ3_S": (256, 110), "IQ2_S": (256, 82), "IQ4_XS": (256, 136), "IQ1_M": (256, 56),
    "TQ1_0": (256, 54), "TQ2_0": (256, 66), "MXFP4": (32, 17), "NVFP4": (64, 36), "Q1_0": (128, 18),
}  # fmt: skip
"""Quantised types: elements of a block along the last dimension, bytes of a block."""

MAX_ELEMENTS = 1 << 62


@dataclass(frozen=True)
class Deflated:
    """The bytes are a slice of a zip member's inflated content: `packed` bytes from `start` inflate to `size` bytes, of which
    the tensor's part begins at `skip`."""

    start: int
    packed: int
    size: int
    skip: int = 0


@dataclass(frozen=True)
class Tensor:
    """One tensor. `[start, end)` are its bytes in the file; `plain` says whether they are its canonical bytes as they stand.

    Where they are not: `deflated` (inside a compressed zip member), `strides` in elements (a view, or column-major; the range
    is then what the view touches), `swapped` (big-endian), `varints` (protobuf's integers, one an element).
    `file` names another file beside this one that holds the bytes (ONNX's external data).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    deflated: Deflated | None = None
    strides: tuple[int, ...] | None = None
    swapped: bool = False
    varints: bool = False
    file: str = ""

    @property
    def elements(self) -> int:
        return element_count(self.shape)

    @property
    def nbytes(self) -> int:
        """Length of the canonical bytes."""
        return byte_count(self.dtype, self.shape)

    @property
    def plain(self) -> bool:
        return self.deflated is None and self.strides is None and not self.swapped and not self.varints


@dataclass(frozen=True)
class WeightFile:
    """What one file holds. `metadata` is what the file says beside its tensors, of JSON's kinds (long arrays shortened to an
    `ArrayHead`); `notes` are things that a reader should know (globals of a pickle that torch would not load as data)."""

    format: str
    tensors: tuple[Tensor, ...]
    metadata: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArrayHead:
    """A long array in metadata: how many items it has, and the first of them."""

    length: int
    first: tuple[object, ...]


def element_count(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def byte_count(dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor. Raises `FormatError` for an unknown type or a last dimension that is no whole number of blocks."""
    count = element_count(shape)
    block = BLOCKS.get(dtype)
    if block is not None:
        elements, size = block
        if (shape[-1] if shape else 1) % elements:
            raise FormatError(f"rows of type {dtype} are blocks of {elements} elements, a shape ends in {shape[-1:]}")
        return count // elements * size
    bits = BITS.get(dtype)
    if bits is None:
        raise FormatError(f"unknown tensor type '{dtype[:40]}'")
    return (count * bits + 7) // 8


def check_shape(shape: tuple[int, ...], name: str, offset: int = -1) -> None:
    """Bound what a file says about a tensor's shape. Raises `FormatError`."""
    if len(shape) > MAX_DIMENSIONS:
        raise FormatError(f"tensor '{shorten(name)}' has {len(shape)} dimensions, more than {MAX_DIMENSIONS}", offset)
    count = 1
    for extent in shape:
        if extent < 0:
            raise FormatError(f"tensor '{shorten(name)}' has a negative dimension", offset)
        # Bounded at each step: a zero among huge dimensions must not hide them, nor the product grow without end.
        count *= max(extent, 1)
        if count > MAX_ELEMENTS:
            raise FormatError(f"tensor '{shorten(name)}' has an impossible shape", offset)


def check_tensors(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """All as a tuple, after checks that hold in every format: number, names that are text and differ. Raises `FormatError`."""
    found: dict[str, Tensor] = {}
    for tensor in tensors:
        name = tensor.name
        if len(name) > MAX_NAME:
            raise FormatError(f"a tensor's name has {len(name)} characters", tensor.start)
        if not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
            raise FormatError("a tensor's name is no valid text", tensor.start)
        if name in found:
            raise FormatError(f"two tensors are called '{shorten(name)}'", tensor.start)
        if len(found) >= MAX_TENSORS:
            raise FormatError(f"more than {MAX_TENSORS} tensors", tensor.start)
        found[name] = tensor
    return tuple(found.values())


def shorten(text: str, length: int = 80) -> str:
    """`text` for a message: printable, and no longer than `length`."""
    text = text if len(text) <= length else text[: length - 1] + "…"
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
