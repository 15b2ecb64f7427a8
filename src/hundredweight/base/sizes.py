"""Sizes as people write and read them: `10 MB`, `1.5 GiB`, in git-lfs's own rounding."""

from __future__ import annotations

import math

from hundredweight.base.errors import UsageError

_UNITS = {"": 1, "b": 1}
_UNITS |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", 1)}
_UNITS |= {f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)}
_NAMES = ("B", "KB", "MB", "GB", "TB", "PB")
_MAX = 1 << 64


class BadSize(UsageError):
    """A text that should be a size, or a unit of size, is none."""


def parse_unit(text: str) -> int:
    """Bytes in a unit: b, kb (1000), kib (1024) and so on up to pib, in any case. Raises `BadSize`."""
    try:
        return _UNITS[text.strip().lower()]
    except KeyError:
        raise BadSize(f'unknown unit: "{text.strip().lower()}"') from None


def parse_size(text: str) -> int:
    """A number, then a unit; commas inside the number are passed over; nothing at all is 0. Raises `BadSize`."""
    end = 0
    while end < len(text) and (text[end].isdigit() or text[end] in ".,"):
        end += 1
    digits = text[:end].replace(",", "")
    try:
        size = float(digits or "0") * parse_unit(text[end:])
    except ValueError:
        raise BadSize(f"invalid number '{digits}'") from None
    if size >= _MAX:
        raise BadSize("number of bytes too large")
    return int(size)


def format_size(size: int) -> str:
    """`size` bytes in the largest unit that keeps it at 1 or more: `0 B`, `1.2 KB`, `34 MB`."""
    power = min(math.floor(math.log(size) / math.log(1000)), len(_NAMES) - 1) if size > 0 else 0
    return f"{format_in_unit(size, 1000**power)} {_NAMES[power]}"


def format_in_unit(size: int, unit: int) -> str:
    """`size` bytes as a quantity of `unit` bytes: one decimal below ten, none above, whole numbers of bytes."""
    rounded = float(size) if size < 10 else math.floor(size / unit * 10 + 0.5) / 10
    return f"{rounded:.1f}" if rounded < 10 and unit > 1 else f"{rounded:.0f}"
