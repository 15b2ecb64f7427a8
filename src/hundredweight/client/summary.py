"""A weight file in lines of text, one a tensor with its hash: what git compares instead of the bytes (its `textconv`).

Git starts it for each side of each file, so numpy stays out, and what an object's tensors hash to is kept by object id in
`hundredweight/tensors` below the common git folder (any file there may be deleted at any time).
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from hundredweight.base.files import AtomicFile, WriteError
from hundredweight.base.trace import trace
from hundredweight.client.facts import facts_of
from hundredweight.client.tensor_hashes import ModelHashes, TensorFact
from hundredweight.client.weight_files import (
    BadWeights,
    CannotOpen,
    Folder,
    NotWeights,
    ObjectNotHere,
    open_parts,
    open_stored,
)
from hundredweight.formats.tensors import shorten
from hundredweight.protocol.pointer import CUTOFF, try_parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from hundredweight.base.ids import Oid
    from hundredweight.client.weight_files import Model, Opened
    from hundredweight.client.workspace import Workspace
    from hundredweight.protocol.pointer import Pointer

_CHUNK = 1 << 20
_VERSION = 1
HASH_DIGITS = 16
FETCH = "'git lfs fetch REMOTE COMMIT' downloads it"
NOT_HERE = f"the object is not here; {FETCH}"


class Row(NamedTuple):
    """A tensor and the BLAKE3-256 of its bytes; empty where they are in another file that is not here."""

    fact: TensorFact
    digest: bytes


class Summary(NamedTuple):
    """All that is shown of one weight file. `facts` is its metadata as text."""

    format: str
    size: int
    facts: Mapping[str, str]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def complete(self) -> bool:
        return all(row.digest for row in self.rows)

    def lines(self) -> Iterator[str]:
        """A header, metadata, then each tensor in the order of the file."""
        yield f"{self.format} {len(self.rows)} tensors"
        for key, value in self.facts.items():
            yield f"metadata {shorten(key, 200)} = {_printable(value)}"
        for note in self.notes:
            yield f"note {_printable(note)}"
        for fact, digest in self.rows:
            shape = "x".join(map(str, fact.shape)) or "scalar"
            known = digest.hex()[:HASH_DIGITS] if digest else "not-here"
            yield f"{shorten(fact.name, 400)} {fact.dtype} {shape} {known}"


def describe(path: str, clone: Callable[[str], Workspace | None]) -> Iterator[str]:
    """The lines of a file, a pointer followed to its object: of weights its tensors, else id and size. Whatever is wrong with
    the content is told in a line; raises `CannotOpen` only where `path` itself cannot be read."""
    folder, _, name = path.rpartition("/")
    folder = f"{folder}/" if folder else ""
    pointer = pointer_in(path)
    workspace = clone(folder or ".") if pointer is not None else None
    try:
        yield from summary_of(Folder(folder, clone), name, path, pointer, workspace).lines()
        return
    except ObjectNotHere:
        yield NOT_HERE
    except NotWeights:
        pass
    except BadWeights as error:
        yield f"damaged: {error.fault}"
    except CannotOpen as error:
        yield f"unreadable: {error}"
    yield from _identity(path, pointer)


def pointer_in(path: str) -> Pointer | None:
    """The pointer that a file is. Raises `CannotOpen`."""
    with open_file(path) as file:
        head = file.read(CUTOFF)
    return try_parse(head) if 0 < len(head) < CUTOFF else None


def summary_of(place: Folder, name: str, shown: str, pointer: Pointer | None, workspace: Workspace | None) -> Summary:
    """Of a file of a place; of a pointer from what is kept, else from the object, and kept then. Raises `CannotOpen`,
    `BadWeights`."""
    if pointer is not None and workspace is not None:
        kept = load(workspace, pointer.oid)
        if kept is not None:
            return kept
    digests = None if pointer is None or workspace is None else recipe_digests(workspace, pointer.oid)
    with open_parts(shown, place, [name]) as model:
        made = summarise(model, digests)
    if pointer is not None and workspace is not None and made.complete:
        save(workspace, pointer.oid, made)
    return made


def recipe_digests(workspace: Workspace, oid: Oid) -> dict[str, bytes]:
    """What the recipe of a packed object knows of its tensors, by name; nothing where it is not packed. Raises `DamageError`."""
    recipe = workspace.store.packs.recipe(oid) if workspace.store.has_packs else None
    if recipe is None:
        return {}
    from hundredweight.store.recipe import NOT_HASHED  # noqa: PLC0415 - only where there are packs

    return {row.name: row.digest for row in recipe.tensors if row.start != NOT_HASHED}


def summarise(model: Model, digests: Mapping[str, bytes] | None = None) -> Summary:
    """Tensors that are not in `digests` are hashed, at constant memory. Raises `BadWeights`."""
    hashes = ModelHashes(model, digests)
    rows = tuple(Row(fact, _digest(hashes, fact.name)) for fact in hashes.facts.values())
    notes = tuple(note for part in model.parts for note in part.weights.notes)
    return Summary(model.format, model.size, facts_of(model), notes, rows)


def summarise_stored(workspace: Workspace, path: str, pointer: Pointer) -> Summary:
    """That of an object of the store, from its data; it is kept where it is complete. `path` is what errors call it. Raises
    `CannotOpen`, `BadWeights` (`NotWeights` where it is none), `DamageError`."""
    with open_parts(path, _Stored(workspace, pointer), [path]) as model:
        made = summarise(model)
    if made.complete:
        save(workspace, pointer.oid, made)
    return made


class _Stored:
    """A place where every name is one object of the store."""

    def __init__(self, workspace: Workspace, pointer: Pointer) -> None:
        self._workspace = workspace
        self._pointer = pointer

    def open(self, name: str) -> Opened:
        return open_stored(self._workspace.store, self._pointer, name)


def _digest(hashes: ModelHashes, name: str) -> bytes:
    try:
        return hashes.digest(name)
    except CannotOpen:
        # ONNX keeps large tensors in files beside: git hands over one file alone.
        return b""


def load(workspace: Workspace, oid: Oid) -> Summary | None:
    """What is kept about an object; None where nothing is, or nothing that can be read."""
    try:
        with open(_kept(workspace, oid), "rb") as file:
            told = json.loads(file.read())
        if told["version"] != _VERSION:
            return None
        rows = tuple(
            Row(TensorFact(name, dtype, tuple(shape), nbytes), bytes.fromhex(digest))
            for name, dtype, shape, nbytes, digest in told["tensors"]
        )
        return Summary(told["format"], told["size"], told["facts"], tuple(told["notes"]), rows)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        trace(f"what is kept about {oid} is not readable: {error}")
        return None


def save(workspace: Workspace, oid: Oid, summary: Summary) -> None:
    """Keep it; where that cannot be written, it is computed again the next time."""
    told = {
        "version": _VERSION,
        "format": summary.format,
        "size": summary.size,
        "facts": dict(summary.facts),
        "notes": summary.notes,
        "tensors": [[*row.fact, row.digest.hex()] for row in summary.rows],
    }
    target = _kept(workspace, oid)
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with AtomicFile(target) as file:
            file.write(json.dumps(told, separators=(",", ":")).encode())
            file.commit()
    except (OSError, WriteError) as error:
        trace(f"cannot keep what the tensors of {oid} hash to: {error}")


def _kept(workspace: Workspace, oid: Oid) -> str:
    return os.path.join(workspace.repository.common_dir, "hundredweight", "tensors", oid[:2], oid)


def open_file(path: str) -> BinaryIO:
    """Raises `CannotOpen`."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise CannotOpen(path, (error.strerror or str(error)).lower()) from error


def _identity(path: str, pointer: Pointer | None) -> Iterator[str]:
    """Id and size of the object, as its pointer has them."""
    if pointer is None:
        machine, size = hashlib.sha256(), 0
        with open_file(path) as file:
            while data := file.read(_CHUNK):
                machine.update(data)
                size += len(data)
        yield f"oid sha256:{machine.hexdigest()}"
        yield f"size {size}"
        return
    yield f"oid sha256:{pointer.oid}"
    yield f"size {pointer.size}"


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
