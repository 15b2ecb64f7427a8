"""Parameter files are changed in one place, and nowhere else."""

from __future__ import annotations

import json
import tomllib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.lineage.fields import RecordInvalid
from hundredweight.lineage.parameters import CannotSet, assign, parse_value, read, split_choices

TOML = b"""\
# how to train
lr = 0.05  # at the start
name = "a # b"
[train]
epochs = 8
layers = [
  1, # one
  2,
]
[train.adam]
"beta.1" = 0.9
optimizer.eps = 1e-8
"""
YAML = b"""\
# how to train
lr: 5e-2  # at the start
train:
  epochs: 8
  layers:
    - 1
    - 2
  note:
adam: {beta: 0.9, "x.y": 1}
"""
JSON = b'{\n  "lr": 0.05,\n  "train": {"epochs": 8, "layers": [1, 2]}\n}\n'


@pytest.mark.parametrize(
    ("name", "data", "key", "value", "before", "after"),
    [
        ("p.toml", TOML, "lr", 1e-05, b"lr = 0.05  #", b"lr = 1e-05  #"),
        ("p.toml", TOML, "name", 'say "x"', b'"a # b"', b'"say \\"x\\""'),
        ("p.toml", TOML, "train.epochs", 3, b"epochs = 8", b"epochs = 3"),
        ("p.toml", TOML, "train.layers", [3], b"[\n  1, # one\n  2,\n]", b"[3]"),
        ("p.toml", TOML, "train.adam.beta.1", 0.5, b"= 0.9", b"= 0.5"),
        ("p.toml", TOML, "train.adam.optimizer.eps", True, b"1e-8", b"true"),
        ("p.yaml", YAML, "lr", 1e-05, b"5e-2", b"1.0e-05"),
        ("p.yaml", YAML, "train.epochs", 3, b"epochs: 8", b"epochs: 3"),
        ("p.yaml", YAML, "train.layers", [3, 4], b"- 1\n    - 2", b"[3, 4]"),
        ("p.yaml", YAML, "train.note", "yes", b"note:", b'note: "yes"'),
        ("p.yaml", YAML, "adam.x.y", None, b'"x.y": 1', b'"x.y": null'),
        ("p.json", JSON, "lr", 0.1, b"0.05", b"0.1"),
        ("p.json", JSON, "train.layers", [1], b"[1, 2]", b"[1]"),
        ("p.json", b'{\t"a": {"b": 1}}', "a.b", 2, b'{\t"a": {"b": 1}}', b'{\n  "a": {\n    "b": 2\n  }\n}\n'),
    ],
)
def test_one_value_in_place(name: str, data: bytes, key: str, value: object, before: bytes, after: bytes) -> None:
    assert assign(name, data, key, value) == data.replace(before, after, 1)


@pytest.mark.parametrize(
    ("name", "data", "key", "value"),
    [
        ("p.toml", b"a = { b = 1 }\n", "a.b", 2),
        ("p.toml", b"a = 1\n", "a", None),
        ("p.yaml", b"a: &x 1\nb: *x\n", "a", 2),
    ],
)
def test_what_does_not_fit_is_refused(name: str, data: bytes, key: str, value: object) -> None:
    with pytest.raises(CannotSet):
        assign(name, data, key, value)


def test_flat_names() -> None:
    assert read("p.yaml", YAML) == {
        "lr": 0.05,
        "train.epochs": 8,
        "train.layers": "[1, 2]",
        "train.note": None,
        "adam.beta": 0.9,
        "adam.x.y": 1,
    }
    with pytest.raises(RecordInvalid):
        read("p.json", b"[1]")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-05),
        ("3", 3),
        ("true", True),
        ("yes", "yes"),
        ("adam", "adam"),
        ("[1, 2]", [1, 2]),
        ("'7'", "7"),
        ("null", None),
        ("", ""),
        ("a: b", {"a": "b"}),
        ("{", "{"),
        ("2026-01-01", "2026-01-01"),
    ],
)
def test_values_as_typed(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_choices_of_a_grid() -> None:
    assert split_choices("1e-5,3e-5") == ["1e-5", "3e-5"]
    assert split_choices("[1,2],[3]") == ["[1,2]", "[3]"]
    assert split_choices("'a,b',c") == ["'a,b'", "c"]


_NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
_VALUES = st.one_of(
    st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
)
_LOADERS = {"toml": lambda b: tomllib.loads(b.decode()), "yaml": yaml.safe_load, "json": json.loads}


@given(
    st.dictionaries(_NAMES, st.integers(0, 9), min_size=1),
    st.sampled_from(["toml", "yaml", "json"]),
    _VALUES,
    st.data(),
)
def test_what_is_set_is_what_the_training_reads(
    table: dict[str, int], kind: str, value: bool | float | str, data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(table)))
    if kind == "json":
        text = json.dumps(table)
    else:
        text = "".join(f"{name} = {n}\n" if kind == "toml" else f"'{name}': {n}\n" for name, n in table.items())
    try:
        changed = assign(f"p.{kind}", text.encode(), key, value)
    except CannotSet:
        assert isinstance(value, str)  # control characters that the format cannot hold
        return
    loaded = _LOADERS[kind](changed)
    assert {**loaded, key: None} == {**table, key: None}
    if not (isinstance(value, str) and isinstance(parse_value(value), float)):
        assert loaded[key] == value


@given(st.sampled_from(["p.toml", "p.yaml", "p.json"]), st.binary())
def test_any_bytes_are_parameters_or_a_named_fault(name: str, data: bytes) -> None:
    try:
        assert isinstance(read(name, data), dict)
    except RecordInvalid:
        return
