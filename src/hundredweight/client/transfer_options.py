"""How a clone moves objects: git's configuration, and, where packs are on, as blocks."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from hundredweight.transfer.queue import read_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.base.files import AtomicFile
    from hundredweight.base.ids import Oid
    from hundredweight.client.nearby import NearbyObjects
    from hundredweight.client.workspace import Workspace
    from hundredweight.store.pack import PackStreamWriter
    from hundredweight.store.recipe import Recipe
    from hundredweight.transfer.blocks import Known, Receiver
    from hundredweight.transfer.queue import TransferOptions

PACKS = "hundredweight.packs"


def transfer_options(workspace: Workspace, ref: str = "") -> TransferOptions:
    """`ref` is the full name of the ref that the objects belong to."""
    options = read_options(workspace.config, ref)
    if not workspace.config.bool(PACKS, False):
        return options
    return replace(options, nearby=_NearbyLater(workspace))


def drop_packed(options: TransferOptions) -> None:
    """After transfers: drop loose copies of what packs hold now. Call when nobody wants to copy them any more."""
    if options.nearby is not None:
        options.nearby.settle()


class _NearbyLater:
    """A `transfer.blocks.Nearby` that keeps what moves as packs. Its code (numpy) is loaded when an object moves as blocks: to
    load it takes as long as to download a few hundred small objects, none of which does."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._made: NearbyObjects | None = None

    def own(self, oid: Oid, size: int) -> Known | None:
        return self._loaded().own(oid, size)

    def near(self, recipe: Recipe, name: str) -> Sequence[Known]:
        return self._loaded().near(recipe, name)

    def sent(self, stream: PackStreamWriter, file: AtomicFile) -> None:
        self._loaded().sent(stream, file)

    def receiver(self, recipe: Recipe) -> Receiver | None:
        return self._loaded().receiver(recipe)

    def forget(self, oid: Oid) -> None:
        self._loaded().forget(oid)

    def settle(self) -> None:
        if self._made is not None:
            self._made.settle()

    def _loaded(self) -> NearbyObjects:
        with self._lock:
            if self._made is None:
                from hundredweight.client.nearby import NearbyObjects  # noqa: PLC0415 - numpy

                self._made = NearbyObjects(self._workspace, keep=True)
            return self._made
