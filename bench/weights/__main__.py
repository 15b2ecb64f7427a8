"""`make bench-weights`: stored bytes, wire bytes, speeds and times, against stock git-lfs, Xet and ZipNN, as one page.

Parts can be run one at a time; what each found stays in the work folder, and the page is made of all that is there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.against_git_lfs import make_clients
from bench.stage import ROOT, Client
from bench.weights.diff import diffs
from bench.weights.links import LINKS, checkpoints, journeys
from bench.weights.parts import Result, codec_alone, history_through_hub, stored_by_others
from bench.weights.report import report
from bench.weights.versions import DTYPES

HISTORIES = {f"history {dtype}": dtype for dtype in DTYPES}
PARTS = ("others", *HISTORIES, "codec", *LINKS, "diff")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-weights", description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".bench", help="keeps the versions and what the parts found"
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part (repeatable)")
    parser.add_argument("--report", action="store_true", help="run nothing, make the page of what is there")
    parser.add_argument("--bytes", type=float, default=1.1e9, help="size of the generated checkpoint (default: 1.1e9)")
    parser.add_argument("--stock", type=Path, default=ROOT / ".peers" / "git-lfs", help="the stock git-lfs")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks-weights.md")
    options = parser.parse_args()
    stock = subprocess.run([options.stock, "version"], capture_output=True, text=True, check=True).stdout.strip()
    options.work.mkdir(parents=True, exist_ok=True)
    results = options.work / "results.json"
    if options.part is None and not options.report:
        results.unlink(missing_ok=True)
    found = json.loads(results.read_text()) if results.exists() else {}
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=options.work))
    try:
        clients = make_clients(folder, options.stock.resolve())
        # What `cwt init` does in each clone of a user; stock git-lfs knows nothing of it.
        clients[0].run("git", "config", "--global", "hundredweight.packs", "true")
        for part in () if options.report else options.part or PARTS:
            print(part, file=sys.stderr, flush=True)
            begin = time.monotonic()
            found[part] = run_part(part, clients, folder, options)
            found.setdefault("seconds", {})[part] = time.monotonic() - begin
            print(f"{part}: {found['seconds'][part]:.0f} s", file=sys.stderr, flush=True)
            results.write_text(json.dumps(found, indent=2) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = report(found, stock, joined=options.report or options.part is not None)
    options.output.write_text(text)
    print(text)
    return 0


def run_part(part: str, clients: list[Client], folder: Path, options: argparse.Namespace) -> Result:
    if part in LINKS or part == "diff":
        count = LINKS[part].fine_tunes if part in LINKS else 1
        versions = checkpoints(options.work / f"checkpoints-{options.bytes:.0f}", int(options.bytes), count + 1)
        if part in LINKS:
            return journeys(clients, versions, LINKS[part], folder)
        return diffs(clients[0], versions, folder)
    from bench.weights.history import make_history  # noqa: PLC0415 - torch is for these parts alone

    files = make_history(options.work / "history")
    if part in HISTORIES:
        return history_through_hub(files, HISTORIES[part], clients[0], folder)
    return stored_by_others(files, folder) if part == "others" else codec_alone(files)


if __name__ == "__main__":
    sys.exit(main())
