"""`cwt diff`: which models changed between two revisions, two files or in the work tree, and how, tensor by tensor.

`plan` asks git what a diff covers and sorts it into models (shards of one model together), other LFS objects and files that are
git's own; `compare_model` opens both sides of one model and compares them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.client import facts, tensor_diff
from hundredweight.client.tensor_hashes import KnownHashes, ModelHashes
from hundredweight.client.weight_files import Blobs, Folder, open_model, open_parts
from hundredweight.formats.names import is_weight_file
from hundredweight.git.scan import PointerFile, diff_changes, read_pointers, small_blobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hundredweight.client.facts import FactChange
    from hundredweight.client.tensor_diff import TensorDiff
    from hundredweight.client.tensor_hashes import TensorHashes
    from hundredweight.client.weight_files import Model
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.scan import Change
    from hundredweight.protocol.pointer import Pointer

_SHARD = re.compile(r"^(.*?)-\d{4,}-of-\d{4,}((?:\.[^./]+)+)$")


@dataclass(frozen=True)
class File:
    """One side of a changed file; `blob` is empty for what stands in the work tree. `pointer` where the blob is one."""

    path: str
    blob: str
    pointer: Pointer | None = None


@dataclass(frozen=True)
class Subject:
    """One model that changed, and its files on both sides: of a sharded model those shards that changed. None of a side where
    the model is new or gone."""

    name: str
    old: tuple[File, ...]
    new: tuple[File, ...]

    @property
    def files(self) -> tuple[File, ...]:
        return self.old + self.new


@dataclass
class Plan:
    """What a diff covers. `others` are paths that are not about weights: git shows them. `neighbours` are all files of each
    side, by path, as the place of models wants them."""

    subjects: list[Subject] = field(default_factory=list)
    others: list[Change] = field(default_factory=list)
    old: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)

    def pointers(self) -> list[PointerFile]:
        """Of all objects that the comparison reads."""
        return [
            PointerFile(file.path, file.pointer, file.blob)
            for subject in self.subjects
            for file in subject.files
            if file.pointer is not None
        ]


@dataclass(frozen=True)
class Version:
    """One side of a compared model."""

    name: str
    format: str
    size: int
    parameters: int
    files: tuple[str, ...]


@dataclass
class ModelDiff:
    """How one model changed. A version is None where the model is new or gone. `names` are all tensors of both."""

    name: str
    old: Version | None
    new: Version | None
    tensors: TensorDiff
    names: dict[str, None]
    facts: list[FactChange]


def plan(workspace: Workspace, arguments: Iterable[str]) -> Plan:
    """What `git diff ARGUMENTS` covers. Raises `ScanError` with git's own words."""
    git = workspace.repository.git
    made = Plan()
    found = list(diff_changes(git, *arguments))
    blobs = {blob: path for change in found for blob, path in _blobs(change)}
    # Both sides of one path may be pointers: `small_blobs` gives each blob once.
    pointers = {item.blob: item.pointer for item in read_pointers(git, small_blobs(git, blobs.items()))}
    candidates: list[tuple[File | None, File | None]] = []
    for change in found:
        old, new = _sides(change, pointers)
        if old is not None:
            made.old[old.path] = old.blob
        if new is not None:
            made.new[new.path] = new.blob
        if _is_about_weights(change, old, new):
            candidates.append((old, new))
        else:
            made.others.append(change)
    made.subjects = _group(candidates)
    return made


def _blobs(change: Change) -> list[tuple[str, str]]:
    sides = ((change.old_mode, change.old_blob, change.source), (change.new_mode, change.new_blob, change.path))
    return [(blob, path) for mode, blob, path in sides if mode.startswith("100") and blob.strip("0")]


def _sides(change: Change, pointers: Mapping[str, Pointer]) -> tuple[File | None, File | None]:
    made: list[File | None] = []
    sides = ((change.old_mode, change.old_blob, change.source), (change.new_mode, change.new_blob, change.path))
    for mode, blob, path in sides:
        name = blob if blob.strip("0") else ""
        made.append(File(path, name, pointers.get(name)) if mode.startswith("100") else None)
    return made[0], made[1]


def _is_about_weights(change: Change, old: File | None, new: File | None) -> bool:
    if change.status == "U" or (old is None and new is None):
        return False
    if old is not None and new is not None and old.blob == new.blob and old.path == new.path:
        # Only its mode changed.
        return False
    return any(file is not None and (file.pointer or is_weight_file(file.path)) for file in (old, new))


def _group(candidates: list[tuple[File | None, File | None]]) -> list[Subject]:
    """Shards of one model together, with the whole file that they came from or became."""
    shards: dict[str, list[tuple[File | None, File | None]]] = {}
    for pair in candidates:
        for file in pair:
            if file is not None and _stem(file.path) != file.path:
                shards.setdefault(_stem(file.path), [])
    made: dict[str, Subject] = {}
    for old, new in candidates:
        stems = [_stem(file.path) for file in (new, old) if file is not None]
        key = next((stem for stem in stems if stem in shards), "")
        path = (new or old).path  # type: ignore[union-attr]
        before = made.get(key or path, Subject(key or path, (), ()))
        made[key or path] = Subject(
            before.name, before.old + ((old,) if old else ()), before.new + ((new,) if new else ())
        )
    return list(made.values())


def _stem(path: str) -> str:
    """`model.safetensors` for `model-00001-of-00004.safetensors`."""
    found = _SHARD.match(path)
    return found[1] + found[2] if found else path


def compare_subject(
    workspace: Workspace, planned: Plan, subject: Subject, *, hint: str, statistics: bool = True,
    advance: Callable[[int], None] | None = None,
) -> ModelDiff:  # fmt: skip
    """Open both sides of a model and compare them. Raises `CannotOpen` (`hint` says how to get objects), `BadWeights`
    (`NotWeights` where it is none)."""
    folder = subject.name.rpartition("/")[0]
    sides: list[Model | None] = []
    try:
        for files, blobs in ((subject.old, planned.old), (subject.new, planned.new)):
            place = Blobs(workspace, blobs, hint)
            sides.append(open_parts(subject.name, place, [file.path for file in files]) if files else None)
        return compare_models(
            subject.name, sides[0], sides[1], f"{folder}/" if folder else "", statistics=statistics, advance=advance
        )
    finally:
        for model in sides:
            if model is not None:
                model.close()


def compare_targets(
    old: str, new: str, clone: Callable[[str], Workspace | None], *, statistics: bool = True,
    advance: Callable[[int], None] | None = None,
) -> ModelDiff:  # fmt: skip
    """Two models by what a user names (`weight_files.open_model`). Raises `CannotOpen`, `BadWeights`, `UsageError`."""
    with open_model(old, clone) as first, open_model(new, clone) as second:
        name = old if old == new else f"{old} -> {new}"
        return compare_models(name, first, second, "", statistics=statistics, advance=advance)


def compare_files(old: str, new: str, clone: Callable[[str], Workspace | None], name: str) -> ModelDiff:
    """Two files as git hands them to a diff driver: `/dev/null` where there is none; pointers are followed. Raises as
    `compare_subject`."""
    sides: list[Model | None] = []
    try:
        for path in (old, new):
            folder, _, file = path.rpartition("/")
            place = Folder(f"{folder}/", clone) if folder else Folder("", clone)
            sides.append(None if path == "/dev/null" else open_parts(name, place, [file]))
        return compare_models(name, sides[0], sides[1], "")
    finally:
        for model in sides:
            if model is not None:
                model.close()


def compare_models(
    name: str, old: Model | None, new: Model | None, folder: str, *, statistics: bool = True,
    advance: Callable[[int], None] | None = None,
) -> ModelDiff:  # fmt: skip
    """`folder` is where in their places the files beside them are. Raises `CannotOpen`, `BadWeights`."""
    first: TensorHashes = KnownHashes(()) if old is None else ModelHashes(old)
    second: TensorHashes = KnownHashes(()) if new is None else ModelHashes(new)
    tensors = tensor_diff.compare(first, second, statistics=statistics, advance=advance)
    names = dict.fromkeys([*first.facts, *second.facts])
    return ModelDiff(name, _version(old), _version(new), tensors, names, _facts(old, new, folder))


def _version(model: Model | None) -> Version | None:
    if model is None:
        return None
    parameters = sum(tensor.elements for _, tensor in model.tensors())
    return Version(model.name, model.format, model.size, parameters, tuple(part.name for part in model.parts))


def _facts(old: Model | None, new: Model | None, folder: str) -> list[FactChange]:
    """Of a model that is new or gone nothing: all of it is."""
    if old is None or new is None:
        return []
    found = facts.changes("", facts.facts_of(old), facts.facts_of(new))
    before, after = facts.facts_beside(old, folder), facts.facts_beside(new, folder)
    for source in facts.FILES:
        if source in before and source in after:
            found += facts.changes(source, before[source], after[source])
    return found
