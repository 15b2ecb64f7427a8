"""From bytes to a block: which method, and what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from hundredweight.codec import single, streams
from hundredweight.codec.delta import write_delta
from hundredweight.codec.methods import DELTA, DELTA_PLANES, FLOATS, HEAD, PACKED, PLANES, STORED, VERSION
from hundredweight.codec.statistics import GROUP, SAMPLE
from hundredweight.codec.streams import Writer

if TYPE_CHECKING:
    from hundredweight.codec.methods import Base
    from hundredweight.codec.numbers import Kind
    from hundredweight.codec.passes import Passes
    from hundredweight.codec.streams import Bytes

SHORT = 1 << 16
"""Up to this many bytes both ways are tried, with and without the base; of longer segments a sample decides."""


class Profile(Enum):
    """What an encoder spends time on; every decoder reads all of them.

    `FAST` is up to twice as quick as `DEFAULT`, its blocks are a third to a half longer. `SMALL` spends ten times as long on
    plain bytes and integers, to save some percent of them; weights come out the same.
    """

    FAST = "fast"
    DEFAULT = "default"
    SMALL = "small"


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes segments of one kind in one way."""

    kind: Kind
    profile: Profile
    passes: Passes

    def best(self, content: Bytes, base: Base | None) -> bytes:
        """A block of `content`, at most `HEAD` bytes longer than it."""
        delta = None if base is None else self._against(content, base)
        if delta is None or len(content) <= SHORT:
            alone = self.alone(content)
            shortest = alone if delta is None or len(alone) < len(delta) else delta
        else:
            shortest = delta
        return shortest if len(shortest) < len(content) + HEAD else stored(content)

    def alone(self, content: Bytes) -> bytes:
        """Without a base."""
        return self._by(self.sampled(content)[0], content)

    def sampled(self, content: Bytes) -> tuple[int, int]:
        """The method without a base that does best on a sample, and 4096ths of the bytes that it leaves."""
        if not len(content):
            return STORED, 4096
        sample = content
        if len(content) > SHORT:
            starts = [len(content) * part // 4 // 8 * 8 for part in range(4)]
            sample = np.concatenate([content[start : start + SHORT // 4] for start in starts])
        methods = [PACKED]
        if len(content) >= self.kind.width > 1:
            methods.append(FLOATS if self.kind.exponent else PLANES)
        length, method = min((len(self._by(method, sample)), method) for method in methods)
        if length * 100 >= len(sample) * 98:
            return STORED, 4096
        return method, length * 4096 // len(sample)

    def estimate(self, content: Bytes, base: Base | None) -> int:
        """About how long the block will be."""
        width = self.kind.width
        alone = len(content) * self.sampled(content)[1] // 4096
        common = base.common(len(content) // width) if base else 0
        if base is None or common < GROUP:
            return alone
        # Runs of some groups at equal distances: neighbours tell classes.
        run = 16 * GROUP
        starts = range(0, common, run * max(1, common // (4 * SAMPLE)))
        picked = np.concatenate([np.arange(start, min(start + run, common)) for start in starts])
        raw, frame = content[: common * width].view(self.kind.bits)[picked], base.elements(picked)
        made = self.passes.differences(raw, frame, frame, self.kind, decays=True).plan
        delta = made.bits // 8 * common // len(picked)
        return min(alone, delta + (len(content) - common * width) * alone // len(content))

    def _against(self, content: Bytes, base: Base) -> bytes | None:
        """A delta; None where that promises no gain."""
        frame = base.elements(slice(len(content) // self.kind.width))
        size = len(frame) * self.kind.width
        if not size:
            return None
        raw = content[:size].view(self.kind.bits)
        if self.profile is Profile.FAST:
            writer = Writer((VERSION, DELTA_PLANES, self.kind.code, base.how))
            values = self.passes.difference(raw, frame, self.kind, None)
            single.write_planes(writer, values.view(np.uint8), self.kind.width)
            return self._with_rest(writer, content, len(frame))

        def accept(estimate: int) -> bool:
            # Weights by themselves never come near half their size, so that the sample need not always be taken.
            return estimate * 8 < size * 5 or estimate * 4096 < size * self.sampled(content)[1]

        writer = Writer((VERSION, DELTA, self.kind.code, base.how))
        count = write_delta(writer, raw, frame, self.kind, self.passes, accept)
        return None if count is None else self._with_rest(writer, content, count)

    def _by(self, method: int, content: Bytes) -> bytes:
        if method == PACKED:
            packed = streams.pack_plain(content, thoroughly=self.profile is Profile.SMALL)
            return stored(content) if packed is None else b"".join((bytes((VERSION, PACKED)), packed))
        if method == STORED:
            return stored(content)
        writer = Writer((VERSION, method, self.kind.code))
        count = len(content) // self.kind.width
        whole = content[: count * self.kind.width]
        if method == FLOATS:
            single.write_floats(writer, whole.view(self.kind.bits), self.kind, self.passes)
        else:
            single.write_planes(writer, whole, self.kind.width)
        return self._with_rest(writer, content, count)

    def _with_rest(self, writer: Writer, content: Bytes, count: int) -> bytes:
        """What was written, and a block within the block of what is behind the first `count` elements."""
        rest = content[count * self.kind.width :]
        if len(rest):
            writer.parts.append(self.alone(rest))
        return writer.joined()


def stored(content: Bytes) -> bytes:
    return bytes((VERSION, STORED)) + content.tobytes()
