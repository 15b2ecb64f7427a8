"""`make quickstart`: the main job end to end, on real weights, with the hub of this package on a free port.

Each command is printed as a user would type it, then run for real; a command that fails ends the tour with its
output. Everything happens in one temporary folder with a home of its own, which is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tools import life_cycle
from tools.tour import ROOT, WEIGHTS, Tour, TourError, require_equal, serve_and_ask

MOSTLY_SAVED = 0.8
"""A fine-tune of every float32 travels and stays below this share of its size."""
NEARLY_ALL_SAVED = 0.05
"""What changes one small layer, or is merged of what the hub has, stays below this share."""


def first_version(tour: Tour, hub: str) -> str:
    tour.step("Version 1.0: make the repository ready, train, commit, push, tag")
    place = tour.folder / "digits"
    shutil.copytree(ROOT / "examples/digits", place, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    life_cycle.keep_rows(place / "data" / "train.csv", life_cycle.FIRST_ROWS)
    tour.run("git init -q -b main && cwt init", "digits")
    tour.run(f"python train.py --out {WEIGHTS} 2>/dev/null", "digits", name="train 1.0")
    tour.run('git add . && git commit -q -m "Train digits"', "digits", name="add and commit 1.0")
    tour.run(f"git cat-file -p HEAD:{WEIGHTS}", "digits")
    tour.run(f"git remote add origin {hub}/team/digits.git && git config lfs.locksverify true", "digits")
    tour.transfer("push 1.0", "git push -q -u origin main", "digits", bound=1.0)
    tour.run('git tag -a v1.0 -m "First digits" && git push -q origin v1.0', "digits")
    tour.step("What is in the file")
    tour.run(f"cwt inspect {WEIGHTS}", "digits")
    tour.run(f"cwt id {WEIGHTS}", "digits")
    return tour.sha256(f"digits/{WEIGHTS}")


def second_version(tour: Tour) -> str:
    tour.step("Version 2.0: fine-tune all layers; the push sends what changed, as deltas")
    tour.run(
        f"python train.py --init {WEIGHTS} --shift 1 --lr 0.02 --epochs 10 --out {WEIGHTS} 2>/dev/null",
        "digits",
        name="fine-tune 2.0",
    )
    tour.run('git commit -q -a -m "Fine-tune digits on shifted images"', "digits", name="commit 2.0")
    tour.transfer("push 2.0", "git push -q origin main", "digits", bound=MOSTLY_SAVED)
    tour.run('git tag -a v2.0 -m "Reads shifted digits" && git push -q origin v2.0', "digits")
    tour.step("What changed: by tensor, not 'binary files differ'")
    tour.run("cwt diff v1.0 v2.0", "digits", name="diff v1.0 v2.0")
    tour.run("git log -p --oneline -1 -- model.safetensors", "digits", name="git log -p")
    return tour.sha256(f"digits/{WEIGHTS}")


def merged_version(tour: Tour) -> str:
    tour.step("Two branches change different layers; git merges the weights")
    tune = f"python train.py --init {WEIGHTS} --out {WEIGHTS} --epochs 3 --lr 0.01"
    tour.run("git switch -q -c head", "digits")
    tour.run(f"{tune} --only 2 --shift 1 2>/dev/null", "digits", name="tune the last layer")
    tour.run('git commit -q -a -m "Tune the last layer" && git switch -q main', "digits")
    tour.run(f"{tune} --only 0 --noise 1 2>/dev/null", "digits", name="tune the first layer")
    tour.run('git commit -q -a -m "Tune the first layer on noise"', "digits")
    rule = "git config hundredweight.merge.rule __metadata__.training=ours"
    tour.run(f"{rule}    # both sides changed this record", "digits")
    tour.run("git merge -q --no-edit head", "digits", name="merge")
    changes = json.loads(tour.run("cwt diff --json v2.0 HEAD", "digits", show=False))["models"][0]["tensors"]
    names = sorted(each["new"]["name"] for each in changes)
    print(f"    {len(names)} tensors changed since v2.0: {', '.join(names)}")
    if names != ["layers.0.bias", "layers.0.weight", "layers.2.bias", "layers.2.weight"]:
        raise TourError("the merge did not take the layers of both branches")
    tour.run(f"python evaluate.py {WEIGHTS}", "digits")
    tour.transfer("push 2.1", "git push -q origin main head", "digits", bound=NEARLY_ALL_SAVED, objects=3)
    tour.run('git tag -a v2.1 -m "Both heads" && git push -q origin v2.1', "digits")
    return tour.sha256(f"digits/{WEIGHTS}")


def sign_in(tour: Tour, hub: str) -> None:
    """Hand the admin token to git, as a user answers git's question for a password once."""
    tour.run(
        'git config --global user.name "Ada" && git config --global user.email ada@example.com && '
        "git config --global credential.helper store && git config --global advice.detachedHead false"
    )
    host = hub.removeprefix("http://")
    account = f"protocol=http\\nhost={host}\\nusername=admin\\npassword=%s\\n"
    tour.run(f"printf '{account}' \"$(cat hub/admin-token)\" | git credential approve")


def walk(tour: Tour, stack: ExitStack) -> None:
    tour.step("A hub: Git over HTTP, Git LFS and tokens in one process, data in one folder")
    tour.hub = stack.enter_context(tour.service("cwt hub serve --data hub --port 0"))
    sign_in(tour, tour.hub)
    first = first_version(tour, tour.hub)

    tour.step("A colleague clones: real weights, not pointers, and the bytes are the same")
    tour.transfer("clone", f"cwt clone -q {tour.hub}/team/digits.git app", "app", bound=1.0, clone=True)
    require_equal(tour, f"digits/{WEIGHTS}", f"app/{WEIGHTS}")
    serve_and_ask(tour, "app", first)

    second = second_version(tour)
    tour.step("The clone follows with plain git, and receives what changed")
    tour.transfer("pull 2.0", "git pull -q", "app", bound=MOSTLY_SAVED)
    require_equal(tour, f"digits/{WEIGHTS}", f"app/{WEIGHTS}")
    serve_and_ask(tour, "app", second)

    merged = merged_version(tour)
    tour.transfer("pull 2.1", "git pull -q", "app", bound=NEARLY_ALL_SAVED)
    serve_and_ask(tour, "app", merged)

    tour.step("Back to what the tag v1.0 names: one command, nothing downloaded")
    tour.run("git checkout -q v1.0 && git status --short --branch", "app", name="go back to v1.0")
    if tour.sha256(f"app/{WEIGHTS}") != first:
        raise TourError("the checkout of v1.0 is not what was committed as v1.0")
    serve_and_ask(tour, "app", first)


def what_is_where(tour: Tour) -> dict[str, int]:
    """Check both sides, and return what the hub says about itself."""
    tour.step("What is where, and what it costs")
    tour.run("git lfs ls-files --size", "app")
    tour.run("git lfs fsck", "app")
    tour.run("cwt du", "digits")
    tour.run("cwt hub check --data hub")
    stats: dict[str, int] = json.loads(tour.run("cwt hub stats --data hub --json"))
    share = stats["stored_bytes"] / stats["logical_bytes"]
    print(f"    -> {stats['objects']} versions are kept in {share:.1%} of their size")
    if not stats["stored_bytes"] < MOSTLY_SAVED * stats["logical_bytes"]:
        raise TourError(f"the hub stores {stats['stored_bytes']} bytes for {stats['logical_bytes']}")
    return stats


def summarize(tour: Tour, stats: dict[str, int], seconds: float) -> dict[str, object]:
    """Print the summary, and return it."""
    size = (tour.folder / "app" / WEIGHTS).stat().st_size
    folders = {"hub": "hub", "clone": "app/.git/lfs"}
    disk = {
        name: sum(path.stat().st_size for path in (tour.folder / place).rglob("*") if path.is_file())
        for name, place in folders.items()
    }
    print("\n== Summary")
    for name, took in tour.seconds.items():
        moved = f"   {tour.moved[name] / 1e6:6.2f} MB over the wire" if name in tour.moved else ""
        print(f"{name:<24} {took:6.2f} s{moved}")
    print(f"{'all, servers included':<24} {seconds:6.2f} s")
    print(f"{'one version':<24} {size / 1e6:6.2f} MB")
    print(f"{'versions on the hub':<24} {stats['objects']:6d}      {stats['logical_bytes'] / 1e6:.2f} MB if kept whole")
    print(
        f"{'kept for them':<24} {stats['stored_bytes'] / 1e6:6.2f} MB   (hub/, all included: {disk['hub'] / 1e6:.2f} MB)"
    )
    print(f"{'weights in the clone':<24} {disk['clone'] / 1e6:6.2f} MB   app/.git/lfs")
    return {
        "size": size,
        "moved": tour.moved,
        "served": tour.served,
        "seconds": {**tour.seconds, "all": seconds},
        "stats": stats,
        "disk": disk,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--facts", type=Path, help="also write the summary's figures to this file, as JSON")
    options = parser.parse_args()
    begin = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="cwt-quickstart-"))
    tour = Tour(folder)
    try:
        with ExitStack() as stack:
            walk(tour, stack)
            life_cycle.tell(tour, stack)
            stats = what_is_where(tour)
        facts = summarize(tour, stats, time.perf_counter() - begin)
        if options.facts:
            options.facts.write_text(json.dumps(facts, indent=2) + "\n")
    except (TourError, OSError) as error:
        print(f"\nquickstart: failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\nquickstart: success; everything was in a temporary folder, which is gone now")
    return 0


if __name__ == "__main__":
    sys.exit(main())
