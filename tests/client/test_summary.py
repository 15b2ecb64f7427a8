"""A weight file in lines: any bytes are described, and what is kept about an object never stands in the way."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base.errors import CwtError
from hundredweight.client.diff import compare_files
from hundredweight.client.facts import FactChange, as_text, changes, facts_beside
from hundredweight.client.summary import describe, load
from hundredweight.client.weight_files import open_model
from hundredweight.client.workspace import Workspace
from hundredweight.formats.tensors import ArrayHead
from tests.cli.diff_cases import arrays, weights
from tests.clones import Clone, oid_of

WHOLE = weights(arrays(), {"epoch": "1"})


def archive() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays())
    return buffer.getvalue()


GOLDEN = Path(__file__).parents[1] / "formats" / "golden"
SEEDS = [WHOLE, archive(), (GOLDEN / "types.pt").read_bytes()]


def nowhere(_folder: str) -> Workspace | None:
    return None


@given(st.sampled_from(SEEDS), st.data())
def test_damaged_files_are_described(
    tmp_path_factory: pytest.TempPathFactory, seed: bytes, data: st.DataObject
) -> None:
    """A driver that fails would stop git: damage anywhere is either found and told, or makes another file."""
    content = bytearray(seed)
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(seed) - 1), st.integers(0, 255)), max_size=3)):
        content[place] = value
    cut = data.draw(st.integers(0, len(seed)))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "old").write_bytes(seed)
    (folder / "new").write_bytes(content[:cut] if cut % 3 == 0 else content)
    lines = list(describe(str(folder / "new"), nowhere))
    assert lines
    assert all(line.isprintable() for line in lines)
    with suppress(CwtError):
        compare_files(str(folder / "old"), str(folder / "new"), nowhere, "name")


@given(st.binary(max_size=200))
def test_anything_else_is_described(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(content)
    assert list(describe(str(path), nowhere))


def test_what_is_kept_about_an_object(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.put("m.safetensors", WHOLE)
    path, oid = str(clone.folder / "m.safetensors"), oid_of(WHOLE)
    workspace = clone.workspace()
    assert load(workspace, oid) is None
    first = list(describe(path, lambda _: workspace))
    assert first[:3] == ["safetensors 6 tensors", 'metadata format = "pt"', 'metadata epoch = "1"']
    kept = clone.folder / ".git" / "hundredweight" / "tensors" / oid[:2] / oid
    assert kept.exists()
    Path(workspace.store.path(oid)).unlink()
    assert list(describe(path, lambda _: workspace)) == first
    # What is not readable counts as absent.
    for damage in (b"", b"[]", b'{"version":2}', b'{"version":1,"tensors":[["a"]]}', b"\xff"):
        kept.write_bytes(damage)
        assert load(workspace, oid) is None
    assert list(describe(path, lambda _: workspace))[1:] == [f"oid sha256:{oid}", f"size {len(WHOLE)}"]


def test_what_cannot_be_kept_is_shown_all_the_same(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.put("m.safetensors", WHOLE)
    (clone.folder / ".git" / "hundredweight").write_text("in the way")
    workspace = clone.workspace()
    assert len(list(describe(str(clone.folder / "m.safetensors"), lambda _: workspace))) == 9


def test_facts_differ_where_values_do() -> None:
    long = "x" * 1000
    assert as_text(long) != as_text(long + "y")
    assert len(as_text(long)) < 250
    assert as_text(ArrayHead(9, (1, 2))) == '{"length": 9, "first": [1, 2]}'
    assert as_text(float("nan")) == '"nan"'
    assert changes("f", {"a": "1", "b": "2", "c": "3"}, {"d": "4", "b": "2", "a": "0"}) == [
        FactChange("f", "d", None, "4"),
        FactChange("f", "a", "1", "0"),
        FactChange("f", "c", "3", None),
    ]


def test_files_beside_a_model(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(WHOLE)
    (tmp_path / "config.json").write_text('{"a": {"b": [1, 2], "c": {}}, "d": null}')
    (tmp_path / "trainer_state.json").write_text('{"log_history": [' + ",".join(["{}"] * 40) + "]}")
    (tmp_path / "adapter_config.json").write_text("{")
    with open_model(str(tmp_path / "m"), nowhere) as model:
        found = facts_beside(model, "")
    assert found["config.json"] == {"a.b": "[1, 2]", "a.c": "{}", "d": "null"}
    assert found["trainer_state.json"]["log_history"].startswith("40 items (")
    assert list(found["adapter_config.json"]) == ["(unreadable)"]
