"""`python -m bench.scale`: the 8 B-shaped checkpoint through every operation where packs are in play, within bounds of memory.

Four shards are committed in a repository that `cwt init` made, pushed, cloned; then fine-tuned (every tensor changes), pushed
and pulled; the clone goes back to the old version. At last a client that knows no blocks clones and pushes, and the hub packs
what it sent. With `--folder` a run can be divided: each call goes on with the next step. What is found goes into its own
section of docs/benchmarks.md.

Memory is that of our own processes, by their high-water marks. git's are left out: git holds a file that goes through a filter
whole.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.checkpoint8b import Architecture, write_finetune, write_model
from bench.page import PAGE, SCALE, write_scale
from bench.stage import Client, Hub, MemoryWatch, forget_peak, running_hub
from bench.weights.journeys import Route, route, settled_size
from bench.weights.peers import folder_size

BOUND = 400e6
"""Bytes that the client, and the hub, may take, whatever the size of the files."""
INTERVAL = 0.04
WHOLE = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "lfs.basictransfersonly", "GIT_CONFIG_VALUE_0": "true"}
"""The environment of a client that moves whole objects alone, as stock git-lfs does."""
TEXT = """\
`python -m bench.scale` makes this section: a generated checkpoint (bench/checkpoint8b.py: the tensors of an 8 B model, scaled)
of {size:.2f} GB in four shards, and fine-tunes that change every tensor, through a clone, a hub and another clone, each with two
workers. Memory is the peak resident size of our own processes, git's not counted; it must stay below {bound:.0f} MB whatever the
files' size. Over loopback, through a proxy that counts bytes, on a small machine that others use too: read bytes, not seconds.
"Whole objects" is a client that knows no blocks, as stock git-lfs. Linux {machine}, Python {python}.
"""


@dataclass(frozen=True)
class Row:
    """What one operation took: seconds, peaks in bytes, and bytes to the hub and from it."""

    name: str
    seconds: float
    client: int
    hub: int
    up: int
    down: int


@dataclass
class Found:
    """What is known so far; kept in the folder between calls."""

    size: int = 0
    done: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    hashes: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Found:
        if not path.exists():
            return cls()
        kept = json.loads(path.read_text())
        return cls(**{**kept, "rows": [Row(**row) for row in kept["rows"]]})

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


class Walk:
    """The steps, in the order of `STEPS`. Each needs those before it, not the same process or hub process."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.clone = folder / "clone"
        self.kept = folder / "found.json"
        self.found = Found.load(self.kept)
        self.found.size = self.found.size or size
        self.client = Client("ours", Path(sys.executable).parent / "git-lfs", folder / "ours")
        shutil.rmtree(self.client.folder, ignore_errors=True)
        self.client.prepare()
        self._hub: Hub
        self._way: Route

    def run(self, steps: int) -> bool:
        """At most so many of the steps that are left; whether all are done then."""
        left = [name for name in STEPS if name not in self.found.done]
        if not left:
            return True
        with running_hub(self.folder, keep=True) as self._hub, route(self._hub, 0) as self._way:
            self.client.sign_in(self._way.url, self._hub.token)
            for folder in (self.repository, self.clone):
                if folder.exists():
                    self.client.run("git", "remote", "set-url", "origin", self._address, cwd=folder)
            for name in left[:steps]:
                STEPS[name](self)
                self.found.done.append(name)
                self.found.save(self.kept)
        return len(left) <= steps

    def make(self) -> None:
        self.client.run("cwt", "init", str(self.repository))
        self.client.run("git", "remote", "add", "origin", self._address, cwd=self.repository)
        write_model(self.repository, Architecture().scaled(self.found.size), seed=0)
        self._new_version()
        self.found.size = sum(path.stat().st_size for path in self.repository.glob("*.safetensors"))

    def add(self) -> None:
        self._commit("")

    def push(self) -> None:
        self._watched("git push", "git", "push", "-q", "origin", "main")
        self.found.sizes["the hub's folder, one version"] = settled_size(self._hub.data)

    def clone_it(self) -> None:
        self._watched("cwt clone", "cwt", "clone", "-q", self._address, str(self.clone), cwd=self.folder)
        self._check(self.clone, 0)

    def tune(self) -> None:
        self._tune(1)

    def add_tuned(self) -> None:
        self._commit(", fine-tune")

    def push_tuned(self) -> None:
        self._watched("git push, fine-tune", "git", "push", "-q", "origin", "main")
        self.found.sizes["the hub's folder, two versions"] = settled_size(self._hub.data)
        self.found.sizes["the pusher's .git, two versions"] = folder_size(self.repository / ".git")

    def pull(self) -> None:
        self._watched(
            "git pull, pointers alone", "git", "pull", "-q", cwd=self.clone, variables={"GIT_LFS_SKIP_SMUDGE": "1"}
        )
        self._watched("git lfs pull, fine-tune", "git", "lfs", "pull", cwd=self.clone)
        self.found.sizes["the clone's .git, two versions"] = folder_size(self.clone / ".git")
        self._check(self.clone, 1)

    def checkout(self) -> None:
        self._watched("git checkout, old version", "git", "checkout", "-q", "HEAD~1", cwd=self.clone)
        self._check(self.clone, 0)

    def look(self) -> None:
        self._watched("git lfs fsck", "git", "lfs", "fsck", cwd=self.clone)
        self._watched("cwt diff", "cwt", "diff", "HEAD", "main", cwd=self.clone)
        shutil.rmtree(self.clone)

    def clone_whole(self) -> None:
        self._watched(
            "cwt clone, whole objects",
            *("cwt", "clone", "-q", self._address, str(self.clone)),
            cwd=self.folder,
            variables=WHOLE,
        )
        self._check(self.clone, 1)
        shutil.rmtree(self.clone)

    def push_whole(self) -> None:
        self._tune(2)
        self.client.run("git", "add", ".", cwd=self.repository)
        self.client.run("git", "commit", "-q", "-m", "version", cwd=self.repository)
        self._watched("git push, whole objects", "git", "push", "-q", "origin", "main", variables=WHOLE)

    def pack(self) -> None:
        with self._measured("the hub packs them") as seconds:
            begin = time.perf_counter()
            while any(path.is_file() for path in (self._hub.data / "objects").glob("[0-9a-f][0-9a-f]/**/*")):
                time.sleep(1)
            seconds.append(time.perf_counter() - begin)
        self.found.sizes["the hub's folder, three versions"] = settled_size(self._hub.data)

    @property
    def _address(self) -> str:
        return f"{self._way.url}/bench/model.git"

    def _commit(self, what: str) -> None:
        self._watched("git add" + what, "git", "add", ".")
        self._watched("git commit" + what, "git", "commit", "-q", "-m", "version")

    def _tune(self, number: int) -> None:
        """The work tree's files become a fine-tune of what they are."""
        made = self.folder / "tuned"
        write_finetune(self.repository, made, seed=number)
        for path in made.iterdir():
            path.replace(self.repository / path.name)
        self._new_version()

    def _new_version(self) -> None:
        self.found.hashes.append(_hashes(self.repository))

    def _check(self, folder: Path, version: int) -> None:
        if _hashes(folder) != self.found.hashes[version]:
            raise RuntimeError(f"other bytes are in {folder}")

    def _watched(
        self, name: str, *command: str, cwd: Path | None = None, variables: dict[str, str] | None = None
    ) -> None:
        with self._measured(name) as seconds:
            seconds.append(self.client.run(*command, cwd=cwd or self.repository, **(variables or {})))

    @contextmanager
    def _measured(self, name: str) -> Iterator[list[float]]:
        """A row of what happens in the block, which gives its seconds."""
        link = self._way.link
        assert link is not None
        forget_peak(self._hub.process.pid)
        up, down = link.up.passed, link.down.passed
        seconds: list[float] = []
        with MemoryWatch(self.client, INTERVAL) as memory:
            yield seconds
        hub = self._hub.peak_bytes()
        row = Row(name, seconds[0], memory.peak, hub, link.up.passed - up, link.down.passed - down)
        self.found.rows.append(row)
        print(_line(row), flush=True)


STEPS: dict[str, Callable[[Walk], None]] = {
    "make": Walk.make,
    "add": Walk.add,
    "push": Walk.push,
    "clone": Walk.clone_it,
    "tune": Walk.tune,
    "add tuned": Walk.add_tuned,
    "push tuned": Walk.push_tuned,
    "pull": Walk.pull,
    "checkout": Walk.checkout,
    "look": Walk.look,
    "clone whole": Walk.clone_whole,
    "push whole": Walk.push_whole,
    "pack": Walk.pack,
}


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as source:
            found[path.name] = hashlib.file_digest(source, "sha256").hexdigest()
    return found


def section(found: Found) -> str:
    """The section of the page."""
    client, hub = (max(getattr(row, side) for row in found.rows) for side in ("client", "hub"))
    lines = [
        SCALE,
        TEXT.format(
            size=found.size / 1e9, bound=BOUND / 1e6, machine=platform.machine(), python=platform.python_version()
        ),
        "| operation | s | client, MB | hub, MB | sent, MB | received, MB |",
        "|---|---|---|---|---|---|",
        *map(_line, found.rows),
        f"| most (bound {BOUND / 1e6:.0f}) | | {_peak(client)} | {_peak(hub)} | | |",
        "",
        "| what is stored | MB |",
        "|---|---|",
        f"| one version's weights | {_megabytes(found.size)} |",
        *(f"| {name} | {_megabytes(size)} |" for name, size in found.sizes.items()),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    seconds = f"{row.seconds:.1f}" if row.seconds else ""
    client, hub, up, down = _peak(row.client), _peak(row.hub), _megabytes(row.up), _megabytes(row.down)
    return f"| {row.name} | {seconds} | {client} | {hub} | {up} | {down} |"


def _peak(size: int) -> str:
    return f"{size / 1e6:.0f}" + (" missed" if size > BOUND else "")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}" if size < 10e6 else f"{size / 1e6:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--bytes", type=float, default=4.3e9, help="size of the checkpoint (default: 4.3e9)")
    parser.add_argument("--folder", type=Path, help="keep everything here, and go on with what is here already")
    parser.add_argument("--steps", type=int, default=len(STEPS), help="end after so many steps")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page that gets the section")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="cwt-scale-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        walk = Walk(folder.resolve(), int(options.bytes))
        done = walk.run(options.steps)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    if not done:
        print("next:", *(name for name in STEPS if name not in walk.found.done))
        return 0
    write_scale(options.output, section(walk.found))
    return 0 if max(max(row.client, row.hub) for row in walk.found.rows) <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
