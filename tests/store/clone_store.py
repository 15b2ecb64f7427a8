"""A clone's store in a folder, with versions of a small model in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hundredweight.base.ids import Oid
from hundredweight.store.local import LocalStore
from hundredweight.store.packing import LooseItem, PackingReport, pack_loose
from tests.store.weights import arrays, fine_tuned, oid_of, safetensors_of


class CloneStore:
    """Contents by id, and the store that has them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = LocalStore(str(root))
        self.contents: dict[Oid, bytes] = {}

    def add(self, data: bytes) -> Oid:
        oid = oid_of(data)
        self.contents[oid] = data
        with self.store.writer() as target:
            target.write(data)
            target.commit(self.store.path(oid))
        return oid

    def add_versions(self, count: int, *, rows: int = 300, seed: int = 0) -> list[Oid]:
        """Versions of one model, oldest first."""
        now: dict[str, Any] = arrays(seed, rows)
        made = []
        for number in range(count):
            made.append(self.add(safetensors_of(now)))
            now = fine_tuned(now, seed * 100 + number, 1e-5)
        return made

    def pack(self, *oids: Oid) -> PackingReport:
        """Each after the ones before it."""
        items = [LooseItem(oid, oids[:place][::-1]) for place, oid in enumerate(oids)]
        return pack_loose(self.store, items)

    def read(self, oid: Oid) -> bytes:
        return b"".join(self.store.open_stream(oid))

    def loose(self) -> set[Oid]:
        return {oid for oid in self.contents if self.store.loose_size(oid) >= 0}

    def packed(self) -> set[Oid]:
        return {oid for oid, _ in self.store.packs.ids()}

    def check(self) -> None:
        """Everything that was ever added is here and right."""
        for oid, data in self.contents.items():
            assert self.store.size(oid) == len(data)
            assert self.read(oid) == data

    def stored(self) -> int:
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())

    def fresh(self) -> LocalStore:
        """The same folder as another process sees it."""
        return LocalStore(str(self.root))
