"""The stage of a comparison: clients with homes of their own, files to version, a hub, timed git commands."""

from __future__ import annotations

import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = 1 << 20


@dataclass(frozen=True)
class Case:
    """`count` files of `size` bytes each."""

    name: str
    count: int
    size: int

    @property
    def total(self) -> int:
        return self.count * self.size


@dataclass
class Client:
    """One `git-lfs` on a PATH of its own, with a home where it is installed."""

    name: str
    program: Path
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make the home and install the filters in it."""
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        (programs / "git-lfs").symlink_to(self.program)
        if (cwt := self.program.parent / "cwt").exists():
            (programs / "cwt").symlink_to(cwt)
        home = self.folder / "home"
        home.mkdir()
        keep = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        self.env = {**keep, "HOME": str(home), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        self.env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        for key, value in (
            ("user.name", "bench"),
            ("user.email", "bench@example.com"),
            ("credential.helper", "store"),
            ("init.defaultBranch", "main"),
            ("advice.detachedHead", "false"),
            ("gc.auto", "0"),
        ):
            self.run("git", "config", "--global", key, value)
        self.run("git", "lfs", "install", "--skip-repo")

    def run(self, *command: str, cwd: Path | None = None, **variables: str) -> float:
        """Run to the end and give the seconds. Raises `RuntimeError` with the output when it fails."""
        begin = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env={**self.env, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        seconds = time.perf_counter() - begin
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(command)}: {done.stdout.decode(errors='replace')[-2000:]}")
        return seconds

    def sign_in(self, url: str, token: str) -> None:
        """Give git's credential store the hub's token."""
        host = url.removeprefix("http://")
        (Path(self.env["HOME"]) / ".git-credentials").write_text(f"http://admin:{token}@{host}\n")


@dataclass(frozen=True)
class Hub:
    """A running hub."""

    url: str
    token: str
    process: subprocess.Popen[bytes]
    data: Path

    def peak_bytes(self) -> int:
        return peak_memory(self.process.pid)


@contextmanager
def running_hub(folder: Path, *, keep: bool = False, pack: bool = True) -> Iterator[Hub]:
    """A hub with an empty data folder in `folder`, on a free port; ended afterwards, and its data removed unless `keep`.

    Without `pack` it keeps whole what comes whole.
    """
    data = folder / "hub"
    log = folder / "hub.log"
    program = str(Path(sys.executable).parent / "cwt")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "hub", "serve", "--data", str(data), "--port", "0", f"--pack={pack}"],
            stdout=out,
            stderr=out,
        )
    try:
        url = ""
        while not url:
            found = re.search(r"listening on (http://\S+)", log.read_text(errors="replace"))
            url = found.group(1).rstrip("/") if found else ""
            if process.poll() is not None:
                raise RuntimeError(f"the hub did not start: {log.read_text(errors='replace')}")
            time.sleep(0.02)
        yield Hub(url, (data / "admin-token").read_text().strip(), process, data)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        if not keep:
            shutil.rmtree(data, ignore_errors=True)


def make_files(folder: Path, case: Case, seed: int) -> None:
    """Files of bytes that no compressor shrinks. Equal blocks are avoided by a counter at each block's start."""
    folder.mkdir(parents=True)
    block = os.urandom(min(BLOCK, case.size))
    for number in range(case.count):
        with (folder / f"weights-{number:05d}.bin").open("wb") as out:
            for place in range(0, case.size, BLOCK):
                head = f"{seed}/{number}/{place}/".encode()
                out.write((head + block)[: min(BLOCK, case.size - place)])


def peak_memory(pid: int) -> int:
    """The largest resident size a process had so far, in bytes; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found.group(1)) * 1024 if found else 0


def fill_page_cache(folder: Path) -> None:
    """Read a sparse file as large as the memory, so that it is full of clean pages, as on a machine in use.

    A virtual machine gets memory from its host when a page is first used, at a cost far above the work that is measured
    here, and gives it back when it is free for a while: whoever runs on an empty machine pays for that. The file stays in
    `folder` until the end, so that its pages do.
    """
    found = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    path = folder / "sparse"
    with path.open("wb") as out:
        out.truncate(int(found.group(1)) * 1024 if found else 0)
    with path.open("rb", buffering=0) as source:
        while source.read(BLOCK * 4):
            pass


def forget_peak(pid: int) -> None:
    """Let `peak_memory` of a process of ours begin anew with what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def settle(size: int) -> None:
    """The same start for whoever comes next: what was written is on the disk, and `size` bytes of free memory are ready.

    A virtual machine gives free memory back to its host within seconds, and to get it anew takes up to 2.8 s a GiB: what a client
    paid depended on what had run before it.
    """
    os.sync()
    if hasattr(mmap, "MAP_POPULATE"):
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


class MemoryWatch:
    """Samples the peak of every process of a client's program while a block runs (git's own processes aside)."""

    def __init__(self, client: Client, interval: float = 0.01) -> None:
        self.names = (str(client.folder / "bin" / "git-lfs"), str(client.folder / "bin" / "cwt"), str(client.program))
        self.peak = 0
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            for entry in os.listdir("/proc"):
                if entry.isdigit() and self._is_client(entry):
                    self.peak = max(self.peak, peak_memory(int(entry)))

    def _is_client(self, pid: str) -> bool:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return False
        return any(part in self.names or part in ("git-lfs",) for part in command[:2])
