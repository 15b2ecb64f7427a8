"""The methods of blocks, and a base in the type of what is made from it: what encoder and decoder share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hundredweight.codec import numbers
from hundredweight.codec.errors import CodecError

if TYPE_CHECKING:
    from hundredweight.codec.numbers import Bits, Kind

    Buffer = bytes | bytearray | memoryview

VERSION = 1
STORED, PACKED, PLANES, FLOATS, DELTA, DELTA_PLANES = range(6)
HEAD = 2
"""Bytes that a stored block is longer than its content; no block is longer than that."""


class Base:
    """A base as elements of the kind of what is made from it. Raises `CodecError` for a conversion that does not exist."""

    def __init__(self, base: Buffer, kind: Kind, how: int) -> None:
        width = numbers.SOURCE_WIDTH.get(how, kind.width)
        if how and (how > numbers.FROM_F16 or numbers.TARGET_WIDTH[how] != kind.width):
            raise CodecError("a delta of an impossible conversion")
        self.how = how
        self.source = np.frombuffer(base, f"<u{width}", len(base) // width)

    def common(self, count: int) -> int:
        """How many of the first `count` elements there are."""
        return min(count, len(self.source))

    def elements(self, which: slice | Bits) -> Bits:
        """Some of the elements."""
        chosen = self.source[which]
        return numbers.cast(chosen, self.how) if self.how else chosen
