"""What a writer of weight files needs to know: new headers for the formats that are laid out anew, and of the others what
there is beside the tensors, which a file that is patched in place keeps as it is.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from hundredweight.formats import npy, zipdir
from hundredweight.formats.safetensors import METADATA
from hundredweight.formats.source import Window
from hundredweight.formats.tensors import BITS, byte_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hundredweight.formats.source import Source
    from hundredweight.formats.tensors import Tensor, WeightFile
    from hundredweight.formats.zipdir import Member

_CHUNK = 1 << 20
_ALIGNMENT = 8
_NPY_ALIGNMENT = 64
_NPY_TYPES = {dtype: descr for descr, dtype in npy.TYPES.items()}
_SAVE_ID = ".data/serialization_id"
"""PyTorch's hash over a file's records: another one in each file, and read by nobody."""


class Slot(NamedTuple):
    """A tensor that gets a place in a new file."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def safetensors_order(kept: Sequence[Slot], added: Sequence[Slot]) -> list[Slot]:
    """The order of the data: `kept` as it is, each of `added` before the first of a smaller type. The format knows no
    padding: so files that were ordered by size of type, as the official library does, keep every tensor aligned."""
    order = list(kept)
    for slot in added:
        bits = BITS[slot.dtype]
        behind = [place for place, other in enumerate(order) if BITS[other.dtype] >= bits]
        order.insert(behind[-1] + 1 if behind else 0, slot)
    return order


def safetensors_header(listed: Sequence[Slot], data: Sequence[Slot], metadata: Mapping[str, object]) -> bytes:
    """Length and header of a file whose header has the order of `listed`, its data that of `data`."""
    offsets, at = {}, 0
    for slot in data:
        end = at + byte_count(slot.dtype, slot.shape)
        offsets[slot.name] = [at, end]
        at = end
    header: dict[str, object] = {METADATA: dict(metadata)} if metadata else {}
    for slot in listed:
        header[slot.name] = {"dtype": slot.dtype, "shape": list(slot.shape), "data_offsets": offsets[slot.name]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """All that stands before the data of a row-major, little-endian array."""
    descr = _NPY_TYPES[dtype]
    text = f"{{'descr': '{'|' if BITS[dtype] == 8 else '<'}{descr}', 'fortran_order': False, 'shape': {shape!r}, }}"
    length = len(npy.MAGIC) + 4 + len(text) + 1
    text += " " * (-length % _NPY_ALIGNMENT) + "\n"
    return npy.MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin-1")


def skeleton(source: Source, weights: WeightFile) -> bytes:
    """A digest of all that a file has beside its tensors' bytes: equal skeletons, same places for the same tensors.

    In a zip file checksums and times do not count, nor does the id that PyTorch gives each file it writes.
    """
    machine = blake3()
    if zipdir.matches(source):
        starts = sorted(tensor.start for tensor in weights.tensors)
        for member in zipdir.members(Window(source)).values():
            machine.update(f"{member.name}\0{member.method}\0{member.size}\0".encode())
            if not member.name.endswith(_SAVE_ID) and not _holds_tensors(member, starts):
                for piece in _member_content(source, member):
                    machine.update(piece)
        return machine.digest()
    at = 0
    for start, end in [*sorted((t.start, t.end) for t in weights.tensors if not t.file), (source.size, source.size)]:
        machine.update(f"{start - at}\0{end - start}\0".encode())
        while at < start:
            piece = source.read(at, min(_CHUNK, start - at))
            machine.update(piece)
            at += len(piece)
        at = max(at, end)
    return machine.digest()


def patch_view(place: Tensor, sources: Sequence[Tensor]) -> bool | None:
    """How tensors of other files can be written over `place`, in its own file: False, by their canonical bytes; True, as
    their bytes stand, since all are laid out alike without holes; None, not at all."""
    if place.file or place.deflated is not None or place.varints:
        return None
    if place.plain:
        return False
    dense = place.end - place.start == place.nbytes
    layout = (place.dtype, place.shape, place.strides, place.swapped)
    alike = all((t.dtype, t.shape, t.strides, t.swapped) == layout and t.deflated is None for t in sources)
    return True if dense and alike else None


def _holds_tensors(member: Member, starts: Sequence[int]) -> bool:
    """Whether one of `starts`, which are sorted, is in the member."""
    place = bisect_left(starts, member.start)
    return place < len(starts) and starts[place] < member.start + member.packed


def _member_content(source: Source, member: Member) -> Iterator[bytes]:
    if member.method == zipdir.DEFLATED:
        yield from zipdir.inflate(source, member.start, member.packed, member.size)
        return
    for at in range(member.start, member.start + member.size, _CHUNK):
        yield source.read(at, min(_CHUNK, member.start + member.size - at))
