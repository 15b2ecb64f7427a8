"""`make bench`: this client against stock git-lfs on the same hub, interleaved in one run, as ratios.

Every operation runs in turn with both clients, `--runs` times; a row shows both medians, their ratio and the bound that the
project sets itself. Memory is sampled in a run of its own, since sampling costs time.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path

from bench.page import PAGE, write_comparison
from bench.stage import ROOT, Case, Client, Hub, MemoryWatch, fill_page_cache, make_files, running_hub, settle

MIB = 1 << 20
CASES = (
    Case("1 x 1 GiB", 1, 1024 * MIB),
    Case("8 x 128 MiB", 8, 128 * MIB),
    Case("2,000 x 64 KiB", 2000, 64 * 1024),
)
MANY = 1000
SMALL_BOUND = 1.2
BOUNDS = {
    "add + commit": 0.5,
    "push": 0.8,
    "git clone": 0.9,
    "cwt clone": 0.6,
    "git lfs pull": 0.6,
    "pull of a new version": 0.6,
    "switch versions": 0.9,
    "git status": 1.2,
}
FROM_HUB = ("git clone", "cwt clone", "git lfs pull", "pull of a new version")


@dataclass
class Row:
    """The seconds of one operation, by client name, and the peak memory in bytes."""

    case: str
    operation: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)

    def add(self, client: str, seconds: float) -> None:
        self.seconds.setdefault(client, []).append(seconds)

    def median(self, client: str) -> float:
        return statistics.median(self.seconds[client])

    @property
    def ratio(self) -> float:
        return self.median("ours") / self.median("stock")

    @property
    def bound(self) -> float:
        return SMALL_BOUND if self.case == CASES[2].name else BOUNDS[self.operation]


class Comparison:
    """One case with both clients.

    Work folders of large cases are removed as soon as may be, so the disk stays bounded. Those of many small files stay until
    the case is over: ext4 passes over inodes that were freed within the last minute one by one, so that thousands of them make
    every file slow that is created afterwards, for whoever comes next. For the same reason the clients take turns in being first.
    """

    def __init__(self, case: Case, clients: list[Client], folder: Path, only: Container[str] = BOUNDS) -> None:
        """`only` names the operations to measure; what they build on is done untimed."""
        self.case = case
        self.clients = clients
        self.only = only
        self.folder = folder / case.name.replace(" ", "")
        self.rows: dict[str, Row] = {}
        self.hub_peak = 0
        self._rounds = 0
        for version in (1, 2):
            make_files(self.folder / f"v{version}", case, version)

    def close(self) -> None:
        shutil.rmtree(self.folder)

    def round(self, watch: bool) -> None:
        """Each client once through all operations, each with a hub of its own that starts empty."""
        for client in self.clients if self._rounds % 2 == 0 else reversed(self.clients):
            folder = self.folder / f"round-{self._rounds}-{client.name}"
            folder.mkdir()
            with running_hub(folder, keep=True) as hub:
                client.sign_in(hub.url, hub.token)
                Journey(self, client, hub, watch, folder / "work").run()
                if client.name == "ours":
                    self.hub_peak = max(self.hub_peak, hub.peak_bytes())
            self.discard(folder)
        self._rounds += 1

    def discard(self, folder: Path) -> None:
        """Nobody needs the folder any more."""
        if self.case.count < MANY:
            shutil.rmtree(folder)

    def record(self, operation: str, client: Client, watch: bool, action: Callable[[], float]) -> None:
        row = self.rows.setdefault(operation, Row(self.case.name, operation))
        settle(2 * self.case.total)
        if not watch:
            row.add(client.name, action())
            return
        with MemoryWatch(client) as memory:
            action()
        row.peak[client.name] = memory.peak


class Journey:
    """One client's way through all operations, against one hub."""

    def __init__(self, comparison: Comparison, client: Client, hub: Hub, watch: bool, folder: Path) -> None:
        self.comparison = comparison
        self.client = client
        self.watch = watch
        self.url = f"{hub.url}/bench/weights.git"
        self.folder = folder
        self.repository = self.folder / "repository"

    def run(self) -> None:
        self.make_repository()
        self.timed("add + commit", self.add_and_commit)
        if self.wants("push", *FROM_HUB):
            self.timed("push", lambda: self.git("push", "-q", "origin", "main"))
        self.timed("git status", lambda: self.git("status"))
        if self.wants("git clone", "pull of a new version"):
            self.timed("git clone", lambda: self.clone("clone", "git"))
        if self.wants("cwt clone"):
            self.timed("cwt clone", lambda: self.clone("direct", "cwt" if self.client.name == "ours" else "git"))
        if self.wants("git lfs pull"):
            self.pull_from_pointers()
        if self.wants("pull of a new version", "switch versions"):
            self.second_version()
        if self.wants("switch versions"):
            self.timed("switch versions", lambda: self.git("checkout", "-q", "v1"))

    def wants(self, *operations: str) -> bool:
        return any(operation in self.comparison.only for operation in operations)

    def timed(self, operation: str, action: Callable[[], float]) -> None:
        if self.wants(operation):
            self.comparison.record(operation, self.client, self.watch, action)
        else:
            action()

    def git(self, *args: str, cwd: Path | None = None, **variables: str) -> float:
        return self.client.run("git", *args, cwd=cwd or self.repository, **variables)

    def make_repository(self) -> None:
        self.repository.mkdir(parents=True)
        self.git("init", "-q")
        self.git("lfs", "track", "*.bin")
        self.git("remote", "add", "origin", self.url)
        self.put_version(1)

    def put_version(self, version: int) -> None:
        for path in (self.comparison.folder / f"v{version}").iterdir():
            target = self.repository / path.name
            target.unlink(missing_ok=True)
            shutil.copyfile(path, target)

    def add_and_commit(self) -> float:
        return self.git("add", ".") + self.git("commit", "-q", "-m", "version")

    def clone(self, name: str, program: str) -> float:
        seconds = self.client.run(program, "clone", "-q", self.url, name, cwd=self.folder)
        self.check_sizes(self.folder / name)
        if name == "direct":
            self.comparison.discard(self.folder / name)
        return seconds

    def check_sizes(self, folder: Path) -> None:
        found = [path.stat().st_size for path in folder.glob("*.bin")]
        if found != [self.comparison.case.size] * self.comparison.case.count:
            raise RuntimeError(f"{self.client.name}: wrong files in {folder}")

    def pull_from_pointers(self) -> None:
        folder = self.folder / "pointers"
        self.client.run("git", "clone", "-q", self.url, "pointers", cwd=self.folder, GIT_LFS_SKIP_SMUDGE="1")
        self.timed("git lfs pull", lambda: self.git("lfs", "pull", cwd=folder))
        self.check_sizes(folder)
        self.comparison.discard(folder)

    def second_version(self) -> None:
        self.git("tag", "v1")
        self.put_version(2)
        self.add_and_commit()
        if self.wants("pull of a new version"):
            self.git("push", "-q", "origin", "main")
            self.timed("pull of a new version", lambda: self.pull_new(self.folder / "clone"))
            self.comparison.discard(self.folder / "clone")

    def pull_new(self, folder: Path) -> float:
        """The way that keeps git from holding files in memory: git for the pointers, then `git lfs pull`."""
        return self.git("pull", "-q", cwd=folder, GIT_LFS_SKIP_SMUDGE="1") + self.git("lfs", "pull", cwd=folder)


def startup(clients: list[Client], runs: int) -> list[tuple[str, float, float]]:
    """Milliseconds (median) of short commands, and their ratio to `python -c pass`."""
    ours = clients[0]
    repository = ours.folder / "empty"
    ours.run("git", "init", "-q", str(repository))
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "git lfs version": ["git-lfs", "version"],
        "git lfs post-commit (no-op hook)": ["git-lfs", "post-commit"],
        "git lfs post-checkout (no-op hook)": ["git-lfs", "post-checkout", "0" * 40, "0" * 40, "0"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(max(20, runs)):
        for name, command in commands.items():
            seconds[name].append(run_plain(ours, command, repository))
    base = statistics.median(seconds["python -c pass"])
    return [
        (name, statistics.median(values) * 1000, statistics.median(values) / base) for name, values in seconds.items()
    ]


def run_plain(client: Client, command: list[str], folder: Path) -> float:
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, env=client.env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def report(
    rows: list[Row], hub_peaks: dict[str, int], starts: list[tuple[str, float, float]], runs: int, stock: str
) -> str:
    """The page docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        "`make bench` makes this page: this client against Debian's stock git-lfs, on the same hub over loopback,",
        f"interleaved in one run. Medians of {runs} runs; {stock};",
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}. Read the ratios: the machine is small",
        "and shared, absolute times vary. Peak memory is that of the LFS client's own processes, sampled in a run of its own.",
        "For stock git-lfs, `cwt clone` stands against its `git clone`.",
        "",
        "| case | operation | ours, s | stock, s | ratio | bound | ours, MB | stock, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.case} | {row.operation} | {row.median('ours'):.2f} | {row.median('stock'):.2f} | {row.ratio:.2f} "
        f"| {row.bound:.1f}{'' if row.ratio <= row.bound else ' missed'} "
        f"| {row.peak.get('ours', 0) / 1e6:.0f} | {row.peak.get('stock', 0) / 1e6:.0f} |"
        for row in rows
    ]
    lines += ["", "| hub's peak memory during | MB |", "|---|---|"]
    lines += [f"| {case} | {peak / 1e6:.0f} |" for case, peak in hub_peaks.items()]
    lines += ["", "| start | ms | x `python -c pass` |", "|---|---|---|"]
    lines += [f"| {name} | {milliseconds:.1f} | {ratio:.2f} |" for name, milliseconds, ratio in starts]
    return "\n".join(lines) + "\n"


def make_clients(folder: Path, stock: Path) -> list[Client]:
    ours = Client("ours", Path(sys.executable).parent / "git-lfs", folder / "ours")
    theirs = Client("stock", stock, folder / "stock")
    for client in (ours, theirs):
        client.prepare()
    return [ours, theirs]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="interleaved runs of each operation (default: 7)")
    parser.add_argument("--case", type=int, action="append", choices=(1, 2, 3), help="only this case (repeatable)")
    parser.add_argument("--only", action="append", choices=BOUNDS, metavar="OPERATION", help="only this (repeatable)")
    parser.add_argument("--stock", type=Path, default=ROOT / ".peers" / "git-lfs", help="the stock git-lfs")
    parser.add_argument("--no-memory", action="store_true", help="skip the run that samples memory")
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args()
    version = subprocess.run([options.stock, "version"], capture_output=True, text=True, check=True).stdout.strip()
    folder = Path(tempfile.mkdtemp(prefix="cwt-bench-"))
    rows: list[Row] = []
    hub_peaks: dict[str, int] = {}
    try:
        fill_page_cache(folder)
        clients = make_clients(folder, options.stock.resolve())
        for number in options.case or (1, 2, 3):
            comparison = Comparison(CASES[number - 1], clients, folder, options.only or BOUNDS)
            for run in range(options.runs):
                comparison.round(watch=False)
                print(f"{comparison.case.name}: run {run + 1} of {options.runs}", file=sys.stderr, flush=True)
            if not options.no_memory:
                comparison.round(watch=True)
            rows += comparison.rows.values()
            hub_peaks[comparison.case.name] = comparison.hub_peak
            comparison.close()
        starts = startup(clients, options.runs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = report(rows, hub_peaks, starts, options.runs, version)
    write_comparison(options.output, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
