"""How a clone moves objects: git's configuration, and, where packs are on, as blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hundredweight.transfer.queue import read_options

if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace
    from hundredweight.transfer.queue import TransferOptions

PACKS = "hundredweight.packs"


def transfer_options(workspace: Workspace, ref: str = "") -> TransferOptions:
    """`ref` is the full name of the ref that the objects belong to."""
    options = read_options(workspace.config, ref)
    if not workspace.config.bool(PACKS, False):
        return options
    from hundredweight.client.nearby import NearbyObjects  # noqa: PLC0415 - numpy, only for who uses packs

    return replace(options, nearby=NearbyObjects(workspace, keep=True))


def drop_packed(options: TransferOptions) -> None:
    """After transfers: drop loose copies of what packs hold now. Call when nobody wants to copy them any more."""
    if options.nearby is not None:
        options.nearby.settle()
