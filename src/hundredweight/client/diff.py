"""`cwt diff`: which models changed between two revisions, two files or in the work tree, and how, tensor by tensor.

`plan` asks git what a diff covers and sorts it into models (shards of one model together), other LFS objects and files that are
git's own; `compare_model` opens both sides of one model and compares them.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from hundredweight.client import facts, tensor_diff
from hundredweight.client.remote_recipes import known
from hundredweight.client.summary import load, pointer_in, recipe_digests
from hundredweight.client.tensor_hashes import KnownHashes, ModelHashes
from hundredweight.client.weight_files import Blobs, Folder, ObjectNotHere, open_parts
from hundredweight.formats.names import is_weight_file
from hundredweight.formats.tensors import element_count
from hundredweight.git.scan import PointerFile, diff_changes, read_pointers, small_blobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hundredweight.client.facts import FactChange
    from hundredweight.client.summary import Summary
    from hundredweight.client.tensor_diff import TensorDiff
    from hundredweight.client.tensor_hashes import TensorHashes
    from hundredweight.client.weight_files import Model, Place
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
    missing: ObjectNotHere | None = None
    """Why there are no statistics though they were asked for: hashes are known, data is not here."""
    renamed_from: str = ""


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
    folder, slash, _ = subject.name.rpartition("/")
    with ExitStack() as opened:
        sides = [
            _open_side(
                opened, subject.name, Blobs(workspace, blobs, hint), [file.path for file in files],
                partial(_known_of, workspace, files), folder + slash,
            )
            for files, blobs in ((subject.old, planned.old), (subject.new, planned.new))
        ]  # fmt: skip
        found = _compare(subject.name, sides[0], sides[1], statistics=statistics, advance=advance)
    if len(subject.old) == len(subject.new) == 1 and subject.old[0].path != subject.new[0].path:
        found.renamed_from = subject.old[0].path
    return found


def compare_models(
    old: Model, new: Model, *, statistics: bool = True, advance: Callable[[int], None] | None = None
) -> ModelDiff:
    """Two open models, whatever they are called. Raises `CannotOpen`, `BadWeights`."""
    name = old.name if old.name == new.name else f"{old.name} -> {new.name}"
    return _compare(name, _side(old), _side(new), statistics=statistics, advance=advance)


def compare_files(old: str, new: str, clone: Callable[[str], Workspace | None], name: str) -> ModelDiff:
    """Two files as git hands them to a diff driver: `/dev/null` where there is none; pointers are followed. Raises as
    `compare_subject`."""
    with ExitStack() as opened:
        sides = []
        for path in (old, new):
            folder, slash, file = path.rpartition("/")
            files = [] if path == "/dev/null" else [file]
            sides.append(
                _open_side(
                    opened,
                    name,
                    Folder(folder + slash, clone),
                    files,
                    partial(_known_of_file, path, clone),
                )
            )
        return _compare(name, sides[0], sides[1])


@dataclass(frozen=True)
class _Known:
    """What is known of one side's objects without reading them: `summaries` of all or None, `digests` of some tensors."""

    summaries: list[Summary] | None = None
    digests: Mapping[str, bytes] = field(default_factory=dict)


def _known_of(workspace: Workspace, files: Iterable[File]) -> _Known:
    found = [(file.pointer, file.pointer and _summary(workspace, file.pointer)) for file in files]
    summaries = [summary for _, summary in found if summary]
    digests = {row.fact.name: row.digest for summary in summaries for row in summary.rows}
    for pointer, summary in found:
        if pointer and not summary:
            digests.update(recipe_digests(workspace, pointer.oid))
    return _Known(summaries if len(summaries) == len(found) else None, digests)


def _summary(workspace: Workspace, pointer: Pointer) -> Summary | None:
    """What was kept about an object; of one that is not here also what the server's recipe told."""
    kept = load(workspace, pointer.oid)
    return kept or (None if workspace.store.has(pointer.oid, pointer.size) else known(workspace, pointer.oid))


def _known_of_file(path: str, clone: Callable[[str], Workspace | None]) -> _Known:
    pointer = pointer_in(path)
    workspace = clone(".") if pointer is not None else None
    return _Known() if workspace is None else _known_of(workspace, [File(path, "", pointer)])


@dataclass
class _Side:
    """One version of a model: open, or known by its hashes alone (`missing` says why). Without a version there is none."""

    hashes: TensorHashes
    version: Version | None = None
    facts: dict[str, str] = field(default_factory=dict)
    beside: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: ObjectNotHere | None = None


def _open_side(
    opened: ExitStack, name: str, place: Place, files: list[str], ask: Callable[[], _Known], folder: str = ""
) -> _Side:  # fmt: skip
    """`folder` is where in their place the files beside the model are."""
    if not files:
        return _Side(KnownHashes(()))
    known = ask()
    try:
        model = opened.enter_context(open_parts(name, place, files))
    except ObjectNotHere as error:
        if known.summaries is None:
            raise
        return _known_side(name, files, known.summaries, error)
    return _side(model, known.digests, folder)


def _side(model: Model, digests: Mapping[str, bytes] | None = None, folder: str = "") -> _Side:
    parameters = sum(tensor.elements for _, tensor in model.tensors())
    version = Version(model.name, model.format, model.size, parameters, tuple(part.name for part in model.parts))
    return _Side(ModelHashes(model, digests), version, facts.facts_of(model), facts.facts_beside(model, folder))


def _known_side(name: str, files: list[str], summaries: list[Summary], missing: ObjectNotHere) -> _Side:
    rows = [row for summary in summaries for row in summary.rows]
    parameters = sum(element_count(row.fact.shape) for row in rows)
    size = sum(summary.size for summary in summaries)
    version = Version(name, summaries[0].format, size, parameters, tuple(files))
    told = {key: value for summary in summaries for key, value in summary.facts.items()}
    return _Side(KnownHashes(rows), version, told, missing=missing)


def _compare(
    name: str, old: _Side, new: _Side, *, statistics: bool = True, advance: Callable[[int], None] | None = None
) -> ModelDiff:
    tensors = tensor_diff.compare(old.hashes, new.hashes, statistics=statistics, advance=advance)
    names = dict.fromkeys([*old.hashes.facts, *new.hashes.facts])
    changed: list[FactChange] = []
    # A version that is known by its recipe alone has no metadata here, which does not mean that it has none.
    told = all(side.facts or side.missing is None for side in (old, new))
    if told and old.version is not None and new.version is not None:
        # Of a model that is new or gone all of it is.
        changed = facts.changes("", old.facts, new.facts)
        for source in facts.FILES:
            if source in old.beside and source in new.beside:
                changed += facts.changes(source, old.beside[source], new.beside[source])
    missing = (new.missing or old.missing) if statistics else None
    return ModelDiff(name, old.version, new.version, tensors, names, changed, missing)
