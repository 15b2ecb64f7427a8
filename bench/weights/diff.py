"""How long `cwt diff` takes for two versions in a repository: which tensors changed, and all statistics."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.diff_speed import measure
from bench.stage import Client

RUNS = 3
TYPES = ("F32", "BF16")
FILE_MIB = 1024

Result = dict[str, object]


def diffs(client: Client, versions: Sequence[Mapping[str, Path]], folder: Path) -> Result:
    """Seconds of `--stat` and of all statistics, for two versions of a checkpoint, packed and whole; and GB/s for two files
    of each of `TYPES`, every element of which may have changed."""
    repository = folder / "diff"
    repository.mkdir()
    client.run("git", "init", "-q", cwd=repository)
    client.run("git", "lfs", "track", "*.safetensors", cwd=repository)
    for version in versions:
        for name, path in version.items():
            (repository / name).unlink(missing_ok=True)
            shutil.copyfile(path, repository / name)
        client.run("git", "add", ".", cwd=repository)
        client.run("git", "commit", "-q", "-m", "version", cwd=repository)
    client.run("cwt", "pack", cwd=repository)
    found: Result = {"size": sum(path.stat().st_size for path in versions[0].values())}
    found["packed"] = _seconds(client, repository)
    client.run("cwt", "unpack", cwd=repository)
    found["whole"] = _seconds(client, repository)
    found["files"] = {dtype: measure(repository, dtype, FILE_MIB << 20)[0] for dtype in TYPES}
    shutil.rmtree(repository)
    return found


def _seconds(client: Client, repository: Path) -> dict[str, float]:
    """Medians of which tensors changed, and of all statistics."""
    commands = {"names": ("cwt", "diff", "--stat", "HEAD~1", "HEAD"), "statistics": ("cwt", "diff", "HEAD~1", "HEAD")}
    return {
        what: statistics.median(client.run(*command, cwd=repository) for _ in range(RUNS))
        for what, command in commands.items()
    }
