"""What the tensors of one version of a model are called, and what they hash to: from its data, a cache, or a recipe alone.

`TensorHashes` is all that is needed to tell which tensors changed; only statistics need data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from blake3 import blake3

from hundredweight.client.weight_files import BadWeights
from hundredweight.formats.identity import digest_tensor
from hundredweight.formats.source import FormatError
from hundredweight.formats.tensors import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hundredweight.client.weight_files import Model, Part
    from hundredweight.formats.tensors import Tensor

CHUNK = 1 << 20


class TensorFact(NamedTuple):
    """One tensor without its bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


class TensorHashes(Protocol):
    """The tensors of one version. `digest` gives the BLAKE3-256 of the canonical bytes; it may read them, and raises
    `CannotOpen`, `BadWeights`. `known` says that all digests are at hand. `place` is where a tensor's data is, None where the
    data is not here (for all tensors, then)."""

    @property
    def facts(self) -> Mapping[str, TensorFact]: ...

    @property
    def known(self) -> bool: ...

    @property
    def has_data(self) -> bool: ...

    def digest(self, name: str) -> bytes: ...

    def place(self, name: str) -> tuple[Model, Part, Tensor]: ...


class KnownHashes:
    """Hashes alone, without data: what a recipe keeps."""

    known = True
    has_data = False

    def __init__(self, rows: Iterable[tuple[TensorFact, bytes]]) -> None:
        self.facts: dict[str, TensorFact] = {}
        self._digests: dict[str, bytes] = {}
        for fact, digest in rows:
            self.facts[fact.name] = fact
            self._digests[fact.name] = digest

    def digest(self, name: str) -> bytes:
        return self._digests[name]

    def place(self, name: str) -> tuple[Model, Part, Tensor]:
        raise KeyError(name)


class ModelHashes:
    """Hashes of an open model, each computed when it is first asked for, unless `digests` has it."""

    has_data = True

    def __init__(self, model: Model, digests: Mapping[str, bytes] | None = None) -> None:
        self._model = model
        self._places: dict[str, tuple[Part, Tensor]] = {}
        self.facts: dict[str, TensorFact] = {}
        for part, tensor in model.tensors():
            if tensor.name in self.facts:
                other = self._places[tensor.name][0].name
                raise BadWeights(part.name, FormatError(f"tensor '{shorten(tensor.name)}' is also in '{other}'"))
            self._places[tensor.name] = part, tensor
            self.facts[tensor.name] = TensorFact(tensor.name, tensor.dtype, tensor.shape, tensor.nbytes)
        self._digests = dict(digests or {})
        self.known = self._digests.keys() >= self.facts.keys()

    def digest(self, name: str) -> bytes:
        found = self._digests.get(name)
        if found is None:
            found = self._digests[name] = hash_tensor(*self.place(name))
        return found

    def place(self, name: str) -> tuple[Model, Part, Tensor]:
        return self._model, *self._places[name]


def hash_tensor(model: Model, part: Part, tensor: Tensor) -> bytes:
    """BLAKE3-256 of the canonical bytes, at constant memory. Raises `CannotOpen`, `BadWeights`."""
    if not tensor.plain:
        try:
            return digest_tensor(tensor, model.content(part, tensor)).digest
        except FormatError as error:
            raise BadWeights(tensor.file or part.name, error) from error
    source = model.source_of(part, tensor)
    buffer = memoryview(bytearray(min(CHUNK, tensor.nbytes)))
    machine = blake3()
    for at in range(tensor.start, tensor.end, CHUNK):
        view = buffer[: min(CHUNK, tensor.end - at)]
        source.read_into(at, view)
        machine.update(view)
    return machine.digest()
