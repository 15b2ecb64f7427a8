"""One segment as stored: raw bytes to a self-describing block, and back to the same bytes.

`encode` may be given a base: the raw bytes of another segment that is likely to be similar (the same tensor of an earlier
version). `decode` then needs those same bytes. Nothing here does I/O; the layout is docs/formats/block.md.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from hundredweight.codec import kernel as kernels
from hundredweight.codec import numbers, plan, single, streams
from hundredweight.codec.delta import read_delta, write_delta
from hundredweight.codec.errors import CodecError
from hundredweight.codec.kernel import Kernel
from hundredweight.codec.streams import Reader, Writer

if TYPE_CHECKING:
    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.passes import Passes
    from hundredweight.codec.streams import Bytes

    Buffer = bytes | bytearray | memoryview

MAX_RAW = 16 << 20
"""Bytes of the longest segment."""

VERSION = 1
STORED, PACKED, PLANES, FLOATS, DELTA, DELTA_PLANES = range(6)
HEAD = 2
"""Bytes that a stored block is longer than its content; no block is longer than that."""
SHORT = 1 << 16
"""Up to this many bytes all methods are tried; of longer segments a sample decides."""


class Profile(Enum):
    """What an encoder spends time on. Every decoder reads all of them."""

    FAST = "fast"
    DEFAULT = "default"
    SMALL = "small"


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
    content = np.frombuffer(raw, np.uint8)
    kind = numbers.kind_of(dtype)
    passes = kernels.passes(kernel, len(raw))
    best = None
    if base is not None and len(raw):
        how = numbers.cast_of(dtype if base_dtype is None else base_dtype, dtype)
        if how is not None:
            best = _against(content, kind, _Base(base, kind, how), profile, passes)
    if best is None or len(content) <= SHORT:
        alone = _alone(content, kind, passes)
        best = alone if best is None or len(alone) < len(best) else best
    return best if len(best) < len(raw) + HEAD else _stored(content)


def decode(block: Buffer, size: int, base: Buffer | None = None, *, kernel: Kernel = Kernel.AUTO) -> Buffer:
    """The `size` bytes that `block` was made of. Raises `CodecError`, and nothing else, for any other block or base."""
    if not 0 <= size <= MAX_RAW:
        raise CodecError(f"a block of {size} bytes, where {MAX_RAW} is the most")
    if len(block) < HEAD or block[0] != VERSION:
        raise CodecError("not a block of a known version")
    method = block[1]
    reader = Reader(memoryview(block), HEAD)
    if method == STORED:
        content: Buffer = reader.take(size)
        reader.finish()
        return content
    if method == PACKED:
        return streams.unpack(reader.take(len(block) - HEAD), size).data
    kind = numbers.KINDS.get(reader.byte())
    if kind is None:
        raise CodecError("a block of an unknown kind of numbers")
    passes = kernels.passes(kernel, size)
    if method in {PLANES, FLOATS}:
        return _with_rest(reader, _read_alone(reader, kind, method, size, passes), size)
    if method in {DELTA, DELTA_PLANES}:
        how = reader.byte()
        if how > numbers.FROM_F16 or base is None:
            raise CodecError("a delta without its base" if base is None else "a delta of an unknown conversion")
        elements = _Base(base, kind, how).elements(size // kind.width)
        if method == DELTA:
            made = read_delta(reader, elements, kind, passes)
        else:
            planes = single.read_planes(reader, len(elements) * kind.width, kind.width).view(kind.bits)
            made = passes.restore(planes, elements, kind, None)
        return _with_rest(reader, made.view(np.uint8), size)
    raise CodecError(f"a block of unknown method {method}")


def uses_base(block: Buffer) -> bool:
    """Whether `decode` needs the base."""
    return len(block) > 1 and block[1] in {DELTA, DELTA_PLANES}


def estimate(raw: Buffer, dtype: str, base: Buffer | None = None, base_dtype: str | None = None) -> int:
    """About how many bytes `encode` would give, from a sample: for a choice among bases, or none. Takes about a millisecond."""
    content = np.frombuffer(raw, np.uint8)
    kind = numbers.kind_of(dtype)
    passes = kernels.passes(Kernel.OFF, 0)
    alone = len(content) * _sampled(content, kind, passes)[1] // 4096
    if base is None:
        return alone
    how = numbers.cast_of(dtype if base_dtype is None else base_dtype, dtype)
    if how is None:
        return alone
    against = _Base(base, kind, how)
    common = against.common(len(content) // kind.width)
    if common < plan.GROUP:
        return alone
    values = content[: common * kind.width].view(kind.bits)
    every = max(1, common // plan.SAMPLE)
    # Runs of some groups at equal distances: neighbours tell classes.
    run = plan.GROUP * 16
    picked = np.concatenate([np.arange(at, min(at + run, common)) for at in range(0, common, run * every)])
    frame = against.picked(picked)
    taken = values[picked]
    table = plan.drift(taken, frame, kind)
    made = plan.make(passes.difference(taken, frame, kind, table), frame, kind)
    delta = made.bits // 8 * common // len(picked)
    return min(alone, delta + (len(content) - common * kind.width) * alone // len(content))


class _Base:
    """A base as elements of the kind of what is made from it."""

    def __init__(self, base: Buffer, kind: Kind, how: int) -> None:
        self.kind, self.how = kind, how
        width = numbers.SOURCE_WIDTH.get(how, kind.width)
        if how and (how in {numbers.TO_BF16, numbers.TO_F16}) != (kind.width == 2):
            raise CodecError("a delta of an impossible conversion")
        self.source = np.frombuffer(base, f"<u{width}", len(base) // width)

    def common(self, count: int) -> int:
        return min(count, len(self.source))

    def elements(self, count: int) -> Bits:
        """The first `count`, or as many as there are."""
        first = self.source[:count]
        return numbers.cast(first, self.how) if self.how else first

    def picked(self, index: Bits) -> Bits:
        chosen = self.source[index]
        return numbers.cast(chosen, self.how) if self.how else chosen


def _stored(content: Bytes) -> bytes:
    return bytes((VERSION, STORED)) + content.tobytes()


def _against(content: Bytes, kind: Kind, base: _Base, profile: Profile, passes: Passes) -> bytes | None:
    elements = base.elements(len(content) // kind.width)
    common = len(elements)
    if not common:
        return None
    raw = content[: common * kind.width].view(kind.bits)
    if profile is Profile.FAST:
        writer = Writer((VERSION, DELTA_PLANES, kind.code, base.how))
        single.write_planes(writer, passes.difference(raw, elements, kind, None).view(np.uint8), kind.width)
        count: int | None = common
    else:
        writer = Writer((VERSION, DELTA, kind.code, base.how))
        size = len(raw) * kind.width

        def accept(estimate: int) -> bool:
            # Weights by themselves never come near half their size, so that the sample need not always be taken.
            return estimate * 8 < size * 5 or estimate * 4096 < size * _sampled(content, kind, passes)[1]

        count = write_delta(writer, raw, elements, kind, passes, accept)
    if count is None:
        return None
    _write_rest(writer, content[count * kind.width :], kind, passes)
    return writer.joined()


def _alone(content: Bytes, kind: Kind, passes: Passes) -> bytes:
    method, _share = _sampled(content, kind, passes)
    return _whole(content, kind, method, passes)


def _whole(content: Bytes, kind: Kind, method: int, passes: Passes) -> bytes:
    if method == PACKED:
        packed = streams.pack_plain(content)
        return _stored(content) if packed is None else bytes((VERSION, PACKED)) + packed
    if method == STORED:
        return _stored(content)
    writer = Writer((VERSION, method, kind.code))
    whole = len(content) // kind.width * kind.width
    if method == FLOATS:
        single.write_floats(writer, content[:whole].view(kind.bits), kind, passes)
    else:
        single.write_planes(writer, content[:whole], kind.width)
    _write_rest(writer, content[whole:], kind, passes)
    return writer.joined()


def _sampled(content: Bytes, kind: Kind, passes: Passes) -> tuple[int, int]:
    """The method without a base that does best on a sample, and 4096ths of the bytes that it leaves."""
    if not len(content):
        return STORED, 4096
    sample = content
    if len(content) > SHORT:
        starts = [len(content) * part // 4 // 8 * 8 for part in range(4)]
        sample = np.concatenate([content[start : start + SHORT // 4] for start in starts])
    methods = [PACKED]
    if len(content) >= kind.width > 1:
        methods.append(FLOATS if kind.exponent else PLANES)
    length, method = min((len(_whole(sample, kind, method, passes)), method) for method in methods)
    if length * 100 >= len(sample) * 98:
        return STORED, 4096
    return method, length * 4096 // len(sample)


def _write_rest(writer: Writer, rest: Bytes, kind: Kind, passes: Passes) -> None:
    if len(rest):
        writer.parts.append(_alone(rest, kind, passes))


def _with_rest(reader: Reader, made: Bytes, size: int) -> Buffer:
    """`made` and what the rest of the block holds, by itself: a block within the block."""
    if len(made) == size:
        reader.finish()
        return made.data
    inner = reader.take(len(reader.block) - reader.position)
    if len(inner) > 1 and inner[1] not in {STORED, PACKED, FLOATS, PLANES}:
        raise CodecError("a delta within a block")
    content = np.empty(size, np.uint8)
    content[: len(made)] = made
    content[len(made) :] = np.frombuffer(decode(inner, size - len(made)), np.uint8)
    return content.data


def _read_alone(reader: Reader, kind: Kind, method: int, size: int, passes: Passes) -> Bytes:
    count = size // kind.width
    if method == PLANES:
        return single.read_planes(reader, count * kind.width, kind.width)
    if not kind.exponent or kind.width == 1:
        raise CodecError("numbers without exponents by exponent")
    return single.read_floats(reader, count, kind, passes).view(np.uint8)
