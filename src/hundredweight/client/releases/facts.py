"""What is behind a revision: its experiment's record where that made its weights, else what its files and message say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from hundredweight.base.errors import CwtError
from hundredweight.base.ids import Oid
from hundredweight.base.trace import trace
from hundredweight.client import summary
from hundredweight.client.lineage_settings import of_revision
from hundredweight.client.remote_recipes import known
from hundredweight.client.weight_files import NotWeights
from hundredweight.formats.identity import TensorDigest, weights_id
from hundredweight.git.objects import ObjectReader
from hundredweight.git.patterns import PathFilter
from hundredweight.git.scan import tree_entries
from hundredweight.lineage import message, metrics, parameters, record
from hundredweight.lineage.block import Facts
from hundredweight.lineage.data import data_versions
from hundredweight.lineage.environment import parse_requirements
from hundredweight.lineage.fields import RecordInvalid
from hundredweight.lineage.record import FOLDER, Environment
from hundredweight.lineage.weights import weights_in
from hundredweight.protocol.pointer import Pointer, try_parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git
    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.record import Record, Weights
    from hundredweight.lineage.releases import Release
    from hundredweight.lineage.settings import LineageSettings

_Read = TypeVar("_Read")
MAX_LISTED = 16 << 20
"""Bytes of a file of metrics, parameters or packages that is read from a tree."""


def facts_of(
    workspace: Workspace,
    revision: str,
    *,
    experiment: Record | None = None,
    hash_weights: bool = False,
    patterns: Sequence[str] = (),
    files: bool = True,
) -> Facts:
    """What is behind a revision. `experiment` is the one that is known to have made its weights, by default the newest record in
    its tree that has them; `patterns` say which files are its weights, by default the settings do; `files`:
    without an experiment what the settings' files say counts. Weights ids are given
    where they are at hand; `hash_weights` reads the objects that are here for
    them. Raises `RecordInvalid` (settings), `ScanError`, and with `hash_weights` `BadWeights`."""
    git = workspace.git
    settings = of_revision(git, revision)
    here = weights_in(git, revision, patterns or settings.weights)
    made = experiment or record_of(git, revision, here)
    ids = {each.oid: each.weights_id for each in made.weights} if made is not None else {}
    weights = tuple(
        replace(each, weights_id=ids.get(each.oid) or weights_id_of(workspace, each, read=hash_weights))
        for each in here
    )
    if made is not None:
        facts = Facts.of_record(made, made.id)
        return replace(facts, weights=weights, data=facts.data or data_of(git, revision, settings))
    return replace(_from_files(git, revision, settings) if files else Facts(), weights=weights)


def facts_of_release(workspace: Workspace, release: Release) -> Facts:
    """What the tag says, else what is behind its commit; nothing of that where the commit's settings are another model's. Raises
    as `facts_of`."""
    if release.facts != Facts() or release.fault:
        return release.facts
    model = of_revision(workspace.git, release.commit).model
    return Facts() if model and release.model not in ("", model) else facts_of(workspace, release.commit)


def record_of(git: Git, revision: str, weights: Sequence[Weights]) -> Record | None:
    """The newest experiment whose record is in the tree and whose weights are those of the tree; None where there is none."""
    held = {each.path: each.oid for each in weights}
    listed = git.run("ls-tree", "-z", "--name-only", f"{revision}:{FOLDER}")
    names = sorted(listed.out.decode("utf-8", "replace").split("\0"), reverse=True)
    paths = [f"{revision}:{FOLDER}/{name}" for name in names if name.endswith(".json")]
    with ObjectReader(git) as reader:
        for path in paths:
            content = next(iter(reader.contents([path])))
            try:
                made = record.decode(content[1], path) if content is not None else None
            except RecordInvalid as error:
                trace(str(error))
                continue
            shared = [each for each in made.weights if each.path in held] if made is not None else []
            if shared and all(held[each.path] == each.oid for each in shared):
                return made
    return None


def data_of(git: Git, revision: str, settings: LineageSettings) -> tuple[record.DataVersion, ...]:
    """The data paths that the revision has."""
    found = data_versions(git, revision, settings.data, settings.data_version)
    return tuple(each for each in found if each.digest)


def weights_id_of(workspace: Workspace, weights: Weights, *, read: bool = False) -> str:
    """The id of the tensors of an object, from what is kept about it or its recipe; `read`: else from the object, where it is
    here. Empty where it is not known, or is no weight file of a format that is read. Raises `BadWeights`, `CannotOpen`."""
    oid = Oid.parse(weights.oid)
    told = summary.load(workspace, oid) or known(workspace, oid)
    if told is None and workspace.store.has_packs:
        recipe = workspace.store.packs.recipe(oid)
        found = recipe.weights_id() if recipe is not None else ""
        if found:
            return found
    if told is None and read and workspace.store.has(oid, weights.size):
        told = _read(workspace, weights.path, Pointer(oid, weights.size))
    if told is None or not told.complete or not told.rows:
        return ""
    return weights_id(TensorDigest(row.fact.name, row.fact.dtype, row.fact.shape, row.digest) for row in told.rows)


def _read(workspace: Workspace, path: str, pointer: Pointer) -> summary.Summary | None:
    try:
        return summary.summarise_stored(workspace, path, pointer)
    except NotWeights:
        return None


def _from_files(git: Git, revision: str, settings: LineageSettings) -> Facts:
    """Without a record: the files that the settings name, and what the commit's message says of a training."""
    said = message.read(git.output("log", "-1", "--format=%B", revision).decode("utf-8", "replace"))
    found_metrics: dict[str, Value] = dict(said.metrics) if said is not None else {}
    found_parameters: dict[str, Value] = dict(said.parameters) if said is not None else {}
    wanted = (*settings.parameters, *settings.metrics, settings.environment)
    environment = Environment()
    for path, content in _files(git, revision, [pattern for pattern in wanted if pattern]):
        if PathFilter(settings.metrics, default=False).allows(path):
            read = _attempt(metrics.read, path, content)
            found_metrics |= {} if read is None else read.final
        elif PathFilter(settings.parameters, default=False).allows(path):
            found_parameters |= _attempt(parameters.read, path, content) or {}
        else:
            packages = _attempt(parse_requirements, path, content)
            environment = Environment(file=path, packages=packages or {})
    return Facts(found_metrics, found_parameters, (), data_of(git, revision, settings), environment)


def _attempt(read: Callable[[str, bytes], _Read], path: str, content: bytes) -> _Read | None:
    """A file that says nothing readable says nothing: the rest is still worth knowing."""
    try:
        return read(path, content)
    except CwtError as error:
        trace(str(error))
        return None


def _files(git: Git, revision: str, patterns: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Small plain files of a tree that patterns name, with their contents."""
    chosen = PathFilter(patterns, default=False)
    entries = [
        e for e in tree_entries(git, revision) if e.is_regular and e.size <= MAX_LISTED and chosen.allows(e.path)
    ]
    with ObjectReader(git) as reader:
        for entry, content in zip(entries, reader.contents(entry.blob for entry in entries), strict=True):
            if content is not None and not (content[1] and try_parse(content[1])):
                yield entry.path, content[1]
