"""The hub's catalog: which pack holds a segment or a recipe, in the database. All calls block.

A row is written after the pack is durable, and a loose copy is removed after the row is: so a row always has its bytes, and
an object is always loose or packed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, or_, select, update

from hundredweight.base.errors import CwtError
from hundredweight.base.ids import Oid
from hundredweight.hub.database.schema import objects, packs, possession, recipes, segments, unpackable
from hundredweight.hub.database.statements import insert_new, slices
from hundredweight.store.catalog import Location
from hundredweight.store.pack import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Table

    from hundredweight.hub.database.engine import Database


@dataclass(frozen=True, slots=True)
class RecipePlace:
    """Where the recipe of an object of `size` bytes stands: `stored` bytes at `offset` of a pack."""

    pack: str
    offset: int
    stored: int
    size: int


@dataclass(frozen=True, slots=True)
class PackContents:
    """What a pack brings: its segments, and the recipes of whole objects."""

    name: str
    size: int
    segments: Sequence[tuple[bytes, Location]]
    recipes: Sequence[tuple[Oid, RecipePlace]]


class BaseGone(CwtError):
    """What a pack was made against is not stored any more (422)."""

    status = 422
    hint = "repeat the push"

    def __init__(self, segment: bytes) -> None:
        super().__init__(f"the base '{segment.hex()[:12]}' is not stored any more as it was")
        self.segment = segment


class PackTables:
    """The tables of packs, over one database. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def segments(self, ids: Iterable[bytes]) -> dict[bytes, Location]:
        """Where those of `ids` that are packed stand."""
        wanted = list(dict.fromkeys(ids))
        found: dict[bytes, Location] = {}
        with self._database.read() as connection:
            for part in slices(wanted):
                query = (
                    select(packs.c.name, segments)
                    .join(packs, packs.c.id == segments.c.pack_id)
                    .where(segments.c.id.in_(part))
                )
                for row in connection.execute(query):
                    place = Location(row.name, row.offset, row.stored, row.size, row.base, row.depth)
                    found[bytes(row.id)] = place
        return found

    def place(self, oid: Oid) -> RecipePlace | None:
        """Where the object's recipe stands; None for an object that is not packed."""
        query = (
            select(packs.c.name, recipes.c.offset, recipes.c.stored, objects.c.size)
            .join(packs, packs.c.id == recipes.c.pack_id)
            .join(objects, objects.c.oid == recipes.c.oid)
            .where(recipes.c.oid == oid)
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else RecipePlace(row.name, row.offset, row.stored, row.size)

    def packed(self, oids: Iterable[Oid]) -> set[Oid]:
        """Those of `oids` that are packed."""
        wanted = list(dict.fromkeys(oids))
        found: set[Oid] = set()
        with self._database.read() as connection:
            for part in slices(wanted):
                query = select(recipes.c.oid).where(recipes.c.oid.in_(part))
                found.update(Oid(oid) for oid in connection.execute(query).scalars())
        return found

    def record(self, contents: PackContents) -> None:
        """A durable pack enters, all of it or nothing. What another pack brought first keeps its place, unless a chain of this
        pack would become too long by that.

        Raises `BaseGone`, with nothing changed.
        """
        with self._database.write() as connection:
            places = dict(contents.segments)
            depths = _settle(connection, places)
            while _drop_too_shallow(connection, depths):
                depths = _settle(connection, places)
            number = _pack_number(connection, contents)
            _insert(connection, segments, _rows(contents, number, depths))
            now = time.time()
            brought = [{"oid": oid, "size": at.size, "created_at": now} for oid, at in contents.recipes]
            _insert(connection, objects, brought)
            known = [
                {"oid": oid, "pack_id": number, "offset": at.offset, "stored": at.stored}
                for oid, at in contents.recipes
            ]
            _insert(connection, recipes, known)
            connection.execute(delete(unpackable).where(unpackable.c.oid.in_([oid for oid, _ in contents.recipes])))

    def deep(self, depth: int, after: int) -> tuple[list[Oid], int]:
        """Objects of packs with segments deeper than that, oldest first, out of the packs that came after the one of that number;
        and the number of the newest pack."""
        query = (
            select(recipes.c.oid)
            .join(segments, segments.c.pack_id == recipes.c.pack_id)
            .where(segments.c.pack_id > after, segments.c.depth > depth)
            .group_by(recipes.c.oid, recipes.c.pack_id)
            .order_by(recipes.c.pack_id)
        )
        with self._database.read() as connection:
            newest = connection.execute(select(func.max(packs.c.id))).scalar() or 0
            return [Oid(oid) for oid in connection.execute(query).scalars()], newest

    def replace(self, contents: PackContents, old: str) -> bool:
        """A durable pack takes the place of the pack of that name: its segments, in chains that are no longer, and its objects.
        Whether nothing stands in the old one then, which is forgotten.

        Raises `BaseGone`, with nothing changed: also where a segment would be deeper than it is, as others may stand upon it.
        """
        with self._database.write() as connection:
            places = dict(contents.segments)
            outside = {at.base for at in places.values() if at.base is not None and at.base not in places}
            stored = _stored_depths(connection, [*places, *outside])
            for identity in {*places, *outside} - stored.keys():
                raise BaseGone(identity)
            depths = _depths(places, {identity: stored[identity] for identity in outside})
            for identity, depth in depths.items():
                if depth > stored[identity]:
                    raise BaseGone(identity)
            number = _pack_number(connection, contents)
            for part in slices(list(places)):
                connection.execute(delete(segments).where(segments.c.id.in_(part)))
            _insert(connection, segments, _rows(contents, number, depths))
            for oid, at in contents.recipes:
                moved = {"pack_id": number, "offset": at.offset, "stored": at.stored}
                connection.execute(update(recipes).where(recipes.c.oid == oid).values(moved))
            used = [select(each.c.pack_id).where(each.c.pack_id == packs.c.id).exists() for each in (segments, recipes)]
            return connection.execute(delete(packs).where(packs.c.name == old, ~or_(*used))).rowcount > 0

    def touched(self, contents: PackContents) -> set[str]:
        """Names of the packs that have some of these segments or objects already."""
        found: set[str] = set()
        with self._database.read() as connection:
            for table, key, values in (
                (segments, segments.c.id, [identity for identity, _ in contents.segments]),
                (recipes, recipes.c.oid, [oid for oid, _ in contents.recipes]),
            ):
                for part in slices(values):
                    query = select(packs.c.name).join(table, packs.c.id == table.c.pack_id).where(key.in_(part))
                    found.update(connection.execute(query.distinct()).scalars())
        return found

    def objects_in(self, pack: str) -> list[Oid]:
        """The objects whose recipes stand in the pack of that name."""
        query = select(recipes.c.oid).join(packs, packs.c.id == recipes.c.pack_id).where(packs.c.name == pack)
        with self._database.read() as connection:
            return [Oid(found) for found in connection.execute(query).scalars()]

    def segments_of(self, pack: str) -> list[bytes]:
        """The segments that are read from the pack of that name."""
        query = select(segments.c.id).join(packs, packs.c.id == segments.c.pack_id).where(packs.c.name == pack)
        with self._database.read() as connection:
            return [bytes(found) for found in connection.execute(query).scalars()]

    def forget(self, oid: Oid, damaged: Iterable[bytes]) -> None:
        """The object is not packed any more, and these segments are nowhere."""
        gone = list(damaged)
        with self._database.write() as connection:
            connection.execute(delete(recipes).where(recipes.c.oid == oid))
            for part in slices(gone):
                connection.execute(delete(segments).where(segments.c.id.in_(part)))

    def forget_pack(self, name: str) -> None:
        """Nothing is in the pack of that name any more."""
        with self._database.write() as connection:
            number = connection.execute(select(packs.c.id).where(packs.c.name == name)).scalar()
            for table in (recipes, segments):
                connection.execute(delete(table).where(table.c.pack_id == number))
            connection.execute(delete(packs).where(packs.c.id == number))

    def give_up(self, oid: Oid, rules: int) -> None:
        """Packing the object gains nothing by these rules."""
        with self._database.write() as connection:
            connection.execute(delete(unpackable).where(unpackable.c.oid == oid))
            connection.execute(unpackable.insert().values(oid=oid, rules=rules))

    def loose(self, smallest: int, rules: int, limit: int) -> list[tuple[Oid, int]]:
        """Objects of at least `smallest` bytes, with their sizes, neither packed nor given up by these rules; oldest first."""
        query = (
            select(objects.c.oid, objects.c.size)
            .outerjoin(recipes, recipes.c.oid == objects.c.oid)
            .outerjoin(unpackable, unpackable.c.oid == objects.c.oid)
            .where(objects.c.size >= smallest, recipes.c.oid.is_(None))
            .where(or_(unpackable.c.oid.is_(None), unpackable.c.rules < rules))
            .order_by(objects.c.created_at, objects.c.oid)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [(Oid(row.oid), row.size) for row in connection.execute(query)]

    def neighbours(self, oid: Oid, limit: int) -> list[Oid]:
        """Packed objects of the repositories that possess `oid`, the newest first, without itself."""
        holders = select(possession.c.repository_id).where(possession.c.oid == oid)
        newest = func.max(possession.c.created_at)
        query = (
            select(recipes.c.oid)
            .join(possession, possession.c.oid == recipes.c.oid)
            .where(possession.c.repository_id.in_(holders), recipes.c.oid != oid)
            .group_by(recipes.c.oid)
            .order_by(newest.desc(), recipes.c.oid)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [Oid(found) for found in connection.execute(query).scalars()]

    def has_pack(self, name: str) -> bool:
        """Whether a pack of that name is recorded."""
        with self._database.read() as connection:
            return connection.execute(select(packs.c.id).where(packs.c.name == name)).scalar() is not None

    def names(self) -> Iterator[tuple[str, int]]:
        """Every recorded pack with its size."""
        with self._database.read() as connection:
            yield from [(row.name, row.size) for row in connection.execute(select(packs.c.name, packs.c.size))]


def _rows(contents: PackContents, number: int, depths: Mapping[bytes, int]) -> list[dict[str, object]]:
    return [
        {"id": key, "pack_id": number, "offset": at.offset, "stored": at.stored, "size": at.size}
        | {"base": at.base, "depth": depths[key]}
        for key, at in contents.segments
    ]


def _settle(connection: Connection, places: Mapping[bytes, Location]) -> dict[bytes, int]:
    """The depths that the segments of a pack have once it has entered; rows that would make them too deep go. Every row
    stands deeper than that of its base, so no circle comes about. Raises `BaseGone`."""
    outside = {at.base for at in places.values() if at.base is not None and at.base not in places}
    stored = _stored_depths(connection, [*places, *outside])
    missing = outside - stored.keys()
    if missing:
        raise BaseGone(missing.pop())
    depths = _depths(places, stored)
    if max(depths.values(), default=0) <= MAX_DEPTH:
        return depths
    deeper = {identity for identity in places if stored.get(identity, 0) > places[identity].depth}
    for part in slices(list(deeper)):
        connection.execute(delete(segments).where(segments.c.id.in_(part)))
    depths = _depths(places, {identity: depth for identity, depth in stored.items() if identity not in deeper})
    for identity, depth in depths.items():
        if depth > MAX_DEPTH:
            raise BaseGone(identity)
    return depths


def _drop_too_shallow(connection: Connection, depths: Mapping[bytes, int]) -> int:
    """Forget rows that are no deeper than their base will be; how many were. Their base was forgotten, so they could not be read,
    and now stands deeper than when they were made: their chains would become too long."""
    dropped = 0
    for depth in range(1, MAX_DEPTH + 1):
        for part in slices([identity for identity, found in depths.items() if found == depth]):
            query = delete(segments).where(segments.c.base.in_(part), segments.c.depth <= depth)
            dropped += connection.execute(query).rowcount
    return dropped


def _stored_depths(connection: Connection, ids: Sequence[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for part in slices(ids):
        query = select(segments.c.id, segments.c.depth).where(segments.c.id.in_(part))
        found.update((bytes(row.id), row.depth) for row in connection.execute(query))
    return found


def _depths(places: Mapping[bytes, Location], stored: Mapping[bytes, int]) -> dict[bytes, int]:
    """Of each segment of a pack, as it is `stored` already, else by its base. In a pack, bases are less deep than what they
    are for."""
    found = dict(stored)
    for identity in sorted(places, key=lambda each: places[each].depth):
        base = places[identity].base
        found.setdefault(identity, 0 if base is None else found[base] + 1)
    return {identity: found[identity] for identity in places}


def _pack_number(connection: Connection, contents: PackContents) -> int:
    row = {"name": contents.name, "size": contents.size, "created_at": time.time()}
    _insert(connection, packs, [row])
    query = select(packs.c.id).where(packs.c.name == contents.name)
    return int(connection.execute(query).scalar_one())


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
    if rows:
        connection.execute(insert_new(connection, table), rows)
