"""How long `cwt exp list` and `compare` take over many experiments.

`python -m bench.experiments [--count N] [--runs N] [--loose] [--keep FOLDER]`: the experiments are made by `git
fast-import`, each a
commit on one of some branches' commits, with a record of realistic size (parameters, metrics, 100 packages, weights).
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hundredweight.lineage import message
from hundredweight.lineage.record import (
    Code,
    DataVersion,
    Environment,
    Gpu,
    Hardware,
    Record,
    Status,
    Tracker,
    Weights,
    new_id,
    utc,
)

CWT = Path(sys.executable).parent / "cwt"
START = 1_760_000_000
PACKAGES = {f"package-{number:03d}": f"{number % 7}.{number % 13}.{number % 5}" for number in range(100)}


def record(number: int, commit: str) -> Record:
    """An experiment of a sweep; equal for equal numbers."""
    dice = random.Random(number)
    loss = dice.uniform(0.2, 2.0)
    return Record(
        id=new_id(START + number * 60, number.to_bytes(4, "big")),
        name=f"sweep-{number}",
        status=Status.FAILED if number % 50 == 7 else Status.DONE,
        command=("python", "train.py", "--config", "params.toml"),
        started=utc(START + number * 60),
        seconds=round(dice.uniform(60, 7200), 1),
        exit_code=1 if number % 50 == 7 else 0,
        code=Code(commit),
        seed=number,
        parameters={
            "lr": dice.choice([1e-5, 3e-5, 1e-4]),
            "batch_size": dice.choice([16, 32, 64]),
            "epochs": 10,
            "model.layers": 24,
            "model.hidden": 1024,
            "optimizer": dice.choice(["adamw", "sgd"]),
            "warmup": 0.1,
            "weight_decay": dice.choice([0.0, 0.01]),
        },
        metrics={
            "train_loss": loss * 0.8,
            "val_loss": loss,
            "test_acc": round(1 - loss / 3, 4),
            "f1": round(1 - loss / 4, 4),
        },
        hardware=Hardware("AMD EPYC 7763", 64, 540 << 30, (Gpu("NVIDIA A100-SXM4-80GB", 85 << 30, 4),)),
        data=(DataVersion("data", f"v1.{number // 3000}", "1" * 40, f"{number // 3000:064x}", 3, 1 << 30),),
        environment=Environment("3.11.7", "12.4", "requirements.txt", "2" * 64, PACKAGES),
        weights=(Weights("model.safetensors", dice.randbytes(32).hex(), 1 << 30, f"w1-{dice.randbytes(32).hex()}"),),
        trackers=(Tracker("mlflow", dice.randbytes(16).hex()),),
    )


def make(folder: Path, count: int, *, loose: bool = False) -> None:
    """A repository with `count` experiments on ten branches. `loose`: a file for each ref, as before a `git gc`."""
    git = ("git", "-C", str(folder))
    folder.mkdir(parents=True)
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    with subprocess.Popen([*git, "fast-import", "--quiet"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        out = process.stdin

        def commit(ref: str, text: str, at: int, parent: str, files: dict[str, bytes]) -> None:
            said = text.encode()
            out.write(b"commit %s\ncommitter b <b@example.com> %d +0000\n" % (ref.encode(), at))
            out.write(b"data %d\n%s\n" % (len(said), said) + (b"from %s\n" % parent.encode() if parent else b""))
            for path, content in files.items():
                out.write(b"M 644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content))
            out.write(b"\n")

        for branch in range(10):
            source = {f"src/module{n}/file{n}.py": b"print(%d)\n" % n for n in range(100)} if branch == 0 else {}
            parent = "refs/heads/main" if branch else ""
            changed = {"params.toml": b"branch = %d\n" % branch}
            commit(f"refs/heads/{'main' if not branch else f'work-{branch}'}", "Work", START, parent, source | changed)
        for number in range(count):
            start = "main" if number % 10 == 0 else f"work-{number % 10}"
            made = record(number, "0" * 40)
            files = {made.path: made.encode(), "params.toml": b"n = %d\n" % number}
            ref = f"refs/experiments/{made.id}"
            commit(ref, message.write(made), START + number * 60, f"refs/heads/{start}", files)
    if process.returncode:
        raise SystemExit("git fast-import failed")
    if not loose:
        subprocess.run([*git, "pack-refs", "--all"], check=True)


def timed(folder: Path, *command: str) -> tuple[float, float]:
    """Seconds on the clock, and of processors: on a busy machine the second tells more."""
    start, before = time.perf_counter(), os.times()
    subprocess.run([str(CWT), *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="how many experiments")
    parser.add_argument("--runs", type=int, default=5, help="how often each command is run")
    parser.add_argument("--loose", action="store_true", help="leave a file for each ref")
    parser.add_argument(
        "--keep", default="", help="make the repository here, or take the one that is here, and keep it"
    )
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="experiments"))
    try:
        folder = Path(options.keep) if options.keep else scratch / "repository"
        ids = [record(n, "").id for n in range(options.count)]
        if not folder.exists():
            make(folder, options.count, loose=options.loose)
        cases = {
            "list": ("exp", "list"),
            "list all as JSON": ("exp", "list", "--all", "--json"),
            "list with filter and order": ("exp", "list", "--where", "val_loss<0.5", "lr=3e-5", "--sort", "-test_acc"),
            "show by name": ("exp", "show", "sweep-7"),
            "compare two by name": ("exp", "compare", "sweep-1", f"sweep-{options.count - 1}"),
            "compare twenty": ("exp", "compare", *ids[:: max(1, len(ids) // 20)]),
        }
        for title, command in cases.items():
            cache = folder / ".git" / "hundredweight"
            if cache.exists():
                shutil.rmtree(cache)
            first = timed(folder, *command)
            later = [timed(folder, *command) for _ in range(options.runs)]
            clock, used = (statistics.median(values) for values in zip(*later, strict=True))
            print(
                f"{title:28} first {first[0]:5.2f} s ({first[1]:.2f} of CPU)   then {clock:5.2f} s ({used:.2f} of CPU)"
            )
    finally:
        shutil.rmtree(scratch)
    print(f"{options.count} experiments, {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
