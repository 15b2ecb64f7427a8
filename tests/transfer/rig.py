"""What a transfer test needs: a clone's store and configuration, and one call that moves objects and tells how it went."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from pathlib import Path

from hundredweight.base.errors import CwtError
from hundredweight.base.ids import Oid
from hundredweight.git.config import Config
from hundredweight.git.run import Git
from hundredweight.store.loose import LooseStore
from hundredweight.transfer.queue import Failure, Item, TransferOptions, TransferQueue
from hundredweight.transfer.retry import RetryPolicy
from hundredweight.transfer.server import LfsServer, open_server

FAST = TransferOptions(retries=RetryPolicy(8, 0.01))
"""Retries as usual, without the waiting."""


class CountingMeter:
    """Checks the contract of `base.progress.Meter` while it counts."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.direction = ""
        self.files = 0
        self.size = 0
        self.moved: dict[str, int] = {}
        self.finished: list[str] = []
        self.failures: list[str] = []
        self.ended = 0

    def start(self, direction: str, files: int, size: int) -> None:
        assert not self.direction
        self.direction = direction
        self.add(files, size)

    def add(self, files: int, size: int) -> None:
        with self.lock:
            self.files += files
            self.size += size

    def begin(self, name: str, size: int) -> None:
        with self.lock:
            self.moved.setdefault(name, 0)

    def advance(self, name: str, delta: int) -> None:
        with self.lock:
            self.moved[name] = self.moved.get(name, 0) + delta
            assert self.moved[name] >= 0

    def done(self, name: str) -> None:
        with self.lock:
            assert name not in self.finished + self.failures
            self.finished.append(name)

    def failed(self, name: str) -> None:
        with self.lock:
            assert name not in self.finished + self.failures
            self.failures.append(name)

    def finish(self) -> None:
        self.ended += 1


class Rig:
    """`settings` are added to the configuration of every server that is opened."""

    def __init__(self, folder: Path, env: dict[str, str], url: str) -> None:
        self.folder = folder
        self.env = env
        self.git = Git(str(folder), env)
        self.store = LooseStore(str(folder / ".git" / "lfs"), mode=0o666)
        self.settings: list[tuple[str, str]] = [("lfs.url", url)]
        self.meter = CountingMeter()
        self.outcomes: list[tuple[Item, CwtError | None]] = []

    def put(self, data: bytes) -> Oid:
        """An object in the local store."""
        oid = Oid(hashlib.sha256(data).hexdigest())
        with self.store.writer() as file:
            file.write(data)
            file.commit(self.store.path(oid))
        return oid

    def read(self, oid: str) -> bytes:
        return Path(self.store.path(Oid(oid))).read_bytes()

    def part(self, oid: str) -> Path:
        return Path(self.store.incomplete) / f"{oid}.part"

    def open(self, operation: str = "download") -> LfsServer:
        return open_server(Config(self.settings), self.git, self.env, "origin", operation)

    def download(self, *items: Item, options: TransferOptions = FAST) -> list[Failure]:
        return self.move("download", items, options)

    def upload(self, *items: Item, options: TransferOptions = FAST) -> list[Failure]:
        return self.move("upload", items, options)

    def move(self, direction: str, items: Iterable[Item], options: TransferOptions = FAST) -> list[Failure]:
        """Move the items and check that the meter and `on_done` agree with the outcome."""
        self.meter = CountingMeter()
        self.outcomes = []
        with (
            self.open(direction) as server,
            TransferQueue(server, direction, self.store, options, self.meter, self._done) as queue,
        ):
            wanted = list(items)
            for item in wanted:
                queue.add(item)
            failures = queue.wait()
        distinct = {item.oid for item in wanted}
        assert sorted(item.path for item, _ in self.outcomes) == sorted(item.path for item in wanted)
        assert {item.path for item, error in self.outcomes if error} == {failure.item.path for failure in failures}
        assert len(self.meter.finished) + len(self.meter.failures) == len(distinct) == self.meter.files
        assert self.meter.ended == 1
        for item in {item.oid: item for item in reversed(wanted)}.values():
            assert self.meter.moved.get(item.path, 0) == (item.size if item.path in self.meter.finished else 0)
        return failures

    def _done(self, item: Item, error: CwtError | None) -> None:
        self.outcomes.append((item, error))


def item(data: bytes, name: str = "a.bin") -> Item:
    return Item(Oid(hashlib.sha256(data).hexdigest()), len(data), name)
