"""Whether an object is worth packing, from a few of its segments: before all of a large file is encoded to find out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.codec import block

if TYPE_CHECKING:
    from collections.abc import Container

    from hundredweight.formats.source import Source
    from hundredweight.store.recipe import Recipe

LEAST_GAIN = 0.03
"""Share of an object that packing must save."""
SAMPLES = 8


def gains(source: Source, recipe: Recipe, have: Container[bytes] = ()) -> bool:
    """Whether an object without predecessor becomes smaller: by the segments in `have`, else by what compressing a sample says.

    Raises what `source` raises.
    """
    shared = sum(segment.size for segment in recipe.segments if segment.id in have)
    if shared > LEAST_GAIN * recipe.size:
        return True
    raw = made = 0
    offsets = recipe.offsets()
    count = len(recipe.segments)
    for number in sorted({place * count // SAMPLES for place in range(SAMPLES)}):
        segment = recipe.segments[number]
        raw += segment.size
        made += block.estimate(source.read(offsets[number], segment.size), segment.dtype)
    return made < (1 - LEAST_GAIN) * raw
