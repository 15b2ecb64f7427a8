"""Which transfer adapters there are for a server, best first; the batch call offers their names and the answer chooses one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hundredweight.protocol.batch import BASIC, DOWNLOAD, UPLOAD
from hundredweight.protocol.blocks import BLOCKS
from hundredweight.protocol.blocks import TRANSFER as IN_BLOCKS
from hundredweight.protocol.bundle import TRANSFER as IN_BUNDLES
from hundredweight.protocol.parts import TRANSFER as IN_PARTS
from hundredweight.transfer.basic import BasicAdapter
from hundredweight.transfer.local import ADAPTER as LOCAL
from hundredweight.transfer.local import LocalAdapter
from hundredweight.transfer.parts import PartsAdapter

if TYPE_CHECKING:
    from hundredweight.store.loose import LooseStore
    from hundredweight.transfer.actions import Adapter, Job
    from hundredweight.transfer.blocks import BlocksAdapter, Nearby
    from hundredweight.transfer.server import LfsServer

WORTH_ASKING = 256 << 10
"""Bytes of the smallest object that is downloaded as blocks: finding bases and a second request take longer than the bytes that
they save of a smaller one."""


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
        found[IN_BLOCKS] = _InBlocks(server, store, nearby, parts, basic)
    if parts is not None:
        found[IN_PARTS] = parts
    if direction == DOWNLOAD:
        # The queue asks for several small objects at once, whatever the adapter; what comes alone is basic's.
        found[IN_BUNDLES] = basic
    return {**found, BASIC: basic}


class _InBlocks:
    """`transfer.blocks.BlocksAdapter`, for downloads that are worth it. To load what blocks need (numpy) takes 0.15 s, as long as
    to download a few hundred small objects: it waits for the first one that is worth it."""

    def __init__(
        self, server: LfsServer, store: LooseStore, nearby: Nearby, parts: PartsAdapter | None, basic: BasicAdapter
    ) -> None:
        """`parts` is for uploads, which need all of it at once. Raises `BadConfigValue`."""
        self._arguments = server, store, nearby, parts, basic
        self._basic = basic
        self._lock = threading.Lock()
        self._blocks: BlocksAdapter | None = None
        if parts is not None:
            self._load()

    def download(self, job: Job) -> None:
        """See `Adapter`."""
        worth = job.size >= WORTH_ASKING and BLOCKS in job.answer.actions
        (self._load() if worth else self._basic).download(job)

    def upload(self, job: Job) -> None:
        """See `Adapter`."""
        self._load().upload(job)

    def _load(self) -> BlocksAdapter:
        with self._lock:
            if self._blocks is None:
                from hundredweight.transfer.blocks import BlocksAdapter  # noqa: PLC0415 - numpy, only for who uses packs

                self._blocks = BlocksAdapter(*self._arguments)
            return self._blocks
