"""A segment as differences from a base, by contexts. See docs/formats/block.md, method 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hundredweight.codec import plan
from hundredweight.codec.errors import CodecError
from hundredweight.codec.plan import UNCHANGED, Grouping
from hundredweight.codec.values import read_values, write_cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.passes import Passes
    from hundredweight.codec.streams import Bytes, Reader, Writer

DRIFT, GROUPED, SCALED = 1, 2, 4
MAX_CLASSES = 254
MAX_CONTEXTS = 64
MAX_GROUP_BITS = 16


def write_delta(
    writer: Writer,
    raw: Bits,
    base: Bits,
    kind: Kind,
    passes: Passes,
    accept: Callable[[int], bool],
) -> int | None:
    """`raw` against `base`, of equal length. How many elements were written: all, or all whole groups.

    None, and nothing is written, where `accept` refuses the estimate, in bytes.
    """
    scale = plan.trailing_zeros(raw, base)
    found = passes.differences(_scaled(raw, scale), _scaled(base, scale), base, kind, decays=not scale)
    if not accept(found.plan.bits // 8):
        return None
    grouping, drift = found.plan.grouping, found.drift
    count = len(raw) // grouping.group * grouping.group if grouping.group else len(raw)
    writer.octets((DRIFT if drift is not None else 0) | (GROUPED if grouping.group else 0) | (SCALED if scale else 0))
    if scale:
        writer.octets(scale)
    if drift is not None:
        changes = np.diff(drift, prepend=np.int32(0)).astype("<i4")
        writer.plane(changes.view(np.uint8))
    _write_grouping(writer, grouping)
    write_cut(writer, passes.cut_by_context(found.values[:count], base[:count], kind, found.plan))
    return count


def read_delta(reader: Reader, base: Bits, kind: Kind, passes: Passes) -> Bits:
    """The elements that were written against `base`."""
    flags = reader.byte()
    if flags & ~(DRIFT | GROUPED | SCALED):
        raise CodecError(f"a delta with unknown flags {flags}")
    scale = reader.byte() if flags & SCALED else 0
    if scale >= 8 * kind.width:
        raise CodecError(f"a delta of elements that end in {scale} zeros")
    drift = None
    if flags & DRIFT:
        if kind.mantissa < 8 or kind.width != 4:
            raise CodecError("a delta expects weight decay of a type that has none")
        drift = np.cumsum(reader.run(1024).view("<i4"), dtype=np.int32)
    grouping = _read_grouping(reader, len(base), bool(flags & GROUPED))
    if grouping.group:
        base = base[: len(base) // grouping.group * grouping.group]
    partition = passes.partition(base, kind, grouping)
    parts = read_values(reader, partition.counts, kind.bits, passes)
    made = passes.restore(partition.join(parts), _scaled(base, scale), kind, drift)
    if scale:
        sign = kind.bits.type(1 << (8 * kind.width - 1))
        made = (made & sign) | ((made << kind.bits.type(scale)) & ~sign)
    return made


def _scaled(elements: Bits, scale: int) -> Bits:
    """Without that many zeros at their ends; the sign stays where it is."""
    if not scale:
        return elements
    sign = elements.dtype.type(1 << (8 * elements.dtype.itemsize - 1))
    scaled: Bits = (elements & sign) | ((elements & ~sign) >> elements.dtype.type(scale))
    return scaled


def _write_grouping(writer: Writer, grouping: Grouping) -> None:
    classes = len(grouping.table) // 256
    if grouping.group:
        writer.octets(grouping.group.bit_length() - 1, classes)
        named = (grouping.classes + np.uint16(1)).astype(np.uint8)
        writer.symbols(named)
    compact, first, last = _compact(grouping.table.reshape(classes, 256))
    writer.octets(grouping.contexts, first, last)
    writer.symbols(compact)


def _compact(table: Bytes) -> tuple[Bytes, int, int]:
    """The columns between those that merely repeat the first and those that repeat the last."""
    changes = np.flatnonzero((table[:, 1:] != table[:, :-1]).any(axis=0))
    first, last = (int(changes[0]), int(changes[-1]) + 1) if len(changes) else (0, 0)
    return np.ascontiguousarray(table[:, first : last + 1]).reshape(-1), first, last


def _read_grouping(reader: Reader, length: int, grouped: bool) -> Grouping:
    group, classes, named = 0, 1, np.zeros(0, np.uint16)
    if grouped:
        bits = reader.byte()
        if not 0 < bits <= MAX_GROUP_BITS:
            raise CodecError(f"a delta with groups of 2**{bits} elements")
        group, classes = 1 << bits, reader.byte()
        if classes > MAX_CLASSES:
            raise CodecError(f"a delta with {classes} classes")
        read = reader.run(length // group)
        if len(read) and int(read.max()) > classes:
            raise CodecError("a delta with a class that it does not have")
        named = read.astype(np.uint16) - np.uint16(1)
    contexts, first, last = reader.byte(), reader.byte(), reader.byte()
    if contexts > MAX_CONTEXTS or last < first:
        raise CodecError(f"a delta with {contexts} contexts of exponents {first} to {last}")
    compact = reader.run(classes * (last - first + 1)).reshape(classes, last - first + 1)
    if compact.size and int(compact.max()) >= contexts:
        raise CodecError("a delta with a context that it does not have")
    table = compact[:, np.clip(np.arange(256), first, last) - first].reshape(-1)
    return Grouping(group, named, table, contexts)


assert UNCHANGED == 0xFFFF  # 0 - 1 in 16 bits: how a block writes it
