"""Packs in memory: a catalog and the bytes, for tests of what reads and writes packs."""

from __future__ import annotations

from collections.abc import Iterable

from hundredweight.base.ids import Oid
from hundredweight.store.catalog import Location, PackMissing
from hundredweight.store.pack import PackIndex, PackStreamWriter, check_hash
from hundredweight.store.recipe import Recipe


class MemoryPacks:
    """`Catalog` and `PackBytes` at once. What is in `overrides` is believed before the indexes: for lies."""

    def __init__(self) -> None:
        self.packs: dict[str, bytes] = {}
        self.overrides: dict[bytes, Location] = {}
        self.reads = 0

    def add(self, data: bytes) -> str:
        name = data[-32:].hex()
        check_hash([data], name)
        self.packs[name] = data
        return name

    def write(self, blocks: Iterable[tuple[bytes, int, bytes | None, bytes, int]]) -> str:
        """A pack of these blocks: id, raw size, base, codec block, depth."""
        data = bytearray()
        writer = PackStreamWriter(data.extend)
        for block in blocks:
            writer.block(*block)
        writer.finish()
        return self.add(bytes(data))

    def index(self, name: str) -> PackIndex:
        data = self.packs[name]
        return PackIndex(lambda offset, length: data[offset : offset + length], len(data), name)

    def segments(self, ids: Iterable[bytes]) -> dict[bytes, Location]:
        found: dict[bytes, Location] = {}
        for identity in ids:
            for name in self.packs:
                entry = self.index(name).block(identity)
                if entry is not None:
                    found[identity] = Location(name, *entry)
            if identity in self.overrides:
                found[identity] = self.overrides[identity]
        return found

    def recipe(self, oid: Oid) -> Recipe | None:
        for name, data in self.packs.items():
            entry = self.index(name).recipe(oid)
            if entry is not None:
                return Recipe.decode(data[entry[0] : entry[0] + entry[1]])
        return None

    def read(self, pack: str, offset: int, length: int) -> bytes:
        self.reads += 1
        if pack not in self.packs:
            raise PackMissing(pack)
        return self.packs[pack][offset : offset + length]
