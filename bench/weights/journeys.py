"""Versions of weights on their way: a client, a hub, a colleague's clone, and a link between them that is timed and counted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.stage import Client, Hub
from bench.weights.peers import folder_size
from bench.weights.shaping import ShapedLink, shaped_link

QUIET_SECONDS = 8.0
"""How long a hub's folder must not have changed until background packing counts as done: it begins up to six seconds after the
last request."""


@dataclass(frozen=True)
class Passage:
    """One operation: its seconds, and the bytes that the link carried to the hub and from it (0 without a counting link)."""

    seconds: float
    up: int = 0
    down: int = 0


@dataclass
class Route:
    """How a client reaches its hub: directly, or over a link that counts."""

    url: str
    link: ShapedLink | None = None

    def measure(self, action: Callable[[], float]) -> Passage:
        if self.link is None:
            return Passage(action())
        up, down = self.link.up.passed, self.link.down.passed
        seconds = action()
        return Passage(seconds, self.link.up.passed - up, self.link.down.passed - down)


@contextmanager
def route(hub: Hub, mbit: float | None) -> Iterator[Route]:
    """To the hub: with `mbit` None without anything between, else over a link of that speed (0: unlimited, counting)."""
    if mbit is None:
        yield Route(hub.url)
        return
    address = urlsplit(hub.url)
    with shaped_link(str(address.hostname), int(address.port or 80), mbit) as (link, url):
        yield Route(url, link)


@dataclass
class Team:
    """One person who pushes versions of a model, and one who follows, with the same client."""

    client: Client
    hub: Hub
    folder: Path
    clones: int = field(default=0, init=False)

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def follower(self) -> Path:
        return self.folder / "follower"

    def start(self, files: Mapping[str, Path]) -> None:
        """The first version pushed and cloned, directly."""
        self.repository.mkdir(parents=True)
        self._sign_in(self.hub.url)
        self._git("init", "-q")
        self._git("lfs", "track", "*.safetensors")
        self._git("remote", "add", "origin", self._address(self.hub.url))
        self.commit(files)
        self._git("push", "-q", "origin", "main")
        self._clone_to(self.follower, self.hub.url)
        self.check(self.follower, files)

    def commit(self, files: Mapping[str, Path]) -> float:
        """The files as the next version in the work tree, committed; gives the seconds of add and commit."""
        for name, path in files.items():
            target = self.repository / name
            target.unlink(missing_ok=True)
            shutil.copyfile(path, target)
        return self._git("add", ".") + self._git("commit", "-q", "-m", "version")

    def push(self, way: Route) -> Passage:
        self._use(self.repository, way)
        return way.measure(lambda: self._git("push", "-q", "origin", "main"))

    def pull(self, way: Route) -> Passage:
        """The follower gets the new version: git for the pointers, then `git lfs pull`, so that git holds no file in memory."""
        self._use(self.follower, way)
        return way.measure(
            lambda: (
                self._git("pull", "-q", cwd=self.follower, GIT_LFS_SKIP_SMUDGE="1")
                + self._git("lfs", "pull", cwd=self.follower)
            )
        )

    def clone(self, way: Route, files: Mapping[str, Path]) -> Passage:
        """A third person clones; the clone is checked and removed."""
        self._sign_in(way.url)
        target = self.folder / "clone"
        passage = way.measure(lambda: self._clone_to(target, way.url))
        self.check(target, files)
        shutil.rmtree(target)
        return passage

    def check(self, folder: Path, files: Mapping[str, Path]) -> None:
        """Raises `RuntimeError` when the clone does not hold exactly these files."""
        for name, path in files.items():
            if not same_bytes(folder / name, path):
                raise RuntimeError(f"{self.client.name}: '{name}' came back changed")

    def stored(self) -> int:
        """What the hub's folder takes once it has come to rest."""
        return settled_size(self.hub.data)

    def rest(self) -> None:
        """Wait until the hub has packed what it packs in the background."""
        self.stored()

    def _clone_to(self, target: Path, url: str) -> float:
        program = "cwt" if self.client.name == "ours" else "git"
        return self.client.run(program, "clone", "-q", self._address(url), str(target), cwd=self.folder)

    def _git(self, *args: str, cwd: Path | None = None, **variables: str) -> float:
        return self.client.run("git", *args, cwd=cwd or self.repository, **variables)

    def _use(self, folder: Path, way: Route) -> None:
        self._sign_in(way.url)
        self._git("remote", "set-url", "origin", self._address(way.url), cwd=folder)

    def _sign_in(self, url: str) -> None:
        self.client.sign_in(url, self.hub.token)

    def _address(self, url: str) -> str:
        return f"{url}/bench/model.git"


def settled_size(folder: Path) -> int:
    """The folder's size, once it has stayed the same for a while."""
    size, since = folder_size(folder), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        time.sleep(0.3)
        now = folder_size(folder)
        if now != size:
            size, since = now, time.monotonic()
    return size


def same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            block = first.read(1 << 22)
            if block != second.read(1 << 22):
                return False
            if not block:
                return True
