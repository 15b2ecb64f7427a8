"""`cwt id`: the weights id of a model, streaming all its tensors at constant memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.client.weight_files import BadWeights
from hundredweight.formats.identity import digest_tensor, weights_id
from hundredweight.formats.source import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.client.weight_files import Model


def identify(model: Model, advance: Callable[[int], None] | None = None) -> str:
    """The id; `advance` is told bytes as they are hashed. Raises `CannotOpen` and `BadWeights`."""
    digests = []
    for part, tensor in model.tensors():
        try:
            digests.append(digest_tensor(tensor, model.content(part, tensor)))
        except FormatError as error:
            raise BadWeights(part.name, error) from error
        if advance is not None:
            advance(tensor.nbytes)
    return weights_id(digests)
