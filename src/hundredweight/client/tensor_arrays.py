"""The tensors of a model as numpy arrays, each read when it is asked for."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hundredweight.client.tensor_numbers import exactly
from hundredweight.client.weight_files import OpenFile
from hundredweight.formats.tensors import BITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from numpy.typing import NDArray

    from hundredweight.client.weight_files import Model, Part
    from hundredweight.formats.tensors import Tensor

_PLAIN = {
    "BOOL": "?", "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8",
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8", "C128": "<c16",
}  # fmt: skip
_WIDENED = frozenset(("BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"))
"""Types that numpy has not, whose values singles hold exactly."""
_PIECE = 1 << 20


class TensorInfo(NamedTuple):
    """A tensor's type (as safetensors and GGUF name it) and shape."""

    dtype: str
    shape: tuple[int, ...]


class Tensors(Mapping[str, "NDArray[Any]"]):
    """Name -> array. Arrays of loose files are views of the file, mapped and read-only: nothing is read before it is used, and
    `close` leaves them valid. Others (packed, compressed, or of a type that numpy has not) are read at each access.

    BF16 and 8-bit floats become float32 of the same values; without `widen` they are what is stored, uint16 and uint8.
    Types below
    8 bits and quantised blocks are always their bytes, in one dimension; `info` tells type and shape.
    """

    def __init__(self, model: Model, *, widen: bool = True) -> None:
        """The model is closed with this. Where two files have a tensor of one name, the last counts."""
        self._model = model
        self._widen = widen
        self._places: dict[str, tuple[Part, Tensor]] = {tensor.name: (part, tensor) for part, tensor in model.tensors()}
        self._maps: dict[str, mmap.mmap] = {}

    def info(self, name: str) -> TensorInfo:
        """Raises `KeyError`."""
        tensor = self._places[name][1]
        return TensorInfo(tensor.dtype, tensor.shape)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Raises `KeyError`, `CannotOpen`, `BadWeights`."""
        part, tensor = self._places[name]
        raw = self._raw(part, tensor)
        if tensor.dtype in _PLAIN:
            return raw.view(_PLAIN[tensor.dtype]).reshape(tensor.shape)
        if tensor.dtype in _WIDENED and self._widen:
            return _widened(raw, tensor.dtype).reshape(tensor.shape)
        if tensor.dtype == "C32":
            return raw.view("<f2").astype(np.float32).view(np.complex64).reshape(tensor.shape)
        bits = BITS.get(tensor.dtype, 0)
        return raw.view(f"<u{bits // 8}").reshape(tensor.shape) if bits in (8, 16) else raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"<Tensors of {self._model.name}: {len(self)}>"

    def close(self) -> None:
        """Arrays that were taken stay as they are."""
        self._maps.clear()
        self._model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _raw(self, part: Part, tensor: Tensor) -> NDArray[Any]:
        """The canonical bytes."""
        if not tensor.nbytes:
            return np.empty(0, np.uint8)
        source = self._model.source_of(part, tensor)
        if tensor.plain and isinstance(source, OpenFile):
            name = tensor.file or part.name
            if name not in self._maps:
                self._maps[name] = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
            return np.frombuffer(self._maps[name], np.uint8, tensor.nbytes, tensor.start)
        made = np.empty(tensor.nbytes, np.uint8)
        at = 0
        for piece in self._model.content(part, tensor):
            made[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
            at += len(piece)
        return made


def _widened(raw: NDArray[Any], dtype: str) -> NDArray[Any]:
    """As singles, piece by piece: the doubles in between take no more than a piece."""
    size = BITS[dtype] // 8
    made = np.empty(len(raw) // size, np.float32)
    for start in range(0, len(made), _PIECE):
        end = min(start + _PIECE, len(made))
        made[start:end] = exactly(raw[start * size : end * size], dtype)
    return made
