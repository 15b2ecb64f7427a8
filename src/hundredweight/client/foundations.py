"""Which objects the packed versions of a model stand upon: the bases of their deltas, however far back in history.

A long series keeps a base of its beginning; by it alone, not by what is near, a new version is a short delta.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.base.ids import Oid
from hundredweight.store.catalog import PackMissing
from hundredweight.store.pack import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from hundredweight.store.packfolder import PackFolder
    from hundredweight.store.recipe import Recipe

SAMPLE = 8
"""Segments of an object whose chains are followed: blocks of one object mostly stand upon the same few."""
MOST_READ = 64
"""Recipes that are looked at, of objects in packs that hold a base: a pack of `cwt pack` has many objects."""


def foundations(packs: PackFolder, recipe: Recipe, older: Collection[Oid]) -> list[Recipe]:
    """The objects that a packed object's blocks stand upon, without itself: those of most blocks first, then the nearer in the
    chains. No data is read. In packs of many objects the `older` versions are looked at first."""
    segments = recipe.segments
    own = {segment.id for segment in segments}
    bases: set[bytes] = set()
    holders: dict[str, None] = {}
    links = {segment.id for segment in segments[:: -(-len(segments) // SAMPLE)]}
    for _ in range(MAX_DEPTH):
        links = {at.base for at in packs.segments(links).values() if at.base is not None}
        bases |= links
        holders |= dict.fromkeys(at.pack for at in packs.segments(links).values())
    bases -= own
    found = [(len(bases & {segment.id for segment in each.segments}), each) for each in _objects(packs, holders, older)]
    return [each for count, each in sorted(found, key=lambda item: -item[0]) if count and each.oid != recipe.oid]


def _objects(packs: PackFolder, holders: Iterable[str], older: Collection[Oid]) -> Iterator[Recipe]:
    """The objects of those packs, as far as they can be read and are not too many."""
    for oid in islice(_ids(packs, holders, older), MOST_READ):
        try:
            found = packs.recipe(oid)
        except (DamageError, PackMissing):
            # What is wrong with an old object must not keep new ones from moving.
            continue
        if found is not None:
            yield found


def _ids(packs: PackFolder, holders: Iterable[str], older: Collection[Oid]) -> Iterator[Oid]:
    for name in holders:
        try:
            listed = [Oid(oid) for oid, *_ in packs.index(name).objects()]
        except (DamageError, PackMissing):
            continue
        yield from sorted(listed, key=lambda oid: oid not in older)
