"""Streams that come are kept as packs, if what they say of the object is true."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

from hundredweight.base.ids import Oid
from hundredweight.client.nearby import NearbyObjects
from hundredweight.client.stream_keeper import Commits, StreamKeeper
from hundredweight.formats.source import BytesSource
from hundredweight.store.pack import BlockRecord, PackStreamReader, PackStreamWriter
from hundredweight.store.packer import Packer
from hundredweight.store.recipe import Recipe
from tests.clones import Clone
from tests.store.clone_store import CloneStore
from tests.store.weights import arrays, fine_tuned, recipe_of, safetensors_of

OLD, NEW = safetensors_of(arrays()), safetensors_of(fine_tuned(arrays()))


def come(clone: CloneStore, data: bytes, recipe: Recipe) -> list[Oid]:
    """The object comes as a stream of that recipe, as the adapter does it: whole in the store before the stream is finished."""
    out = bytearray()
    with Packer(clone.store.packs.reader, 1) as packer:
        packer.pack(BytesSource(data), recipe_of(data), [], PackStreamWriter(out.extend))
    commits = Commits()
    came: list[Recipe] = []
    with StreamKeeper(clone.store, recipe, commits, came.append) as keeper:
        for record in PackStreamReader().feed(out):
            if isinstance(record, BlockRecord):
                keeper.add(record)
        clone.add(data)
        keeper.finish()
    packed = commits.settle()
    assert [each.oid for each in came] == packed
    return packed


def test_a_stream_becomes_a_pack(tmp_path: Path) -> None:
    clone = CloneStore(tmp_path)
    recipe = recipe_of(NEW)
    assert come(clone, NEW, recipe) == [recipe.oid]
    assert clone.store.drop_loose(recipe.oid)
    clone.check()
    assert clone.store.packs.recipe(recipe.oid) == recipe


def test_a_recipe_that_lies_about_tensors_is_not_kept(tmp_path: Path) -> None:
    """The object is right: its hash was compared. That of a tensor would be believed from then on."""
    clone = CloneStore(tmp_path)
    honest = recipe_of(NEW)
    assert come(clone, NEW, replace(honest, tensors=recipe_of(OLD).tensors)) == []
    assert not clone.store.is_packed(honest.oid)
    clone.check()
    clone.pack(honest.oid)
    assert clone.store.packs.recipe(honest.oid) == honest


def test_what_is_known_of_an_object_follows_its_copy(tmp_path: Path) -> None:
    """One that was damaged when it was cut, and healed since."""
    clone = Clone(tmp_path / "clone")
    oid = clone.store(NEW)
    path = Path(clone.workspace().store.path(oid))
    path.chmod(0o644)
    path.write_bytes(NEW[:-4] + b"oops")
    damaged = NearbyObjects(clone.workspace()).own(oid, len(NEW))
    assert damaged is not None
    assert damaged.recipe.segments != recipe_of(NEW).segments
    assert NearbyObjects(clone.workspace()).own(oid, len(NEW)) == (damaged.recipe, ANY), "it is cut once"
    path.write_bytes(NEW)
    healed = NearbyObjects(clone.workspace()).own(oid, len(NEW))
    assert healed is not None
    assert healed.recipe == recipe_of(NEW)


def test_what_is_forgotten_is_cut_anew_and_files_are_closed(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    oid = clone.store(NEW)
    nearby = NearbyObjects(clone.workspace())
    before = len(os.listdir("/proc/self/fd"))
    lies = replace(recipe_of(NEW), segments=recipe_of(OLD).segments)
    kept = Path(clone.workspace().lfs_folder, "recipes", oid[:2], oid)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(lies.encode())
    assert nearby.own(oid, len(NEW)) == (lies, ANY)
    nearby.forget(oid)
    nearby.forget(oid)
    assert nearby.own(oid, len(NEW)) == (recipe_of(NEW), ANY)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    nearby.settle()
    assert len(os.listdir("/proc/self/fd")) == before
