"""`python -m bench.memory`: peak memory of client and hub while one large object goes through every operation.

git's own processes are left out: git holds a smudged file whole, which is why `cwt clone` and `git lfs pull` go around it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from bench.stage import Case, Client, Hub, MemoryWatch, make_files, running_hub

GIB = 1 << 30
CLIENT_BOUND = 150e6
HUB_BOUND = 250e6


class Walk:
    """One client with one file, through every operation; peaks in bytes by operation."""

    def __init__(self, client: Client, hub: Hub, folder: Path) -> None:
        self.client = client
        self.hub = hub
        self.folder = folder
        self.repository = folder / "repository"
        self.peaks: dict[str, int] = {}

    def watched(self, name: str, *command: str, cwd: Path | None = None, **variables: str) -> None:
        with MemoryWatch(self.client) as memory:
            seconds = self.client.run(*command, cwd=cwd or self.repository, **variables)
        self.peaks[name] = memory.peak
        print(
            f"{name:<24} {memory.peak / 1e6:7.0f} MB {seconds:7.1f} s   hub {self.hub.peak_bytes() / 1e6:5.0f} MB",
            flush=True,
        )

    def run(self, url: str) -> None:
        self.watched("git add", "git", "add", ".")
        self.watched("git commit", "git", "commit", "-q", "-m", "large")
        self.watched("git status", "git", "status")
        self.watched("git push", "git", "push", "-q", "origin", "main")
        self.watched("git lfs fsck", "git", "lfs", "fsck")
        shutil.rmtree(self.repository / ".git/lfs/objects")
        self.watched("git lfs fetch", "git", "lfs", "fetch")
        self.watched("git lfs prune", "git", "lfs", "prune", "--verify-remote")
        shutil.rmtree(self.repository)
        self.watched("cwt clone", "cwt", "clone", "-q", url, "direct", cwd=self.folder)
        shutil.rmtree(self.folder / "direct")
        self.client.run("git", "clone", "-q", url, "pulled", cwd=self.folder, GIT_LFS_SKIP_SMUDGE="1")
        self.watched("git lfs pull", "git", "lfs", "pull", cwd=self.folder / "pulled")
        (self.folder / "pulled/weights-00000.bin").unlink()
        self.watched("git lfs checkout", "git", "lfs", "checkout", cwd=self.folder / "pulled")
        shutil.rmtree(self.folder / "pulled")
        self.watched("git clone", "git", "clone", "-q", url, "cloned", cwd=self.folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--gib", type=float, default=5, help="size of the object in GiB (default: 5)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cwt-memory-"))
    try:
        client = Client("ours", Path(sys.executable).parent / "git-lfs", folder / "ours")
        client.prepare()
        with running_hub(folder) as hub:
            client.sign_in(hub.url, hub.token)
            walk = Walk(client, hub, folder)
            make_files(walk.repository, Case("large", 1, int(options.gib * GIB)), 1)
            url = f"{hub.url}/bench/large.git"
            client.run("git", "init", "-q", cwd=walk.repository)
            client.run("git", "lfs", "track", "*.bin", cwd=walk.repository)
            client.run("git", "remote", "add", "origin", url, cwd=walk.repository)
            walk.run(url)
            hub_peak = hub.peak_bytes()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    peak = max(walk.peaks.values())
    print(
        f"client {peak / 1e6:.0f} MB (bound {CLIENT_BOUND / 1e6:.0f}), hub {hub_peak / 1e6:.0f} MB (bound {HUB_BOUND / 1e6:.0f})"
    )
    return 0 if peak <= CLIENT_BOUND and hub_peak <= HUB_BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
