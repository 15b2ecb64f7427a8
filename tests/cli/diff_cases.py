"""Every kind of change to a weight file, as git shows it: the examples in docs/diff.md.

`python -m tests.cli.diff_cases` writes them into the page; `test_diff_cases.py` compares.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hundredweight.client.history_view import driver_config
from tests.people import Person

PAGE = Path(__file__).parents[2] / "docs" / "diff.md"
START = "<!-- written by tests/cli/diff_cases.py: start -->"
END = "<!-- written by tests/cli/diff_cases.py: end -->"
TYPES = {"float32": "F32", "float16": "F16", "int64": "I64"}
Arrays = Mapping[str, Any]


def weights(arrays: Arrays, metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file whose bytes are the same for ever."""
    header: dict[str, object] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    at = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(array.tobytes() for array in arrays.values())


def arrays(scale: float = 1.0) -> dict[str, Any]:
    made: dict[str, Any] = {"embed.weight": np.arange(32, dtype=np.float32).reshape(8, 4) / 8}
    for layer in range(2):
        made[f"layers.{layer}.weight"] = (np.arange(16, dtype=np.float32).reshape(4, 4) - 8) / 16
        made[f"layers.{layer}.bias"] = np.zeros(4, np.float32)
    made["head.weight"] = np.arange(8, dtype=np.float32).reshape(2, 4) * np.float32(scale)
    return made


@dataclass(frozen=True)
class Case:
    """Files before and after; what is None is not there."""

    title: str
    old: Mapping[str, bytes | None]
    new: Mapping[str, bytes | None]
    tells: tuple[str, str] = ("", "")
    """What of the two outputs goes into the table: lines that contain it."""


def cases() -> list[Case]:
    base, path = arrays(), "model.safetensors"
    grown, retyped = dict(base), dict(base)
    grown["layers.2.weight"] = base["layers.1.weight"] * 2
    retyped["head.weight"] = base["head.weight"].astype(np.float16)
    renamed = {name.replace("head.", "lm_head."): array for name, array in base.items()}
    reshaped = {**base, "embed.weight": base["embed.weight"].reshape(4, 8)}
    resized = {**base, "embed.weight": np.arange(40, dtype=np.float32).reshape(10, 4) / 8}
    changed = {**base, "layers.1.weight": base["layers.1.weight"] * np.float32(1.001)}
    half = list(base.items())
    broken = {**base, "layers.1.bias": np.array([np.nan, np.inf, 0, 1], np.float32)}
    shards = {
        "model-00001-of-00002.safetensors": weights(dict(half[:3])),
        "model-00002-of-00002.safetensors": weights(dict(half[3:])),
    }
    whole = weights(base)
    return [
        Case("tensor added", {path: whole}, {path: weights(grown)}, ("added F32", "layers.2")),
        Case("tensor removed", {path: weights(grown)}, {path: whole}, ("removed F32", "layers.2")),
        Case("tensor renamed", {path: whole}, {path: weights(renamed)}, ("renamed from", "head.")),
        Case("tensor reshaped", {path: whole}, {path: weights(reshaped)}, ("embed.", "embed.")),
        Case("tensor resized", {path: whole}, {path: weights(resized)}, ("embed.", "embed.")),
        Case("type changed", {path: whole}, {path: weights(retyped)}, ("head.", "head.")),
        Case("values changed", {path: whole}, {path: weights(changed)}, ("  weight", "layers.1.weight")),
        Case("values became NaN", {path: whole}, {path: weights(broken)}, ("  bias", "layers.1.bias")),
        Case("metadata only", {path: whole}, {path: weights(base, {"epoch": "3"})}, ("epoch", "epoch")),
        Case("new file", {}, {path: whole}, ("new:", "tensors")),
        Case("file removed", {path: whole}, {path: None}, ("removed:", "tensors")),
        Case("resharded", {path: whole}, {path: None, **shards}, (", 3 tensors", "tensors")),
        Case("not a weight file", {"data.bin": b"1,2\n"}, {"data.bin": b"1,2\n3,4\n"}, ("oid", "oid")),
        Case("truncated file", {path: whole}, {path: whole[:-5]}, ("  'model", "damaged")),
        Case("object not here", {path: whole}, {path: weights(changed)}, ("  the", "oid")),
    ]


def show(case: Case, folder: Path) -> tuple[str, str, str]:
    """What `git diff`, `git show` and `cwt diff` print about the change, in a clone set up as `cwt init` does."""
    person = Person("test", folder)
    repository = person.repository("r")
    person.git("lfs", "install", "--local", cwd=repository)
    for key, value in driver_config():
        person.git("config", key, value, cwd=repository)
    attributes = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in ("safetensors", "bin"))
    (repository / ".gitattributes").write_text(attributes)
    person.commit(repository, present(case.old), "old")
    for path, content in case.new.items():
        if content is None:
            (repository / path).unlink()
    person.commit(repository, present(case.new), "new")
    if case.title == "object not here":
        lose_objects(repository)
    # As after a clone that skips smudging: the filter would refuse to make the files that git compares.
    person.env["GIT_LFS_SKIP_SMUDGE"] = "1"
    diff = person.run("git", "diff", "HEAD~", "HEAD", cwd=repository).stdout
    shown = person.run("git", "show", "--format=", "-U0", "HEAD", cwd=repository).stdout
    done = person.run("cwt", "diff", "main~", "main", cwd=repository, check=False)
    return diff, shown, done.stdout + done.stderr


def lose_objects(repository: Path) -> None:
    for file in (repository / ".git" / "lfs" / "objects").rglob("*"):
        if file.is_file():
            file.unlink()
    # Git compares files of the work tree where it can.
    (repository / "model.safetensors").unlink()


def present(files: Mapping[str, bytes | None]) -> dict[str, bytes]:
    return {path: content for path, content in files.items() if content is not None}


def describe(case: Case, folder: Path) -> tuple[str, str]:
    """A case's row in the table, and its section."""
    diff, shown, ours = show(case, folder)
    patch = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    row = f"| {case.title} | {cell(diff.splitlines(), case.tells[0])} | {cell(patch, case.tells[1])} |"
    parts = [f"### {case.title}", f"`git diff`\n\n{block(diff)}", f"`git show -U0`\n\n{block(shown)}"]
    if ours.strip() != diff.strip():
        parts.append(f"`cwt diff`\n\n{block(ours)}")
    return row, "\n\n".join(parts)


def table() -> str:
    """The part of docs/diff.md that is written here."""
    rows = ["| change | `git diff` | `git show`, `git log -p` |", "|---|---|---|"]
    sections = []
    for case in cases():
        with tempfile.TemporaryDirectory() as folder:
            row, section = describe(case, Path(folder))
        rows.append(row)
        sections.append(section)
    return "\n".join(rows) + "\n\n" + "\n\n".join(sections)


def block(text: str) -> str:
    return "```text\n" + text.strip("\n") + "\n```"


def cell(lines: list[str], part: str) -> str:
    found = [(line, " ".join(line.split())) for line in lines]
    kept = [squeezed for line, squeezed in found if part in line or part in squeezed]
    return "<br>".join(f"`{line.replace('|', '/')}`" for line in kept)


def with_table(page: str, made: str) -> str:
    before, _, rest = page.partition(START)
    return f"{before}{START}\n\n{made}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
