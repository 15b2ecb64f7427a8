from __future__ import annotations

import json

import pytest

from tests.cli.seeds import Seed, has, object_path, oid_of, plant, weights
from tests.running_hub import RunningHub

A, B, OLD = weights("a"), weights("b"), weights("old")


@pytest.fixture(scope="module")
def seed(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Seed:
    planted = plant(hub, tmp_path_factory.mktemp("seed"), {"a.bin": OLD, "d/b.bin": B})
    planted.person.commit(planted.folder, {"a.bin": A}, "second")
    planted.person.git("push", "-q", "origin", "main", cwd=planted.folder)
    return planted


def test_fetch_brings_what_is_checked_out_and_leaves_the_work_tree(seed: Seed) -> None:
    clone = seed.pointers()
    done = seed.person.run("git", "lfs", "fetch", cwd=clone)
    assert "Fetching reference refs/heads/main" in done.stderr
    assert "Downloading LFS objects: 100% (2/2), 6.0 KB" in done.stdout + done.stderr
    assert (has(clone, A), has(clone, B), has(clone, OLD)) == (True, True, False)
    assert (clone / "a.bin").read_bytes().startswith(b"version")


def test_fetch_takes_refs_patterns_and_standard_input(seed: Seed) -> None:
    clone = seed.pointers()
    seed.person.run("git", "lfs", "fetch", "-I", "d/*", "origin", "main", cwd=clone)
    assert (has(clone, A), has(clone, B)) == (False, True)
    seed.person.run("git", "lfs", "fetch", "--stdin", "origin", cwd=clone, stdin="main~1\n")
    assert (has(clone, A), has(clone, OLD)) == (False, True)
    seed.person.git("config", "lfs.fetchexclude", "*", cwd=clone)
    seed.person.run("git", "lfs", "fetch", cwd=clone)
    assert not has(clone, A)
    seed.person.run("git", "lfs", "fetch", "-X", "", cwd=clone)
    assert has(clone, A)


def test_fetch_all_brings_all_history_whatever_the_filters_say(seed: Seed) -> None:
    clone = seed.pointers()
    seed.person.git("config", "lfs.fetchexclude", "*", cwd=clone)
    done = seed.person.run("git", "lfs", "fetch", "--all", cwd=clone)
    assert "Ignoring global include / exclude paths to fulfil --all" in done.stderr
    assert all(has(clone, content) for content in (A, B, OLD))


def test_fetch_recent_brings_other_branches_and_replaced_versions(seed: Seed) -> None:
    seed.person.git("push", "-q", "origin", "main~1:refs/heads/other", cwd=seed.folder)
    clone = seed.pointers()
    done = seed.person.run("git", "lfs", "fetch", "--recent", cwd=clone)
    assert "Fetching recent branches within 7 days" in done.stderr
    assert "Fetching reference origin/other" in done.stderr
    assert has(clone, OLD)
    clone = seed.pointers()
    seed.person.git("config", "lfs.fetchrecentrefsdays", "0", cwd=clone)
    seed.person.git("config", "lfs.fetchrecentcommitsdays", "1", cwd=clone)
    done = seed.person.run("git", "lfs", "fetch", "--recent", cwd=clone)
    assert "Fetching changes within 1 day of main" in done.stderr
    assert has(clone, OLD)


def test_dry_run_and_json_tell_what_would_move(seed: Seed) -> None:
    clone = seed.pointers()
    done = seed.person.run("git", "lfs", "fetch", "--dry-run", cwd=clone)
    assert sorted(line for line in done.stderr.splitlines() if line.startswith("fetch ")) == sorted(
        [f"fetch {oid_of(A)} => a.bin", f"fetch {oid_of(B)} => d/b.bin"]
    )
    assert not has(clone, A)
    for dry in (("--dry-run",), ()):
        done = seed.person.run("git", "lfs", "fetch", "--json", *dry, cwd=clone)
        told = {one["name"]: one for one in json.loads(done.stdout)["transfers"]}
        assert set(told) == {"a.bin", "d/b.bin"}
        assert told["a.bin"]["oid"] == oid_of(A)
        assert told["a.bin"]["path"] == str(object_path(clone, A))
        assert told["a.bin"]["actions"]["download"]["href"].startswith("http")
    assert has(clone, A)
    done = seed.person.run("git", "lfs", "fetch", "--json", cwd=clone)
    assert json.loads(done.stdout) == {"transfers": []}


def test_refetch_mends_a_damaged_object_and_never_loses_one(seed: Seed, hub: RunningHub) -> None:
    clone = seed.pointers()
    seed.person.run("git", "lfs", "fetch", cwd=clone)
    damaged = object_path(clone, A)
    damaged.chmod(0o644)
    damaged.write_bytes(b"x" * len(A))
    seed.person.run("git", "lfs", "fetch", "--refetch", cwd=clone)
    assert damaged.read_bytes() == A
    only_here = weights("nobody else has this")
    (clone / "a.bin").write_bytes(only_here)
    seed.person.git("commit", "-q", "-a", "-m", "unpushed", cwd=clone)
    done = seed.person.run("git", "lfs", "fetch", "--refetch", cwd=clone, check=False)
    assert done.returncode == 2
    assert object_path(clone, only_here).read_bytes() == only_here


def test_an_object_the_hub_lacks_is_named_and_the_others_arrive(seed: Seed) -> None:
    clone = seed.pointers()
    missing = weights("never pushed")
    (clone / "gone.bin").write_bytes(missing)
    seed.person.commit(clone)
    object_path(clone, missing).unlink()
    done = seed.person.run("git", "lfs", "fetch", cwd=clone, check=False)
    assert done.returncode == 2
    assert f"  gone.bin ({oid_of(missing)})" in done.stderr
    assert f"error: failed to fetch some objects from '{seed.url}/info/lfs'" in done.stderr
    assert has(clone, A)
    assert has(clone, B)


def test_fetch_prune_drops_what_is_old(seed: Seed) -> None:
    clone = seed.pointers()
    seed.person.run("git", "lfs", "fetch", "--all", cwd=clone)
    seed.person.git("config", "lfs.fetchrecentrefsdays", "0", cwd=clone)
    seed.person.git("config", "lfs.fetchrecentcommitsdays", "0", cwd=clone)
    seed.person.run("git", "lfs", "fetch", "--prune", cwd=clone)
    assert (has(clone, A), has(clone, OLD)) == (True, False)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("nowhere",), 'Invalid remote name "nowhere"'),
        (("origin", "jibberish"), "Invalid ref argument: ['jibberish']"),
        (("--all", "--recent"), "Cannot combine --all with --recent"),
        (("--all", "-I", "x"), "Cannot combine --all with --include or --exclude"),
        (("--json", "--prune"), "Cannot combine --json with --prune"),
    ],
)
def test_refusals(seed: Seed, args: tuple[str, ...], text: str) -> None:
    done = seed.person.run("git", "lfs", "fetch", *args, cwd=seed.folder, check=False)
    assert done.returncode == 2
    assert text in done.stderr


def test_a_clone_without_commits_has_nothing_to_fetch(seed: Seed) -> None:
    empty = seed.person.repository(seed.new_folder().name)
    done = seed.person.run("git", "lfs", "fetch", cwd=empty, check=False)
    assert done.returncode == 2
    assert "Could not fetch: HEAD has no commit yet\nhint: make a first commit" in done.stderr
