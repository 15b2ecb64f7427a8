"""Time and memory of `cwt data status` and `cwt data diff` on a CSV file of a million rows with ids.

    python -m bench.data [--rows 1000000]

Of the second version one row in a hundred has another label, and one in a thousand is gone.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = Path(sys.executable).parent


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rows", type=int, default=1_000_000)
    rows = made.parse_args().rows
    folder = Path(tempfile.mkdtemp(prefix="cwt-data-"))
    try:
        _git(folder, "init", "-q")
        (folder / "hundredweight.toml").write_text('[data]\npaths = ["data"]\n')
        (folder / "data").mkdir()
        for name, changed in (("v1", False), ("v2", True)):
            _write(folder / "data" / "train.csv", rows, changed)
            _git(folder, "add", "-A")
            _git(folder, "-c", "user.name=b", "-c", "user.email=b@example.com", "commit", "-q", "-m", name)
            _git(folder, "tag", name)
        for args in (["status", "v1"], ["diff", "v1", "v2"]):
            before = time.perf_counter()
            _run([str(PROGRAMS / "cwt"), "data", *args], folder)
            seconds = time.perf_counter() - before
            # Kilobytes of the largest child so far; the later command needs more.
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
            print(f"cwt data {' '.join(args)}: {rows:,} rows: {seconds:.1f} s, at most {peak:.0f} MB")
    finally:
        shutil.rmtree(folder)


def _write(path: Path, rows: int, changed: bool) -> None:
    with path.open("w") as file:
        file.write("id,text,score,label\n")
        for number in range(rows):
            label = "pos" if number % 2 else "neg"
            if changed and number % 1000 == 3:
                continue
            if changed and number % 100 == 7:
                label = "neg"
            file.write(f'{number},"this is example number {number} of the set, yes",{number * 7 % 1000 / 10},{label}\n')


def _git(folder: Path, *args: str) -> None:
    _run(["git", *args], folder)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
