"""How far two tensors are apart, block by block: raw bytes of every type as numbers, and the sums that statistics are made of.

A block is computed in the narrowest precision, single or double, that holds its numbers exactly, and once more in a wider one
where products overflow or vanish there or something is not finite: extreme F64 in what the machine calls long double.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hundredweight.codec import kernel
from hundredweight.formats.tensors import BITS, BLOCKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ELEMENTS, BLOCKS_OF_ELEMENTS, BYTES = "elements", "blocks", "bytes"
_RANGE = {np.dtype(np.float32): (1e-24, 1e34), np.dtype(np.float64): (1e-290, 1e290)}
"""Sums of squares within these are right: outside, squares of single elements may have vanished or overflowed."""
_EXACT_INTEGER = 1 << 53


class Scheme(NamedTuple):
    """How a type's bytes are counted: `size` bytes are one `unit`; `numbers` of a unit (complex: 2), 0 where it is opaque;
    `kind` is the type of each number."""

    unit: str
    size: int
    numbers: int
    kind: str


@dataclass(slots=True)
class Sums:
    """What is added up over the elements of a tensor; d is new minus old. Elements that are not finite on either side are only
    counted. Norms of units that are equal may be missing (see `tensor_scan`)."""

    units: int = 0
    changed: int = 0
    dd: Any = 0.0
    da: Any = 0.0
    aa: Any = 0.0
    ab: Any = 0.0
    bb: Any = 0.0
    largest: float = 0.0
    old_nan: int = 0
    old_inf: int = 0
    new_nan: int = 0
    new_inf: int = 0

    def add(self, other: Sums) -> None:
        self.units += other.units
        self.changed += other.changed
        self.dd += other.dd
        self.da += other.da
        self.aa += other.aa
        self.ab += other.ab
        self.bb += other.bb
        self.largest = max(self.largest, other.largest)
        self.old_nan += other.old_nan
        self.old_inf += other.old_inf
        self.new_nan += other.new_nan
        self.new_inf += other.new_inf


def scheme_of(dtype: str) -> Scheme:
    if dtype in BLOCKS:
        return Scheme(BLOCKS_OF_ELEMENTS, BLOCKS[dtype][1], 0, "")
    bits = BITS[dtype]
    if bits < 8:
        return Scheme(BYTES, 1, 0, "")
    if dtype in _COMPLEX:
        return Scheme(ELEMENTS, bits // 8, 2, _COMPLEX[dtype])
    return Scheme(ELEMENTS, bits // 8, 1, dtype)


_COMPLEX = {"C32": "F16", "C64": "F32", "C128": "F64"}
_INTEGERS = {
    "BOOL": "<u1", "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8",
}  # fmt: skip
_EXACT_IN_SINGLE = frozenset(("BOOL", "U8", "I8", "U16", "I16"))


class _Short(NamedTuple):
    """A float of 8 or 16 bits that becomes a single by moving its bits and multiplying: `shift` to the left, `mask`, `scale`.
    From `limit` on (the sign aside) it is infinite or no number; FNUZ types have one NaN, the negative zero."""

    raw: str
    shift: int
    mask: int
    scale: float
    limit: int
    fnuz: bool = False


_SHORT = {
    "F16": _Short("<i2", 13, 0x8FFFE000, 2.0**112, 0x7C00),
    "F8_E4M3": _Short("<i1", 20, 0x87F00000, 2.0**120, 0x7F),
    "F8_E5M2": _Short("<i1", 21, 0x8FE00000, 2.0**112, 0x7C),
    "F8_E4M3FNUZ": _Short("<i1", 20, 0x87F00000, 2.0**119, 0x80, True),
    "F8_E5M2FNUZ": _Short("<i1", 21, 0x8FE00000, 2.0**111, 0x80, True),
}


class Scratch:
    """Buffers of one thread, for blocks of up to `count` numbers."""

    def __init__(self, count: int) -> None:
        self.old = np.empty(count, np.float32)
        self.new = np.empty(count, np.float32)
        self.difference = np.empty(count, np.float32)
        self.flags = np.empty(count, np.bool_)


def changed_units(old: Array, new: Array, scheme: Scheme, scratch: Scratch) -> int:
    """How many units of two equally long blocks of bytes differ, by their bits."""
    size = scheme.size
    if size in (1, 2, 4, 8):
        a, b = old.view(f"<u{size}"), new.view(f"<u{size}")
        flags = scratch.flags[: len(a)] if len(a) <= len(scratch.flags) else np.empty(len(a), np.bool_)
        return int(np.count_nonzero(np.not_equal(a, b, out=flags)))
    return int(np.count_nonzero(old.view(f"V{size}") != new.view(f"V{size}")))


def compare(old: Array, new: Array, schemes: tuple[Scheme, Scheme], scratch: Scratch) -> Sums:
    """The sums of two blocks (bytes) of as many units each. Of one type `changed` counts units whose bits differ, of two
    types those whose values do."""
    first, second = schemes
    sums = Sums(units=len(old) // first.size)
    same_type = first == second
    if same_type and has_kernel(first):
        if _add_compiled(old, new, first, sums):
            return sums
        if sums.units > len(scratch.old):
            return _compare_pieces(old, new, schemes, scratch)
    if same_type:
        sums.changed = changed_units(old, new, first, scratch)
    if first.numbers == 0 or second.numbers == 0 or first.numbers != second.numbers:
        return sums
    with np.errstate(all="ignore"):
        a, b = _narrow(old, first.kind, scratch.old), _narrow(new, second.kind, scratch.new)
        if a is not None and b is not None and _add_fast(a, b, sums, scratch, None if same_type else first.numbers):
            return sums
        if same_type and first.kind in ("U64", "I64"):
            _wide_integers(old, new, first.kind, sums)
        else:
            a, b = exactly(old, first.kind), exactly(new, second.kind)
            _add_exact(a, b, sums, None if same_type else first.numbers)
    return sums


def _compare_pieces(old: Array, new: Array, schemes: tuple[Scheme, Scheme], scratch: Scratch) -> Sums:
    """A block that is longer than `scratch`, of one type."""
    total, step = Sums(), len(scratch.old) // 2 * schemes[0].size
    for at in range(0, len(old), step):
        total.add(compare(old[at : at + step], new[at : at + step], schemes, scratch))
    return total


def has_kernel(scheme: Scheme) -> bool:
    """Whether blocks of this type are compared in one pass, and may then be longer than `Scratch`."""
    return scheme.kind in _WITH_KERNEL and kernel.loaded()


_WITH_KERNEL = ("F32", "BF16")


def _add_compiled(old: Array, new: Array, scheme: Scheme, sums: Sums) -> bool:
    """As `_add_fast`, with what changed."""
    from hundredweight.client.compiled_numbers import sums_of  # noqa: PLC0415 - numba, where it is loaded already

    found = sums_of(old, new, scheme.size)
    if found is None:
        return False
    dd, da, aa, largest, changed, some = found
    small, large = _RANGE[np.dtype(np.float32)]
    bb = aa + 2 * da + dd
    fits = all(small < square < large or (square == 0 and not any_) for square, any_ in ((dd, largest), (aa, some)))
    if not fits or bb < _CANCELLED * aa:
        return False
    sums.changed, sums.dd, sums.da, sums.aa, sums.largest = changed, dd, da, aa, largest
    sums.ab, sums.bb = aa + da, bb
    return True


def squares(old: Array, scheme: Scheme, scratch: Scratch) -> Any:
    """The sum of squares of a block's finite numbers, for units that are equal on both sides; and how many are NaN, infinite."""
    if has_kernel(scheme):
        # Of BLAS the threads go on for a while, waiting for more.
        sums = Sums()
        if _add_compiled(old, old, scheme, sums):
            return sums.aa, 0, 0
    with np.errstate(all="ignore"):
        a = _narrow(old, scheme.kind, scratch.old)
        if a is not None:
            total = float(np.dot(a, a))
            if _fits(total, a):
                return total, 0, 0
        exact = exactly(old, scheme.kind)
        finite = np.isfinite(exact)
        nan = int(np.count_nonzero(np.isnan(exact)))
        kept = exact[finite]
        return _dot(kept, kept), nan, len(exact) - len(kept) - nan


def _narrow(raw: Array, kind: str, out: Array) -> Array | None:
    """A block as singles or doubles, exactly; None where that is not possible, or where a short float is not finite."""
    if kind in ("F32", "F64"):
        return raw.view("<f4" if kind == "F32" else "<f8")
    if kind == "BF16":
        words = raw.view("<u2")
        made = out[: len(words)]
        np.left_shift(words, 16, out=made.view(np.uint32), dtype=np.uint32)
        return made
    if kind in _EXACT_IN_SINGLE:
        numbers = raw.view(_INTEGERS[kind])
        made = out[: len(numbers)]
        np.copyto(made, numbers)
        return made
    if kind in _INTEGERS:
        numbers = raw.view(_INTEGERS[kind])
        if numbers.itemsize == 8 and len(numbers) and max(int(numbers.max()), -int(numbers.min())) > _EXACT_INTEGER:
            return None
        wide: Array = numbers.astype(np.float64)
        return wide
    short = _SHORT.get(kind)
    if short is None:
        return None
    words = raw.view(short.raw)
    if _has_special(words, short):
        return None
    made = out[: len(words)]
    bits = made.view(np.int32)
    # The sign fills the bits above it; the mask leaves one.
    np.left_shift(words, short.shift, out=bits, dtype=np.int32)
    np.bitwise_and(bits, np.uint32(short.mask).view(np.int32), out=bits)
    np.multiply(made, np.float32(short.scale), out=made)
    return made


def _has_special(words: Array, short: _Short) -> bool:
    if not len(words):
        return False
    if short.fnuz:
        return bool(words.min() == -128)
    magnitude = np.bitwise_and(words, words.dtype.type((1 << (8 * words.itemsize - 1)) - 1))
    return bool(magnitude.max() >= short.limit)


def exactly(raw: Array, kind: str) -> Array:
    """A block as doubles (F64 as long doubles), with NaN and infinities."""
    made: Array
    with np.errstate(invalid="ignore"):  # signalling NaNs
        if kind == "F64":
            made = raw.view("<f8").astype(np.longdouble)
        elif kind in ("F32", "F16"):
            made = raw.view("<f4" if kind == "F32" else "<f2").astype(np.float64)
        elif kind == "BF16":
            made = np.left_shift(raw.view("<u2"), 16, dtype=np.uint32).view(np.float32).astype(np.float64)
        elif kind in _INTEGERS:
            made = raw.view(_INTEGERS[kind]).astype(np.float64)
        else:
            made = _table(kind)[raw.view("<u1")]
    return made


def _table(kind: str) -> Array:
    """The values of all 256 codes of an 8-bit float."""
    codes = np.arange(256)
    if kind == "F8_E8M0":
        scales: Array = np.where(codes == 255, np.nan, 2.0 ** (codes - 127.0))
        return scales
    short = _SHORT[kind]
    words = codes.astype(np.uint8).view(np.int8).astype(np.int32)
    values = ((words << short.shift) & np.uint32(short.mask).view(np.int32)).astype(np.int32).view(np.float32)
    made = values.astype(np.float64) * short.scale
    if short.fnuz:
        made[128] = np.nan
        return made
    made[(codes & 0x7F) >= short.limit] = np.nan
    if kind == "F8_E5M2":
        made[0x7C], made[0xFC] = np.inf, -np.inf
    return made


def _add_fast(a: Array, b: Array, sums: Sums, scratch: Scratch, numbers: int | None) -> bool:
    """Add a block; False, and nothing added, where its precision does not do."""
    if not len(a):
        return True
    single = a.dtype == b.dtype == np.float32
    d = np.subtract(b, a, out=scratch.difference[: len(a)] if single else None)
    if a.dtype != d.dtype:
        a = a.astype(d.dtype)
    largest = max(float(d.max()), -float(d.min()))
    dd, da, aa = float(np.dot(d, d)), float(np.dot(d, a)), float(np.dot(a, a))
    # A NaN among them fits nothing.
    if not (_fits(dd, d) and _fits(aa, a)):
        return False
    if numbers is not None:
        sums.changed = int(np.count_nonzero((d != 0).reshape(-1, numbers).any(axis=1)))
    sums.dd, sums.da, sums.aa, sums.largest = dd, da, aa, largest
    sums.ab, sums.bb = aa + da, aa + 2 * da + dd
    if sums.bb < _CANCELLED * aa:
        sums.ab, sums.bb = float(np.dot(a, b)), float(np.dot(b, b))
        return _fits(sums.bb, b) or _undo(sums)
    return True


_CANCELLED = 1e-2
"""Where the new norm is that much smaller, little is left of it in a sum of larger terms."""


def _undo(sums: Sums) -> bool:
    sums.dd = sums.da = sums.aa = sums.ab = sums.bb = sums.largest = 0.0
    return False


def _fits(square: float, values: Array) -> bool:
    """Whether a sum of squares of these values was computed without harm."""
    small, large = _RANGE[values.dtype]
    return small < square < large or (square == 0 and not values.any())


def _add_exact(a: Array, b: Array, sums: Sums, numbers: int | None) -> None:
    if numbers is not None:
        differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
        sums.changed = int(np.count_nonzero(differs.reshape(-1, numbers).any(axis=1)))
    sums.old_nan, sums.new_nan = int(np.count_nonzero(np.isnan(a))), int(np.count_nonzero(np.isnan(b)))
    sums.old_inf, sums.new_inf = int(np.count_nonzero(np.isinf(a))), int(np.count_nonzero(np.isinf(b)))
    finite = np.isfinite(a) & np.isfinite(b)
    if not finite.all():
        a, b = a[finite], b[finite]
    if len(a):
        d = b - a
        sums.dd, sums.da, sums.aa, sums.largest = _dot(d, d), _dot(d, a), _dot(a, a), float(np.abs(d).max())
        sums.ab, sums.bb = _dot(a, b), _dot(b, b)


def _dot(a: Array, b: Array) -> Any:
    total = np.dot(a, b)
    # A long double is kept only where a double would not hold it.
    narrow = float(total)
    return narrow if _is_ordinary(narrow) or total == 0 else total


def _is_ordinary(value: float) -> bool:
    return 1e-290 < abs(value) < 1e290


def _wide_integers(old: Array, new: Array, kind: str, sums: Sums) -> None:
    """64-bit integers: their difference is exact (it fits 64 bits without sign), then everything is in double."""
    a, b = old.view(_INTEGERS[kind]), new.view(_INTEGERS[kind])
    if not len(a):
        return
    up = b >= a
    distance = np.where(up, b.view("<u8") - a.view("<u8"), a.view("<u8") - b.view("<u8")).astype(np.float64)
    d = np.where(up, distance, -distance)
    wide, other = a.astype(np.float64), b.astype(np.float64)
    sums.dd, sums.da, sums.aa = float(np.dot(d, d)), float(np.dot(d, wide)), float(np.dot(wide, wide))
    sums.ab, sums.bb = float(np.dot(wide, other)), float(np.dot(other, other))
    sums.largest = float(distance.max())
