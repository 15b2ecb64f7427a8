"""Which transfer adapters there are for a server, best first; the batch call offers their names and the answer chooses one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.protocol.batch import BASIC, UPLOAD
from hundredweight.protocol.blocks import TRANSFER as IN_BLOCKS
from hundredweight.protocol.parts import TRANSFER as IN_PARTS
from hundredweight.transfer.basic import BasicAdapter
from hundredweight.transfer.local import ADAPTER as LOCAL
from hundredweight.transfer.local import LocalAdapter
from hundredweight.transfer.parts import PartsAdapter

if TYPE_CHECKING:
    from hundredweight.store.loose import LooseStore
    from hundredweight.transfer.actions import Adapter
    from hundredweight.transfer.blocks import Nearby
    from hundredweight.transfer.server import LfsServer


def adapters_for(
    server: LfsServer, direction: str, store: LooseStore, connections: int, nearby: Nearby | None = None
) -> dict[str, Adapter]:
    """By name; the last one is for servers that know none of the others. `connections` bounds those of one adapter; with
    `nearby`,
    objects may move as blocks."""
    if server.endpoint.is_local:
        return {LOCAL: LocalAdapter(store, server)}
    basic = BasicAdapter(server, store)
    found: dict[str, Adapter] = {}
    if server.session.config.bool("lfs.basictransfersonly", False):
        return {BASIC: basic}
    parts = PartsAdapter(server, basic, connections) if direction == UPLOAD else None
    if nearby is not None:
        from hundredweight.transfer.blocks import BlocksAdapter  # noqa: PLC0415 - numpy, only for who uses packs

        found[IN_BLOCKS] = BlocksAdapter(server, store, nearby, parts, basic)
    if parts is not None:
        found[IN_PARTS] = parts
    return {**found, BASIC: basic}
