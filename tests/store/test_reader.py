"""Reading packed objects: every range gives the bytes; damage, lies and endless chains are named."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from hundredweight.base.ids import Oid
from hundredweight.codec import block
from hundredweight.formats import recognise
from hundredweight.store import reader as reader_module
from hundredweight.store.catalog import Location, PackMissing
from hundredweight.store.pack import MAX_DEPTH
from hundredweight.store.reader import ObjectReader, PackedSource, SegmentDamaged, SegmentMissing
from hundredweight.store.recipe import Recipe, Segment
from tests.store.memory_packs import MemoryPacks
from tests.store.weights import arrays, recipe_of, safetensors_of

SIZE = 4000


def chained(packs: MemoryPacks, depth: int = MAX_DEPTH, number: int = 9) -> tuple[bytes, Recipe]:
    """An object of `number` segments, each at the end of a chain of `depth` deltas; one pack for each link."""
    rng = np.random.default_rng(7)
    raw = [rng.normal(0, 1, SIZE // 4).astype(np.float32) for _ in range(number)]
    bases: list[bytes | None] = [None] * number
    before: list[bytes | None] = [None] * number
    for level in range(depth + 1):
        blocks = []
        for place in range(number):
            data = raw[place].tobytes()
            name = blake3(data).digest()
            blocks.append((name, SIZE, bases[place], block.encode(data, "F32", before[place]), level))
            bases[place], before[place] = name, data
            raw[place] = raw[place] + np.float32(1e-3)
        packs.write(blocks)
    segments = tuple(Segment(name, SIZE, "F32") for name in bases if name)
    return b"".join(data for data in before if data), Recipe(Oid("0" * 64), number * SIZE, "", segments)


@pytest.fixture
def packs() -> MemoryPacks:
    return MemoryPacks()


def read(reader: ObjectReader, recipe: Recipe, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(reader.read(recipe, start, end))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_chains_are_followed(packs: MemoryPacks, workers: int) -> None:
    data, recipe = chained(packs)
    with ObjectReader(packs, packs, workers) as reader:
        assert read(reader, recipe) == data
        assert read(reader, recipe) == data
        assert reader.segment(recipe.segments[3].id) == data[3 * SIZE : 4 * SIZE]


PREPARED = MemoryPacks()
DATA, RECIPE = chained(PREPARED, 2)


@settings(deadline=None)
@given(st.integers(0, len(DATA) + 10), st.integers(0, len(DATA) + 10))
def test_any_range(start: int, end: int) -> None:
    with ObjectReader(PREPARED, PREPARED) as reader:
        assert read(reader, RECIPE, start, end) == DATA[start:end]


def test_a_range_decodes_what_it_needs(packs: MemoryPacks) -> None:
    _data, recipe = chained(packs, 1)
    reader = ObjectReader(packs, packs, workers=1)
    read(reader, recipe, SIZE + 5, SIZE + 6)
    assert packs.reads == 2, "one block and its base"


def test_a_segment_is_kept_for_the_next_who_asks(packs: MemoryPacks) -> None:
    _data, recipe = chained(packs)
    reader = ObjectReader(packs, packs)
    reader.segment(recipe.segments[0].id)
    before = packs.reads
    reader.segment(recipe.segments[0].id)
    assert packs.reads == before


@pytest.mark.parametrize("newest_first", [False, True])
def test_versions_that_are_compared_are_decoded_once(packs: MemoryPacks, newest_first: bool) -> None:
    rng = np.random.default_rng(3)
    old = rng.normal(0, 1, SIZE // 4).astype(np.float32)
    contents = [old.tobytes(), (old + np.float32(1e-3)).tobytes()]
    names = [blake3(data).digest() for data in contents]
    packs.write([(names[0], SIZE, None, block.encode(contents[0], "F32"), 0)])
    packs.write([(names[1], SIZE, names[0], block.encode(contents[1], "F32", contents[0]), 1)])
    reader = ObjectReader(packs, packs)
    sources = [PackedSource(reader, Recipe(Oid("0" * 64), SIZE, "", (Segment(name, SIZE, "F32"),))) for name in names]
    for version in (1, 0) if newest_first else (0, 1):
        view = sources[version].view(4, 100)
        assert bytes(view) == contents[version][4:104]
    assert packs.reads == 2


def test_what_is_kept_is_bounded(packs: MemoryPacks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "KEPT", 2 * SIZE)
    _data, recipe = chained(packs, 0)
    reader = ObjectReader(packs, packs)
    for number in (0, 1, 2, 2, 1):
        reader.segment(recipe.segments[number].id)
    assert packs.reads == 3
    reader.segment(recipe.segments[0].id)
    assert packs.reads == 4


def test_missing_segments_and_bases(packs: MemoryPacks) -> None:
    data, recipe = chained(packs, 1)
    first, second = packs.packs
    bases = packs.packs.pop(first)
    with pytest.raises(SegmentMissing), ObjectReader(packs, packs) as reader:
        read(reader, recipe)
    packs.packs[first] = bases
    del packs.packs[second]
    with pytest.raises(SegmentMissing) as caught, ObjectReader(packs, packs) as reader:
        read(reader, recipe)
    assert caught.value.segment in {segment.id for segment in recipe.segments}
    assert data


def test_damage_is_named(packs: MemoryPacks) -> None:
    data, recipe = chained(packs, 1)
    victim = recipe.segments[4]
    at = packs.segments([victim.id])[victim.id]
    rng = np.random.default_rng(3)
    noticed = []
    for _ in range(60):
        broken = bytearray(packs.packs[at.pack])
        broken[at.offset + int(rng.integers(at.stored))] ^= int(rng.integers(1, 256))
        lying = MemoryPacks()
        lying.packs = packs.packs | {at.pack: bytes(broken)}
        with ObjectReader(lying, lying) as reader:
            assert read(reader, recipe, 0, 4 * SIZE) == data[: 4 * SIZE]
            try:
                assert read(reader, recipe) == data
            except SegmentDamaged as damage:
                noticed.append((damage.segment, damage.pack))
    assert set(noticed) == {(victim.id, at.pack)}
    assert len(noticed) > 50, "at most a bit that says nothing goes unseen"


def test_a_block_filed_as_another_segment(packs: MemoryPacks) -> None:
    _data, recipe = chained(packs, 0)
    first, second = recipe.segments[:2]
    packs.overrides[first.id] = packs.segments([second.id])[second.id]
    with pytest.raises(SegmentDamaged, match="hash"), ObjectReader(packs, packs) as reader:
        read(reader, recipe)
    with pytest.raises(SegmentDamaged, match="hash"):
        ObjectReader(packs, packs).segment(first.id)


def test_another_size_than_the_recipe_says(packs: MemoryPacks) -> None:
    _data, recipe = chained(packs, 0)
    longer = Recipe(recipe.oid, SIZE + 1, "", (Segment(recipe.segments[0].id, SIZE + 1, ""),))
    with pytest.raises(SegmentDamaged, match="where a recipe has"):
        read(ObjectReader(packs, packs), longer)


def test_circles_and_endless_chains_are_refused(packs: MemoryPacks) -> None:
    """Whatever depths an index claims."""
    _data, recipe = chained(packs, 0)
    ids = [segment.id for segment in recipe.segments]
    real = packs.segments(ids)
    for place, base in ((0, 1), (1, 2), (2, 0)):
        packs.overrides[ids[place]] = real[ids[place]]._replace(base=ids[base], depth=1)
    with pytest.raises((SegmentDamaged, SegmentMissing)):
        ObjectReader(packs, packs).segment(ids[0])
    for place in range(8):
        packs.overrides[ids[place]] = real[ids[place]]._replace(base=ids[place + 1], depth=1)
    with pytest.raises((SegmentDamaged, SegmentMissing)):
        ObjectReader(packs, packs).segment(ids[0])
    assert packs.reads == 0


class Moving(MemoryPacks):
    """A store that is repacked between the look-up and the reading."""

    def segments(self, ids: object) -> dict[bytes, Location]:
        found = super().segments(ids)  # type: ignore[arg-type]
        if self.moves:
            self.moves -= 1
            data = self.packs.pop(next(iter(self.packs)))
            self.packs["f" * 64] = data[:-32] + b"\xff" * 32
        return found

    moves = 0


def test_a_repack_meanwhile_is_followed() -> None:
    packs = Moving()
    data, recipe = chained(packs, 0)
    packs.moves = 1
    with ObjectReader(packs, packs) as reader:
        assert read(reader, recipe) == data
    packs.packs.clear()
    with pytest.raises((PackMissing, SegmentMissing)):
        ObjectReader(packs, packs).segment(recipe.segments[0].id)


def test_look_ahead_is_bounded(packs: MemoryPacks) -> None:
    """Who does not take the pieces does not make the workers run on."""
    _data, recipe = chained(packs, 0, 40)
    with ObjectReader(packs, packs) as reader:
        pieces: Iterator[object] = reader.read(recipe)
        next(pieces)
        threading.Event().wait(0.05)
        assert packs.reads <= 5
        pieces.close()  # type: ignore[attr-defined]


def test_an_empty_object(packs: MemoryPacks) -> None:
    assert read(ObjectReader(packs, packs), Recipe(Oid("0" * 64), 0, "", ())) == b""


def test_readers_of_formats_read_packed_objects(packs: MemoryPacks) -> None:
    data = safetensors_of(arrays())
    recipe = recipe_of(data)
    offsets = recipe.offsets()
    packs.write(
        (part.id, part.size, None, block.encode(data[at : at + part.size], part.dtype), 0)
        for part, at in zip(recipe.segments, offsets, strict=False)
    )
    source = PackedSource(ObjectReader(packs, packs), recipe)
    assert source.read(5, len(data) - 9) == data[5:-4]
    assert [tensor.name for tensor in recognise.read(source).tensors] == [row.name for row in recipe.tensors]
