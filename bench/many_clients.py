"""`python -m bench.many_clients`: many clients clone from one hub at once; it must answer all, at bounded memory."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.stage import Case, Client, Hub, make_files, running_hub

MIB = 1 << 20
HUB_BOUND = 250e6


def clone_all(client: Client, url: str, folder: Path, count: int, case: Case) -> list[str]:
    """Clone `count` times at once; gives what went wrong, one text a failure."""
    failures: list[str] = []

    def clone(number: int) -> None:
        target = folder / f"clone-{number}"
        try:
            client.run("cwt", "clone", "-q", url, str(target))
            sizes = [path.stat().st_size for path in target.glob("*.bin")]
            if sizes != [case.size] * case.count:
                failures.append(f"clone {number}: sizes {sizes}")
        except RuntimeError as error:
            failures.append(f"clone {number}: {error}")
        finally:
            shutil.rmtree(target, ignore_errors=True)

    threads = [threading.Thread(target=clone, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def push_repository(client: Client, hub: Hub, folder: Path, case: Case) -> str:
    repository = folder / "repository"
    make_files(repository, case, 1)
    url = f"{hub.url}/bench/many.git"
    for command in (
        ("git", "init", "-q"),
        ("git", "lfs", "track", "*.bin"),
        ("git", "add", "."),
        ("git", "commit", "-q", "-m", "weights"),
        ("git", "push", "-q", url, "main"),
    ):
        client.run(*command, cwd=repository)
    return url


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.many_clients", description=__doc__)
    parser.add_argument("--clients", type=int, default=16, help="clones at once (default: 16)")
    parser.add_argument("--mib", type=int, default=64, help="size of each of the four files in MiB (default: 64)")
    options = parser.parse_args()
    case = Case("many", 4, options.mib * MIB)
    folder = Path(tempfile.mkdtemp(prefix="cwt-many-"))
    try:
        client = Client("ours", Path(sys.executable).parent / "git-lfs", folder / "ours")
        client.prepare()
        with running_hub(folder) as hub:
            client.sign_in(hub.url, hub.token)
            url = push_repository(client, hub, folder, case)
            begin = time.perf_counter()
            failures = clone_all(client, url, folder, options.clients, case)
            seconds = time.perf_counter() - begin
            peak = hub.peak_bytes()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(failures))
    moved = options.clients * case.total / 1e9
    print(
        f"{options.clients} clients, {moved:.1f} GB in {seconds:.1f} s, {len(failures)} failures, hub {peak / 1e6:.0f} MB"
    )
    return 1 if failures or peak > HUB_BOUND else 0


if __name__ == "__main__":
    sys.exit(main())
