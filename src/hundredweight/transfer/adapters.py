"""Which transfer adapters there are for a server, best first; the batch call offers their names and the answer chooses one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.protocol.batch import BASIC, UPLOAD
from hundredweight.protocol.parts import TRANSFER as IN_PARTS
from hundredweight.transfer.basic import BasicAdapter
from hundredweight.transfer.local import ADAPTER as LOCAL
from hundredweight.transfer.local import LocalAdapter
from hundredweight.transfer.parts import PartsAdapter

if TYPE_CHECKING:
    from hundredweight.store.loose import LooseStore
    from hundredweight.transfer.actions import Adapter
    from hundredweight.transfer.server import LfsServer


def adapters_for(server: LfsServer, direction: str, store: LooseStore, connections: int) -> dict[str, Adapter]:
    """By name; the last one is for servers that know none of the others. `connections` bounds those of one adapter."""
    if server.endpoint.is_local:
        return {LOCAL: LocalAdapter(store, server)}
    basic = BasicAdapter(server, store)
    found: dict[str, Adapter] = {}
    if direction == UPLOAD and not server.session.config.bool("lfs.basictransfersonly", False):
        found[IN_PARTS] = PartsAdapter(server, basic, connections)
    return {**found, BASIC: basic}
