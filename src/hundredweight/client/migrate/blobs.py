"""From a blob to a pointer: content goes into the local store in one pass, hashed on the way."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hundredweight.base.ids import Oid
from hundredweight.git.objects import MissingObject
from hundredweight.protocol.pointer import CUTOFF, Pointer, try_parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.client.migrate.newobjects import NewObjects
    from hundredweight.git.objects import ObjectReader
    from hundredweight.store.loose import LooseStore

SMALL = 1 << 16
"""Blobs of up to this many bytes are read many at a time, larger ones one by one, in pieces."""


class BlobConverter:
    """Remembers what each blob became, so every blob is read once, in however many commits and paths it stands."""

    def __init__(self, reader: ObjectReader, store: LooseStore, new: NewObjects) -> None:
        self._reader = reader
        self._store = store
        self._new = new
        self._sizes: dict[str, int] = {}
        self._became: dict[str, str] = {}

    def sizes(self, blobs: Iterable[str]) -> dict[str, int]:
        """Bytes of each blob. Raises `MissingObject`."""
        wanted = dict.fromkeys(blobs)
        unknown = [blob for blob in wanted if blob not in self._sizes]
        for blob, info in zip(unknown, self._reader.infos(unknown), strict=True):
            if info is None:
                raise MissingObject(blob)
            self._sizes[blob] = info.size
        return {blob: self._sizes[blob] for blob in wanted}

    def convert(self, blobs: Iterable[str]) -> dict[str, str]:
        """What each blob becomes: a pointer's blob, or itself where it is one already, or empty. Raises `MissingObject`."""
        wanted = dict.fromkeys(blobs)
        unknown = [blob for blob in wanted if blob not in self._became]
        sizes = self.sizes(unknown)
        small = [blob for blob in unknown if sizes[blob] <= SMALL]
        for blob, content in zip(small, self._reader.contents(small), strict=True):
            if content is None:
                raise MissingObject(blob)
            self._became[blob] = self._convert_small(blob, content[1])
        for blob in unknown:
            if sizes[blob] > SMALL:
                self._became[blob] = self._convert_large(blob)
        return {blob: self._became[blob] for blob in wanted}

    def _convert_small(self, blob: str, data: bytes) -> str:
        if len(data) < CUTOFF and try_parse(data) is not None:
            return blob
        oid = Oid(hashlib.sha256(data).hexdigest())
        if not self._store.has(oid, len(data)):
            with self._store.writer() as target:
                target.write(data)
                target.commit(self._store.path(oid))
        return self._pointer(oid, len(data))

    def _convert_large(self, blob: str) -> str:
        digest = hashlib.sha256()
        with self._store.writer() as target:

            def take(piece: bytes) -> None:
                digest.update(piece)
                target.write(piece)

            size = self._reader.copy(blob, take).size
            oid = Oid(digest.hexdigest())
            if not self._store.has(oid, size):
                target.commit(self._store.path(oid))
        return self._pointer(oid, size)

    def _pointer(self, oid: Oid, size: int) -> str:
        return self._new.add("blob", Pointer(oid, size).encode())
