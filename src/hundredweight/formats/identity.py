"""The weights id: one name for equal tensors, whatever the file's format, header order or sharding.

docs/formats/weights-id.md defines it, with test vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from hundredweight.formats.source import FormatError
from hundredweight.formats.tensors import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.formats.tensors import Tensor

CONTEXT = "hundredweight 2026-11-23 weights id v1"
PREFIX = "w1-"


class TensorDigest(NamedTuple):
    """What of a tensor enters the id: `digest` is the BLAKE3-256 of its canonical bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: bytes


def digest_tensor(tensor: Tensor, pieces: Iterable[bytes | memoryview]) -> TensorDigest:
    """Hash a tensor's canonical bytes. Raises `FormatError` where they are not as many as its shape says."""
    machine = blake3()
    count = 0
    for piece in pieces:
        machine.update(piece)
        count += len(piece)
    if count != tensor.nbytes:
        raise FormatError(f"tensor '{shorten(tensor.name)}' has {count} bytes instead of {tensor.nbytes}", tensor.start)
    return TensorDigest(tensor.name, tensor.dtype, tensor.shape, machine.digest())


def weights_id(tensors: Iterable[TensorDigest]) -> str:
    """The id of a set of tensors, in any order: `w1-` and 64 hexadecimal digits."""
    machine = blake3(derive_key_context=CONTEXT)
    for tensor in sorted(tensors, key=lambda item: item.name.encode()):
        for text in (tensor.name.encode(), tensor.dtype.encode()):
            machine.update(len(text).to_bytes(8, "little") + text)
        numbers = (len(tensor.shape), *tensor.shape)
        machine.update(b"".join(number.to_bytes(8, "little") for number in numbers) + tensor.digest)
    return PREFIX + machine.hexdigest()
