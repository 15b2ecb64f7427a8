"""`cwt inspect` and `cwt id` as a user runs them: whole outputs, exit codes, hints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from tests.people import Person

ARRAYS: dict[str, Any] = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array(1.5, dtype=np.float64),
}
ID = "w1-25c79bc342da95cd5ba5cdd538b5f5424527593240de9a959592534bfab164a5"
TEXT = """\
file          m.safetensors
format        safetensors, 208 B
framework     PyTorch
parameters    7 (F32 6, F64 1)
weights id    {id}

metadata
  format = pt

TENSOR    TYPE  SHAPE   BYTES
a.weight  F32   2x3        24
b         F64   scalar      8
"""


@pytest.fixture
def person(tmp_path: Path) -> Person:
    made = Person("test", tmp_path / "home")
    header = {
        "__metadata__": {"format": "pt"},
        "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "F64", "shape": [], "data_offsets": [24, 32]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (168 - len(text))
    data = len(text).to_bytes(8, "little") + text + ARRAYS["a.weight"].tobytes() + ARRAYS["b"].tobytes()
    (made.home / "m.safetensors").write_bytes(data)
    return made


def test_text(person: Person) -> None:
    done = person.run("cwt", "inspect", "m.safetensors", "--id")
    assert done.stdout == TEXT.format(id=ID)
    without = person.run("cwt", "inspect", "m.safetensors")
    assert without.stdout == TEXT.format(id=ID).replace(f"weights id    {ID}\n", "")


def test_json(person: Person) -> None:
    found = json.loads(person.run("cwt", "inspect", "--json", "m.safetensors").stdout)
    assert found == {
        "file": "m.safetensors",
        "format": "safetensors",
        "size": 208,
        "framework": "PyTorch",
        "architecture": None,
        "parameters": 7,
        "parameters_by_type": {"F32": 6, "F64": 1},
        "weights_id": None,
        "shards": [],
        "hyper_parameters": {},
        "training": {},
        "metadata": {"format": "pt"},
        "notes": [],
        "tensors": [
            {"name": "a.weight", "type": "F32", "shape": [2, 3], "bytes": 24, "file": "m.safetensors"},
            {"name": "b", "type": "F64", "shape": [], "bytes": 8, "file": "m.safetensors"},
        ],
    }


def test_id_of_several_files(person: Person) -> None:
    (person.home / "other.safetensors").write_bytes(save(dict(reversed(ARRAYS.items()))))
    np.savez_compressed(person.home / "third.npz", **ARRAYS)
    done = person.run("cwt", "id", "m.safetensors", "other.safetensors", "third.npz")
    assert done.stdout == f"{ID}  m.safetensors\n{ID}  other.safetensors\n{ID}  third.npz\n"


def test_a_commit(person: Person) -> None:
    folder = person.repository("r")
    person.git("lfs", "track", "*.safetensors", cwd=folder)
    person.commit(folder, {"m.safetensors": (person.home / "m.safetensors").read_bytes()})
    (folder / "m.safetensors").write_bytes(b"changed")
    done = person.run("cwt", "id", "HEAD:m.safetensors", "HEAD:./m.safetensors", cwd=folder)
    assert done.stdout == f"{ID}  HEAD:m.safetensors\n{ID}  HEAD:./m.safetensors\n"


def test_names_do_not_reach_the_terminal_raw(person: Person) -> None:
    (person.home / "evil").write_bytes(save({"a\x1b[2Jb\n": ARRAYS["b"]}, {"k\x1b": "v\x07"}))
    shown = person.run("cwt", "inspect", "evil").stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "a\\x1b[2Jb\\n" in shown


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("none", 1, "error: cannot open 'none': no such file or directory\n"),
        (".", 1, "error: cannot open '.': it is a folder\nhint: name one file: of a sharded model its index"),
        (
            "text",
            4,
            "error: 'text': the content is no weight file that is known\nhint: safetensors, GGUF, PyTorch (zip)",
        ),
        ("cut", 4, "error: 'cut': the tensors end at byte 208, the file has 200: it is cut short (at byte 200)\n"),
        ("https://host/", 2, "error: 'https://host/' names no file\nhint: "),
        ("HEAD:x", 1, "error: cannot open 'HEAD:x': no such file, and no git repository here"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "id"])
def test_what_cannot_be_shown(person: Person, command: str, name: str, code: int, said: str) -> None:
    (person.home / "text").write_text("hello")
    (person.home / "cut").write_bytes((person.home / "m.safetensors").read_bytes()[:200])
    done = person.run("cwt", command, name, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said)
