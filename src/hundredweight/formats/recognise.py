"""Which format a file has, by its content alone: names lie, and objects of a store have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hundredweight.formats import gguf, npy, onnx, pytorch, safetensors, zipdir
from hundredweight.formats.source import FormatError, Source, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.formats.tensors import WeightFile

_HDF5 = b"\x89HDF\r\n\x1a\n"


class Format(NamedTuple):
    """A format that is read: its name, and what reads it (raises `FormatError`)."""

    name: str
    read: Callable[[Source], WeightFile]


class UnknownFormat(FormatError):
    """The content is no weight file of a format that is read."""

    hint = "safetensors, GGUF, PyTorch (zip), ONNX and NumPy files are read"


_SIMPLE = (
    (gguf.matches, Format(gguf.NAME, gguf.read)),
    (safetensors.matches, Format(safetensors.NAME, safetensors.read)),
    (npy.matches, Format(npy.NAME, npy.read)),
    (onnx.matches, Format(onnx.NAME, onnx.read)),
)


def recognise(source: Source) -> Format | None:
    """The format of the content; None where it is none that is read. Raises `FormatError` for a damaged zip directory."""
    if zipdir.matches(source):
        members = zipdir.members(Window(source))
        if pytorch.is_checkpoint(members):
            return Format(pytorch.NAME, pytorch.read)
        return Format(npy.NAME_NPZ, npy.read_npz) if npy.is_npz(members) else None
    return next((found for matches, found in _SIMPLE if matches(source)), None)


def read(source: Source) -> WeightFile:
    """The tensors of a weight file of any format. Raises `FormatError`, `UnknownFormat` where it is no weight file."""
    if source.size == 0:
        raise UnknownFormat("the file is empty")
    found = recognise(source)
    if found is not None:
        return found.read(source)
    if pytorch.is_legacy(source):
        hint = "load it with torch.load(FILE, weights_only=True) and save it again, best as safetensors"
        raise UnknownFormat("a PyTorch file from before version 1.6, a bare pickle, is not read", hint=hint)
    if source.read(0, min(8, source.size)) == _HDF5:
        raise UnknownFormat("HDF5 files are not read")
    raise UnknownFormat("the content is no weight file that is known")
