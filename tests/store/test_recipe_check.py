"""A recipe that somebody sent is what its object's bytes give, or it is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hundredweight.store import recipe_check
from hundredweight.store.recipe import NO_DIGEST, NOT_HASHED, NOT_PLAIN, Recipe, TensorRow
from hundredweight.store.recipe_check import RecipeCheck, SegmentSource
from tests.store.weights import arrays, fine_tuned, recipe_of, safetensors_of

CHECKPOINTS = Path(__file__).parents[1] / "formats" / "golden"
WEIGHTS = safetensors_of(arrays())
RECIPE = recipe_of(WEIGHTS)


class Asked(Exception):
    """More was asked for than is given."""


def fault(data: bytes, recipe: Recipe) -> str:
    """What the check finds in a recipe whose segments are those of `data`."""
    check = RecipeCheck(recipe)
    pieces = {}
    for segment, at in zip(recipe.segments, recipe.offsets(), strict=False):
        pieces[at] = data[at : at + segment.size]
        check.take(segment, pieces[at])
    by_id = {segment.id: piece for segment, piece in zip(recipe.segments, pieces.values(), strict=True)}
    return check.fault(SegmentSource(recipe, lambda segment: by_id[segment.id], Asked))


def npz(save: Callable[..., None]) -> bytes:
    out = io.BytesIO()
    save(out, a=np.arange(100_000, dtype=np.float32), b=np.asfortranarray(np.arange(600.0).reshape(20, 30)))
    return out.getvalue()


HONEST = {path.name: path.read_bytes() for path in CHECKPOINTS.iterdir() if path.is_file()} | {
    "safetensors": WEIGHTS,
    "many segments": safetensors_of({"a": np.arange(2_500_000, dtype=np.float32), "b": np.ones(7, np.int64)}),
    "stored members": npz(np.savez),
    "deflated members": npz(np.savez_compressed),
    "no weights": np.random.default_rng(3).bytes(300_000),
    "damaged weights": WEIGHTS[:-1],
    "one byte": b"x",
}


@pytest.mark.parametrize("name", HONEST)
def test_what_is_honest_passes(name: str) -> None:
    assert fault(HONEST[name], recipe_of(HONEST[name])) == ""


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(HONEST)), st.integers(0, 1 << 20), st.binary(max_size=3))
def test_any_bytes_pass_as_they_are_cut(name: str, at: int, more: bytes) -> None:
    whole = HONEST[name]
    at %= len(whole)
    data = whole[:at] + more + whole[at + len(more) :]
    assert fault(data, recipe_of(data)) == ""


def with_row(place: int, **changes: object) -> Recipe:
    rows = list(RECIPE.tensors)
    rows[place] = replace(rows[place], **changes)  # type: ignore[arg-type]
    return replace(RECIPE, tensors=tuple(rows))


def swapped() -> Recipe:
    """Two tensors of one shape in each other's place."""
    rows = {row.name: row for row in RECIPE.tensors}
    first, second = rows["layer.0.weight"], rows["layer.1.weight"]
    rows[first.name], rows[second.name] = replace(first, digest=second.digest), replace(second, digest=first.digest)
    return replace(RECIPE, tensors=tuple(rows.values()))


def of_the_version_before() -> Recipe:
    """All tensors as they were: nothing would seem changed."""
    return replace(RECIPE, tensors=recipe_of(safetensors_of(fine_tuned(arrays()))).tensors)


def as_plain_bytes() -> Recipe:
    return replace(RECIPE, format="", tensors=(), segments=tuple(replace(each, dtype="") for each in RECIPE.segments))


LIES: dict[str, tuple[Recipe, str]] = {
    "another digest of a tensor that is a segment": (with_row(0, digest=bytes(32)), "tensor 'embedding'"),
    "another digest of one among many": (with_row(3, digest=bytes(31) + b"x"), "tensor"),
    "another name": (with_row(2, name="other"), "tensor"),
    "another type": (with_row(0, dtype="I32"), "tensor"),
    "another shape": (with_row(0, shape=(384, 300)), "tensor"),
    "another place": (with_row(0, start=RECIPE.tensors[0].start - 1), "tensor"),
    "a digest that is kept back": (with_row(0, start=NOT_HASHED, digest=NO_DIGEST), "tensor"),
    "a tensor as if it were not plain": (with_row(0, start=NOT_PLAIN), "tensor"),
    "a tensor less": (replace(RECIPE, tensors=RECIPE.tensors[1:]), "6 tensors of 7"),
    "a tensor more": (
        replace(RECIPE, tensors=(*RECIPE.tensors, TensorRow("more", "F32", (1,), 0, 4, bytes(32)))),
        "8 tensors of 7",
    ),
    "two tensors exchanged": (swapped(), "layer.0.weight"),
    "tensors of the version before": (of_the_version_before(), "tensor"),
    "no weights": (as_plain_bytes(), "format"),
    "another format": (replace(RECIPE, format="gguf"), "format"),
    "segments of another type": (
        replace(RECIPE, segments=tuple(replace(each, dtype=each.dtype and "I32") for each in RECIPE.segments)),
        "elsewhere",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_named(lie: str) -> None:
    recipe, words = LIES[lie]
    assert words in fault(WEIGHTS, recipe)


def test_what_would_be_read_too_often_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip whose directory leads all over the file, or whose members are deflated, takes reading: that has an end."""
    monkeypatch.setattr(recipe_check, "MOST_READ", 1 << 16)
    with pytest.raises(Asked):
        fault(npz(np.savez), recipe_of(npz(np.savez)))
    assert fault(WEIGHTS, RECIPE) == ""
