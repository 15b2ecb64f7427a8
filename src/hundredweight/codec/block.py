"""One segment as stored: raw bytes to a self-describing block, and back to the same bytes.

`encode` may be given a base: the raw bytes of another segment that is likely to be similar (the same tensor of an earlier
version). `decode` then needs those same bytes. Nothing here does I/O; the layout is docs/formats/block.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hundredweight.codec import kernel as kernels
from hundredweight.codec import numbers, single, streams
from hundredweight.codec.delta import read_delta
from hundredweight.codec.encoder import Encoder, Profile
from hundredweight.codec.errors import CodecError
from hundredweight.codec.kernel import Kernel
from hundredweight.codec.methods import DELTA, DELTA_PLANES, FLOATS, HEAD, PACKED, PLANES, STORED, VERSION, Base
from hundredweight.codec.streams import Reader

if TYPE_CHECKING:
    from hundredweight.codec.methods import Buffer
    from hundredweight.codec.numbers import Kind
    from hundredweight.codec.passes import Passes
    from hundredweight.codec.streams import Bytes

__all__ = ["HEAD", "MAX_RAW", "CodecError", "Kernel", "Profile", "decode", "encode", "estimate", "uses_base"]

MAX_RAW = 16 << 20
"""Bytes of the longest segment."""


def encode(
    raw: Buffer,
    dtype: str,
    base: Buffer | None = None,
    base_dtype: str | None = None,
    *,
    profile: Profile = Profile.DEFAULT,
    kernel: Kernel = Kernel.AUTO,
) -> bytes:
    """A block of `raw` (at most `MAX_RAW` bytes of any content), as a delta against `base` where that is smaller.

    `dtype` and `base_dtype` are the types' names as `formats` gives them, "" for plain bytes; `base_dtype` None means `dtype`.
    Lengths need not be whole elements, nor those of raw and base equal; a base of a type that does not serve is ignored. Never
    more than `HEAD` bytes longer than `raw`. The result depends on neither machine nor kernel, but on zstd's version.
    """
    if len(raw) > MAX_RAW:
        raise ValueError(f"a segment of {len(raw)} bytes is over {MAX_RAW}")
    kind = numbers.kind_of(dtype)
    encoder = Encoder(kind, profile, kernels.passes(kernel, len(raw)))
    return encoder.best(np.frombuffer(raw, np.uint8), _base(base, base_dtype, dtype))


def decode(block: Buffer, size: int, base: Buffer | None = None, *, kernel: Kernel = Kernel.AUTO) -> Buffer:
    """The `size` bytes that `block` was made of. Raises `CodecError`, and nothing else, for any other block or base."""
    if not 0 <= size <= MAX_RAW:
        raise CodecError(f"a block of {size} bytes, where {MAX_RAW} is the most")
    return _decode(memoryview(block), size, base, kernels.passes(kernel, size))


def uses_base(block: Buffer) -> bool:
    """Whether `decode` needs the base."""
    return len(block) > 1 and block[1] in {DELTA, DELTA_PLANES}


def estimate(raw: Buffer, dtype: str, base: Buffer | None = None, base_dtype: str | None = None) -> int:
    """About how many bytes `encode` would give, from a sample: for a choice among bases, or none. Takes a millisecond or two."""
    encoder = Encoder(numbers.kind_of(dtype), Profile.DEFAULT, kernels.passes(Kernel.OFF, 0))
    return encoder.estimate(np.frombuffer(raw, np.uint8), _base(base, base_dtype, dtype))


def _base(base: Buffer | None, base_dtype: str | None, dtype: str) -> Base | None:
    how = numbers.cast_of(dtype if base_dtype is None else base_dtype, dtype)
    return None if base is None or how is None else Base(base, numbers.kind_of(dtype), how)


def _decode(block: memoryview, size: int, base: Buffer | None, passes: Passes) -> Buffer:
    if len(block) < HEAD or block[0] != VERSION:
        raise CodecError("not a block of a known version")
    method = block[1]
    reader = Reader(block, HEAD)
    if method == STORED:
        content: Buffer = reader.take(size)
        reader.finish()
        return content
    if method == PACKED:
        return streams.unpack(block[HEAD:], size).data
    kind = numbers.KINDS.get(reader.byte())
    if kind is None:
        raise CodecError("a block of an unknown kind of numbers")
    if method in {PLANES, FLOATS}:
        made = _alone(reader, kind, method, size // kind.width, passes)
    elif method in {DELTA, DELTA_PLANES}:
        made = _against(reader, kind, method, size // kind.width, base, passes)
    else:
        raise CodecError(f"a block of unknown method {method}")
    if len(made) == size:
        reader.finish()
        return made.data
    return _with_rest(made, block[reader.position :], size, passes)


def _alone(reader: Reader, kind: Kind, method: int, count: int, passes: Passes) -> Bytes:
    # Where a block has nothing but a block within it, the depth would be the sender's choice.
    if not count:
        raise CodecError("numbers in a block that are longer than it")
    if method == PLANES:
        return single.read_planes(reader, count * kind.width, kind.width)
    if not kind.exponent or kind.width == 1:
        raise CodecError("numbers without exponents by exponent")
    return single.read_floats(reader, count, kind, passes).view(np.uint8)


def _against(reader: Reader, kind: Kind, method: int, count: int, base: Buffer | None, passes: Passes) -> Bytes:
    how = reader.byte()
    if base is None:
        raise CodecError("a delta without its base")
    elements = Base(base, kind, how).elements(slice(count))
    if method == DELTA:
        return read_delta(reader, elements, kind, passes).view(np.uint8)
    planes = single.read_planes(reader, len(elements) * kind.width, kind.width)
    return passes.restore(planes.view(kind.bits), elements, kind, None).view(np.uint8)


def _with_rest(made: Bytes, rest: memoryview, size: int, passes: Passes) -> Buffer:
    """`made` and what the rest of the block holds, by itself: a block within the block."""
    if uses_base(rest):
        raise CodecError("a delta within a block")
    content = np.empty(size, np.uint8)
    content[: len(made)] = made
    content[len(made) :] = np.frombuffer(_decode(rest, size - len(made), None, passes), np.uint8)
    return content.data
