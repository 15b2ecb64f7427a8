"""Messages of the transfer adapter `cwt-parts`: one large object uploaded in parts, over several connections, resumable.

Spec: docs/formats/parts.md. Everything hangs on the URL of the action `parts` of a batch answer; `part_url` and `commit_url`
derive the rest. `parse` raises `BadMessage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.protocol.message import BadMessage, Fields, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

TRANSFER = "cwt-parts"
PARTS = "parts"
"""The action that opens an upload in parts. Beside it stands `upload`, as in `basic`: for the whole object by one PUT."""
MIN_PART, MAX_PART = 1 << 10, 1 << 30
MAX_PARTS = 100_000


@dataclass(frozen=True, slots=True)
class PartsState:
    """What the server holds of one upload: `held` are the numbers of whole parts, as (first, after last), ascending.

    Part N is the bytes from N * `part_size` on, as many as that or up to the object's end.
    """

    size: int
    part_size: int
    held: tuple[tuple[int, int], ...] = ()

    @property
    def count(self) -> int:
        return -(-self.size // self.part_size)

    @property
    def held_bytes(self) -> int:
        return sum(min(end * self.part_size, self.size) - first * self.part_size for first, end in self.held)

    def span(self, number: int) -> tuple[int, int]:
        """The first byte of a part, and the one after its last. Raises `IndexError` for a part that is none."""
        if not 0 <= number < self.count:
            raise IndexError(number)
        return number * self.part_size, min((number + 1) * self.part_size, self.size)

    def missing(self) -> list[int]:
        """The numbers of the parts that are not held."""
        held = {number for first, end in self.held for number in range(first, end)}
        return [number for number in range(self.count) if number not in held]

    def encode(self) -> bytes:
        return encode({"size": self.size, "part_size": self.part_size, "held": [list(pair) for pair in self.held]})

    @classmethod
    def parse(cls, data: bytes) -> PartsState:
        fields = Fields.parse(data, "parts")
        size = fields.integer("size", None, low=1)
        part_size = fields.integer("part_size", None, low=MIN_PART, high=MAX_PART)
        if size > part_size * MAX_PARTS:
            raise BadMessage("parts.part_size", f"{part_size} is too small for {size} bytes")
        state = cls(size, part_size, tuple(_read_ranges(fields.raw("held"))))
        if any(end > state.count for _, end in state.held):
            raise BadMessage("parts.held", "beyond the last part")
        return state


def choose_part_size(size: int, smallest: int) -> int:
    """`smallest`, or as often doubled as keeps the number of parts within bounds."""
    part_size = smallest
    while size > part_size * MAX_PARTS and part_size < MAX_PART:
        part_size *= 2
    return part_size


def part_url(href: str, number: int) -> str:
    """Where part `number` goes by PUT."""
    path, mark, query = href.partition("?")
    return f"{path}/{number}{mark}{query}"


def commit_url(href: str) -> str:
    """Where POST ends the upload."""
    path, mark, query = href.partition("?")
    return f"{path}/commit{mark}{query}"


def ranges(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as (first, after last)."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1] = found[-1][0], number + 1
        else:
            found.append((number, number + 1))
    return tuple(found)


def _read_ranges(value: object) -> Iterable[tuple[int, int]]:
    if not isinstance(value, list) or len(value) > MAX_PARTS:
        raise BadMessage("parts.held", "expected an array of ranges")
    after = 0
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(number) is int for number in pair):
            raise BadMessage("parts.held", "expected pairs of whole numbers")
        first, end = pair
        if not after <= first < end <= MAX_PARTS:
            raise BadMessage("parts.held", "ranges must ascend")
        yield first, end
        after = end
