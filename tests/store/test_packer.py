"""Packing: whatever the bytes and the predecessors, the pack gives the object back; deltas stay within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hundredweight.codec import block
from hundredweight.formats.source import BytesSource
from hundredweight.store import packer
from hundredweight.store.bases import Candidate
from hundredweight.store.catalog import Location
from hundredweight.store.pack import DEEPEST, MAX_DEPTH, PackStreamWriter
from hundredweight.store.packer import BlockWrong, Packer, PackResult, SourceBases, SourceChanged, _with_room
from hundredweight.store.reader import ObjectReader
from hundredweight.store.recipe import Recipe
from tests.store.memory_packs import MemoryPacks
from tests.store.weights import arrays, fine_tuned, recipe_of, safetensors_of

ESTIMATE = block.estimate


class Store:
    """Packs in memory, and what it takes to add to them."""

    def __init__(self) -> None:
        self.packs = MemoryPacks()
        self.reader = ObjectReader(self.packs, self.packs, workers=1)

    def add(self, data: bytes, predecessors: Sequence[Recipe] = ()) -> tuple[Recipe, PackResult]:
        recipe = recipe_of(data)
        out = bytearray()
        target = PackStreamWriter(out.extend)
        have = self.packs.segments(segment.id for segment in recipe.segments)
        with Packer(self.reader) as made:
            result = made.pack(BytesSource(data), recipe, predecessors, target, have)
        target.finish()
        self.packs.add(bytes(out))
        assert self.bytes_of(recipe) == data
        return recipe, result

    def bytes_of(self, recipe: Recipe) -> bytes:
        found = self.packs.recipe(recipe.oid)
        assert found == recipe
        return b"".join(self.reader.read(found))

    def depths(self, recipe: Recipe) -> dict[bytes, int]:
        return {key: at.depth for key, at in self.packs.segments(segment.id for segment in recipe.segments).items()}


@pytest.fixture
def store() -> Store:
    return Store()


def test_a_fine_tune_is_small(store: Store) -> None:
    base = arrays()
    first, whole = store.add(safetensors_of(base))
    _, delta = store.add(safetensors_of(fine_tuned(base, scale=1e-5)), [first])
    assert whole.deltas == 0
    assert delta.deltas >= 1
    assert delta.stored < whole.stored / 2


@pytest.mark.parametrize("mixed", [False, True])
def test_of_many_segments_few_try_all_bases(store: Store, monkeypatch: pytest.MonkeyPatch, mixed: bool) -> None:
    """Where a few agree on one version; a model that was put together of two is still packed against both."""
    monkeypatch.setattr(packer, "SCOUTS", 4)
    tried: list[bytes] = []

    def estimate(raw: bytes, *rest: Any) -> int:
        tried.append(raw)
        return ESTIMATE(raw, *rest)

    monkeypatch.setattr(block, "estimate", estimate)
    rng = np.random.default_rng(5)
    versions = [{f"{i}": rng.normal(0, 0.02, (256, 256)).astype(np.float32) for i in range(10)} for _ in range(2)]
    far, near = (store.add(safetensors_of(each))[0] for each in versions)
    parents = {name: versions[int(name) % 2 if mixed else 1] for name in versions[0]}
    mine = fine_tuned({name: parent[name] for name, parent in parents.items()}, scale=1e-5)
    _, result = store.add(safetensors_of(mine), [far, near])
    assert result.deltas == 10
    assert result.stored < result.raw * 0.5
    assert len(tried) == (2 * (4 + 10) if mixed else 2 * 4)


def test_what_is_stored_is_not_stored_again(store: Store) -> None:
    base = arrays()
    first, _ = store.add(safetensors_of(base))
    changed = base | {"embedding": fine_tuned(base)["embedding"]}
    _, result = store.add(safetensors_of(changed), [first])
    assert result.segments == 1
    assert store.add(safetensors_of(dict(reversed(changed.items()))))[1].segments <= 1


def test_half_precision_from_full(store: Store) -> None:
    base = arrays(rows=1000)
    first, _ = store.add(safetensors_of(base))
    half = {name: array.astype(ml_dtypes.bfloat16) for name, array in base.items()}
    _, result = store.add(safetensors_of(half), [first])
    assert result.stored < result.raw / 50, "a cast is known from its source"


def test_chains_are_bounded(store: Store) -> None:
    """However long the history; each version is still a delta."""
    now = arrays()
    recipe, whole = store.add(safetensors_of(now))
    history = [recipe]
    for seed in range(9):
        now = fine_tuned(now, seed, 1e-5)
        recipe, result = store.add(safetensors_of(now), history[:1])
        history.insert(0, recipe)
        assert max(store.depths(recipe).values()) <= DEEPEST
        assert result.stored < whole.stored * 0.8
    assert max(max(store.depths(each).values()) for each in history) == DEEPEST


def test_the_better_of_several_bases_is_taken(store: Store) -> None:
    base = arrays()
    near, _ = store.add(safetensors_of(base))
    far, _ = store.add(safetensors_of(arrays(seed=99)))
    mine = safetensors_of(fine_tuned(base, scale=1e-5))
    for predecessors in ([near, far], [far, near]):
        out = bytearray()
        target = PackStreamWriter(out.extend)
        recipe = recipe_of(mine)
        with Packer(store.reader) as made:
            made.pack(BytesSource(mine), recipe, predecessors, target)
        entry = target.index.entry(recipe.segments[1].id)
        assert entry is not None
        assert entry[3] == near.segments[1].id


def test_equal_packs_whatever_the_number_of_workers(store: Store) -> None:
    first, _ = store.add(safetensors_of(arrays(rows=3000)))
    data = safetensors_of(fine_tuned(arrays(rows=3000)))
    names = set()
    for workers in (1, 2, 3):
        target = PackStreamWriter(lambda _data: None)
        with Packer(store.reader, workers) as made:
            made.pack(BytesSource(data), recipe_of(data), [first], target)
        names.add(target.finish())
    assert len(names) == 1


def test_an_object_that_changed_is_refused(store: Store) -> None:
    data = bytearray(safetensors_of(arrays()))
    recipe = recipe_of(bytes(data))
    data[-1] ^= 1
    with pytest.raises(SourceChanged), Packer(store.reader) as made:
        made.pack(BytesSource(bytes(data)), recipe, [], PackStreamWriter(lambda _data: None))


def test_a_block_that_does_not_decode_is_never_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def corrupting(raw: bytes, *args: Any, **options: Any) -> bytes:
        made = bytearray(real(raw, *args, **options))
        made[-1] ^= 1
        return bytes(made)

    real = block.encode
    monkeypatch.setattr(block, "encode", corrupting)
    data = safetensors_of(arrays())
    with pytest.raises(BlockWrong), Packer(store.reader) as made:
        made.pack(BytesSource(data), recipe_of(data), [], PackStreamWriter(lambda _data: None))


def test_bases_that_cannot_be_read_are_passed_over(store: Store) -> None:
    base = arrays()
    first, whole = store.add(safetensors_of(base))
    name = next(iter(store.packs.packs))
    store.packs.packs[name] = bytes(len(store.packs.packs[name]) - 2000) + store.packs.packs[name][-2000:]
    data = safetensors_of(fine_tuned(base))
    target = PackStreamWriter(lambda _data: None)
    with Packer(store.reader) as made:
        result = made.pack(BytesSource(data), recipe_of(data), [first], target)
    assert result.deltas == 0
    assert result.stored >= whole.stored * 0.9


def test_look_ahead_is_bounded(store: Store) -> None:
    data = safetensors_of({f"t{n:03}": np.full((70_000,), n, np.float32) for n in range(60)})
    taken: list[int] = []
    most: list[int] = []

    class Slow(BytesSource):
        def read(self, offset: int, length: int) -> bytes:
            taken.append(offset)
            return super().read(offset, length)

    def write(_data: object) -> None:
        most.append(len(taken))

    target = PackStreamWriter(write)
    with Packer(store.reader, 2) as made:
        made.pack(Slow(data), recipe_of(data), [], target)
    assert all(most[min(4 + 2 * n, len(most) - 1)] <= n + 6 for n in range(60))


def test_bases_out_of_objects_at_hand() -> None:
    """What an upload does: deltas against what the other side has, whose bytes are in a loose file here."""
    base = arrays()
    before, after = safetensors_of(base), safetensors_of(fine_tuned(base, scale=1e-5))
    first, second = recipe_of(before), recipe_of(after)
    depths = {segment.id: 1 for segment in first.segments}
    bases = SourceBases(depths=depths)
    bases.add(first, BytesSource(before))
    out = bytearray()
    target = PackStreamWriter(out.extend)
    with Packer(bases) as made:
        result = made.pack(BytesSource(after), second, [first], target)
    assert result.deltas >= 1
    entries = [target.index.entry(segment.id) for segment in second.segments]
    assert {entry[4] for entry in entries if entry and entry[3]} == {2}
    with Packer(SourceBases()) as made:
        assert made.pack(BytesSource(after), second, [first], PackStreamWriter(out.extend)).deltas == 0
    depths = dict.fromkeys(depths, MAX_DEPTH)
    full = SourceBases(depths=depths)
    full.add(first, BytesSource(before))
    with Packer(full) as made:
        assert made.pack(BytesSource(after), second, [first], PackStreamWriter(out.extend)).deltas == 0


def test_versions_in_one_pack() -> None:
    """The base stands before what needs it, and depth counts on within the pack."""
    now = arrays()
    packs = MemoryPacks()
    bases = SourceBases(ObjectReader(packs, packs))
    out = bytearray()
    target = PackStreamWriter(out.extend)
    recipes: list[Recipe] = []
    contents = []
    with Packer(bases) as made:
        for seed in range(3):
            contents.append(safetensors_of(now))
            recipe = recipe_of(contents[-1])
            made.pack(BytesSource(contents[-1]), recipe, recipes[::-1], target)
            bases.add(recipe, BytesSource(contents[-1]))
            recipes.append(recipe)
            now = fine_tuned(now, seed, 1e-5)
    target.finish()
    packs.add(bytes(out))
    found = packs.segments(recipe.segments[1].id for recipe in recipes)
    assert [found[recipe.segments[1].id].depth for recipe in recipes] == [0, 1, 2]
    offsets = [found[recipe.segments[1].id].offset for recipe in recipes]
    assert offsets == sorted(offsets)
    for recipe, data in zip(recipes, contents, strict=True):
        assert b"".join(ObjectReader(packs, packs).read(recipe)) == data


def test_a_base_of_another_store_is_none() -> None:
    """A location alone does not serve: without its ancestors the chain cannot be shortened."""
    candidate = Candidate(b"a" * 32, "F32")
    full = Location("p", 0, 1, 4, b"b" * 32, MAX_DEPTH)
    assert _with_room(candidate, {candidate.id: full}, 0) is None
    assert _with_room(candidate, {}, 0) is None


weights = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.tuples(st.sampled_from((np.float32, np.float16, np.int64, np.uint8)), st.integers(0, 300), st.integers(0, 3)),
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(weights, st.binary(max_size=3000)), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_any_objects_after_any_others(contents: list[Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    store = Store()
    recipes: list[Recipe] = []
    seen = set()
    for content in contents:
        if isinstance(content, bytes):
            data = content
        else:
            bits = {
                k: (t, rng.bytes(n * np.dtype(t).itemsize) if kind else bytes(n * np.dtype(t).itemsize))
                for k, (t, n, kind) in content.items()
            }
            data = safetensors_of({k: np.frombuffer(b, t) for k, (t, b) in bits.items()})
        if data in seen:
            continue
        seen.add(data)
        recipe, _ = store.add(data, recipes[::-1])
        recipes.append(recipe)
    assert all(depth <= DEEPEST for recipe in recipes for depth in store.depths(recipe).values())
