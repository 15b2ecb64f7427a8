"""Run as a program: forks workers that pack, unpack and repack one store without end, and kills each at a random moment.

Started from a process of its own, which loads everything once: a round then takes some hundredths of a second.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from hundredweight.store.packing import LooseItem, pack_loose, unpack
from hundredweight.store.repack import check, execute, plan_repack
from tests.store.clone_store import CloneStore


def work(clone: CloneStore, seed: int) -> None:
    """Every object always stays; only its form changes. The packs of an odd object are dropped once it is loose again."""
    rng = random.Random(seed)
    oids = list(clone.contents)
    while True:
        chosen = rng.sample(oids, 2)
        kind = rng.randrange(3)
        if kind == 0:
            pack_loose(clone.store, [LooseItem(oid, tuple(oids[: oids.index(oid)][::-1])) for oid in oids])
        elif kind == 1:
            for oid in chosen:
                if clone.store.is_packed(oid):
                    unpack(clone.store, oid, clone.store.packs)
        else:
            with clone.store.packs.lock():
                plan = plan_repack(clone.store.packs, [oid for oid in chosen if clone.store.loose_size(oid) > 0])
                if plan.lost:
                    raise SystemExit(3)
                execute(clone.store.packs, plan)


def one_round(clone: CloneStore, seed: int, seconds: float) -> None:
    child = os.fork()
    if child == 0:
        # Only a signal ends this process well: what it raises must be seen as another end.
        try:
            work(clone, seed)
        finally:
            os._exit(9)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"the worker of round {seed} failed")
    clone.check()
    report = check(clone.store.packs)
    if report.faults:
        raise SystemExit(f"after round {seed}: {report.faults}")
    # Threads of the reader must not be there when the next worker is forked.
    clone.store.close()


def main(folder: str, rounds: int, seed: int) -> None:
    clone = CloneStore(Path(folder))
    clone.add_versions(4, rows=180)
    clone.add(b"text that compresses well, " * 4000)
    clone.pack(*clone.contents)
    clone.store.close()
    rng = random.Random(seed)
    for number in range(rounds):
        one_round(clone, seed + number, rng.uniform(0.01, 0.25))
    print("rounds:", rounds, "packed:", len(clone.packed()), "loose:", len(clone.loose()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
