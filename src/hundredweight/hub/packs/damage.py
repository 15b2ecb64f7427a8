"""What is damaged in packs, made to count as missing: rows go, the bytes of the pack stay where they are.

A pack holds many objects, so it cannot be moved aside as a loose object is. Without its rows an object can be sent
again; without those of
the segments that give other bytes, no later upload or delta relies on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.store.catalog import PackMissing
from hundredweight.store.reader import ObjectReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hundredweight.base.ids import Oid
    from hundredweight.hub.packs.service import Packs


def set_aside(packs: Packs, oid: Oid) -> str:
    """Forget where the object is, and every segment of it or of its pack that cannot be decoded; the name of its pack,
    empty when it is in
    none. Raises `BackendError`, `DatabaseError`."""
    place = packs.tables.place(oid)
    if place is None:
        return ""
    packs.tables.forget(oid, _undecodable(packs, {*packs.tables.segments_of(place.pack), *_segments(packs, oid)}))
    return place.pack


def _segments(packs: Packs, oid: Oid) -> Iterator[bytes]:
    try:
        recipe = packs.recipe(oid)
    except (DamageError, PackMissing):
        return
    yield from (segment.id for segment in recipe.segments) if recipe is not None else ()


def _undecodable(packs: Packs, ids: Iterable[bytes]) -> Iterator[bytes]:
    """A reader of its own: what another keeps in memory says nothing of the disk."""
    with ObjectReader(packs, packs, workers=1) as reader:
        for identity in ids:
            try:
                reader.segment(identity)
            except (DamageError, PackMissing):
                yield identity
