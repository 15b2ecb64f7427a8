"""Three kernels of `compiled`, for processors that move bytes and words across whole vectors (AVX-512 with VBMI and VBMI2: Ice
Lake, Zen 4 and what came after): what is done there for one element after another is done here for 16 to 64 at once, in a
quarter of the time or less.

Contexts are looked up in a table that stands in registers, and what follows each other is spread among the places of a vector
that it is meant for by one instruction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import cgutils

from hundredweight.codec import compiled
from hundredweight.codec.compiled import LANES, CompiledPartition, CompiledPasses
from hundredweight.codec.compiling import compile_passes
from hundredweight.codec.plan import UNCHANGED

if TYPE_CHECKING:
    from hundredweight.codec.numbers import Bits, Kind
    from hundredweight.codec.passes import Partition
    from hundredweight.codec.plan import Grouping
    from hundredweight.codec.streams import Bytes

_intrinsic: Any = extending.intrinsic
_alloca: Any = cgutils.alloca_once_value
BLOCK = 64
"""Bytes of a vector."""
_TABLE = 256


def _address(context: Any, builder: Any, kind: Any, array: Any, start: Any) -> Any:
    """Of an element of a contiguous array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [start])


def _load(builder: Any, address: Any, item: Any, count: int) -> Any:
    vector = ir.VectorType(item, count)
    return builder.load(builder.bitcast(address, vector.as_pointer()), align=item.width // 8)


def _store(builder: Any, vector: Any, address: Any) -> None:
    builder.store(vector, builder.bitcast(address, vector.type.as_pointer()), align=vector.type.element.width // 8)


def _splat(builder: Any, value: Any, count: int) -> Any:
    vector = ir.VectorType(value.type, count)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


def _equal(builder: Any, vector: Any, value: Any) -> tuple[Any, Any]:
    """Where the bytes of a vector are `value`, and at how many places."""
    count = vector.type.count
    mask = builder.icmp_unsigned("==", vector, _splat(builder, value, count))
    number = builder.ctpop(builder.bitcast(mask, ir.IntType(count)))
    return mask, number if count == 64 else builder.zext(number, ir.IntType(64))


def _expand(builder: Any, source: Any, mask: Any, others: Any) -> Any:
    """The elements from `source` on, as many as `mask` has places, in these; in the rest what `others` has. No more are read."""
    vector = others.type
    name = f"llvm.masked.expandload.v{vector.count}i{vector.element.width}"
    kind = ir.FunctionType(vector, [vector.element.as_pointer(), mask.type, vector])
    return builder.call(builder.module.declare_intrinsic(name, (), kind), [source, mask, others])


def _each(builder: Any, number: Any) -> Any:
    return cgutils.for_range(builder, number, intp=ir.IntType(64))


@_intrinsic  # type: ignore[untyped-decorator]
def _tally(typing: Any, base: Any, start: Any, shift: Any, mask: Any, known: Any, contexts: Any, counts: Any) -> Any:
    """The contexts of `BLOCK` elements from `start` on, by the 256 bytes of `known`; and one more in `counts` for each."""
    del typing, start, shift, mask
    signature = numba.void(base, numba.int64, numba.int64, numba.int64, known, contexts, counts)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        octet, wide = ir.IntType(8), ir.IntType(64)
        begin, shifted, masked = values[1], values[2], values[3]
        item = context.get_data_type(kinds[0].dtype)
        words = _load(builder, _address(context, builder, kinds[0], values[0], begin), item, BLOCK)
        words = builder.lshr(words, _splat(builder, builder.trunc(shifted, item), BLOCK))
        exponents = builder.trunc(words, ir.VectorType(octet, BLOCK))
        exponents = builder.and_(exponents, _splat(builder, builder.trunc(masked, octet), BLOCK))
        table = _address(context, builder, kinds[4], values[4], ir.Constant(wide, 0))
        quarters = [
            _load(builder, builder.gep(table, [ir.Constant(wide, at)]), octet, BLOCK) for at in range(0, _TABLE, BLOCK)
        ]
        found = _look_up(builder, quarters, exponents)
        _store(builder, found, _address(context, builder, kinds[5], values[5], begin))
        tallies = context.make_array(kinds[6])(context, builder, values[6])
        with _each(builder, builder.extract_value(tallies.shape, 0)) as loop:
            _, seen = _equal(builder, found, builder.trunc(loop.index, octet))
            place = builder.gep(tallies.data, [loop.index])
            builder.store(builder.add(builder.load(place), seen), place)
        return context.get_dummy_value()

    return signature, generate


def _look_up(builder: Any, quarters: Any, indices: Any) -> Any:
    vector = indices.type
    name = "llvm.x86.avx512.vpermi2var.qi.512"
    permute = builder.module.declare_intrinsic(name, (), ir.FunctionType(vector, [vector] * 3))
    lower = builder.call(permute, [quarters[0], indices, quarters[1]])
    upper = builder.call(permute, [quarters[2], indices, quarters[3]])
    high = builder.icmp_signed("<", indices, ir.Constant(vector, [0] * BLOCK))
    return builder.select(high, upper, lower)


@_intrinsic  # type: ignore[untyped-decorator]
def _spread(typing: Any, parts: Any, contexts: Any, start: Any, places: Any, out: Any) -> Any:
    """The elements of one vector from `start` on: each from where `places` has its context, which moves on."""
    del typing, start
    signature = numba.void(parts, contexts, numba.int64, places, out)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        item = context.get_data_type(kinds[0].dtype)
        count = 512 // item.width
        vector, octet = ir.VectorType(item, count), ir.IntType(8)
        source = context.make_array(kinds[0])(context, builder, values[0]).data
        where = _load(builder, _address(context, builder, kinds[1], values[1], values[2]), octet, count)
        points = context.make_array(kinds[3])(context, builder, values[3])
        made = _alloca(builder, ir.Constant(vector, [0] * count))
        with _each(builder, builder.extract_value(points.shape, 0)) as loop:
            mask, seen = _equal(builder, where, builder.trunc(loop.index, octet))
            place = builder.gep(points.data, [loop.index])
            at = builder.load(place)
            builder.store(_expand(builder, builder.gep(source, [at]), mask, builder.load(made)), made)
            builder.store(builder.add(at, seen), place)
        _store(builder, builder.load(made), _address(context, builder, kinds[4], values[4], values[2]))
        return context.get_dummy_value()

    return signature, generate


@_intrinsic  # type: ignore[untyped-decorator]
def _raise(typing: Any, symbols: Any, start: Any, most: Any, excess: Any, at: Any) -> Any:
    """The next of `excess` added to each of `BLOCK` symbols from `start` on that is `most`. Where the next one then stands."""
    del typing, start, most, at
    signature = numba.int64(symbols, numba.int64, numba.uint8, excess, numba.int64)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds, octet = signature.args, ir.IntType(8)
        place = _address(context, builder, kinds[0], values[0], values[1])
        found = _load(builder, place, octet, BLOCK)
        mask, seen = _equal(builder, found, values[2])
        source = _address(context, builder, kinds[3], values[3], values[4])
        more = _expand(builder, source, mask, ir.Constant(found.type, [0] * BLOCK))
        _store(builder, builder.add(found, more), place)
        return builder.add(values[4], seen)

    return signature, generate


def _place(base: Any, classes: Any, group: Any, table: Any, number: Any, shift: Any, mask: Any) -> Any:
    rows = np.flatnonzero(classes != UNCHANGED)
    contexts, lanes = np.empty(len(base), np.uint8), np.zeros((LANES + 1, number), np.int64)
    share = max(len(rows) - 1, 0) // LANES
    for lane in range(LANES + 1):
        counts = lanes[lane]
        for k in range(lane * share, (lane + 1) * share if lane < LANES else len(rows)):
            known = table[np.int64(classes[rows[k]]) * _TABLE :][:_TABLE]
            start = rows[k] * group
            end = min(start + group, len(base))
            while start + BLOCK <= end:
                _tally(base, start, shift, mask, known, contexts, counts)
                start += BLOCK
            source, target = base[start:end], contexts[start:end]
            for i in range(len(source)):
                context = known[np.uint64((source[i] >> shift) & mask)]
                target[i] = context
                counts[context] += 1
    # Of each context the elements of the first lane come first.
    total, places, at = np.zeros(number, np.int64), np.empty((LANES + 1, number), np.uint64), 0
    for context in range(number):
        for lane in range(LANES + 1):
            places[lane, context] = at
            at += lanes[lane, context]
            total[context] += lanes[lane, context]
    return rows, contexts, total, places


def _join(parts: Any, rows: Any, group: Any, contexts: Any, places: Any, out: Any) -> None:
    # The lanes follow each other: where one ends the next begins.
    one, at = np.uint64(1), places[0]
    width = BLOCK // out.itemsize
    for k in range(len(rows)):
        start = rows[k] * group
        end = min(start + group, len(out))
        while start + width <= end:
            _spread(parts, contexts, start, at, out)
            start += width
        target, where = out[start:end], contexts[start:end]
        for i in range(len(target)):
            target[i] = parts[at[where[i]]]
            at[where[i]] += one


def _exceed(symbols: Any, most: Any, excess: Any) -> None:
    start = at = 0
    # All of `excess` is taken, so that no read is behind it.
    while start + BLOCK <= len(symbols):
        at = _raise(symbols, start, most, excess, at)
        start += BLOCK
    rest = symbols[start:]
    for i in range(len(rest)):
        if rest[i] == most and at < len(excess):
            rest[i] += excess[at]
            at += 1


place = compile_passes(_place, *compiled.PLACE, result=compiled.PLACED)
join = compile_passes(_join, *compiled.JOIN)
exceed = compile_passes(_exceed, compiled.EXCEED)
MOST = {2: 24, 4: 12}
"""By the size of elements: among more contexts `join` takes longer than that of `compiled`."""


class WidePartition(CompiledPartition):
    """By vectors."""

    place = staticmethod(place)

    def kernel(self, parts: Bits) -> Any:
        return join if len(self.counts) <= MOST[parts.itemsize] else super().kernel(parts)


class WidePasses(CompiledPasses):
    """As `CompiledPasses`."""

    def partition(self, base: Bits, kind: Kind, grouping: Grouping) -> Partition:
        return WidePartition(base, kind, grouping) if kind.width in MOST else super().partition(base, kind, grouping)

    def exceed(self, symbols: Bytes, most: int, excess: Bytes) -> None:
        exceed(symbols, most, excess)
