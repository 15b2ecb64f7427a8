from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.seeds import Seed, has, object_path, oid_of, plant, weights
from tests.running_hub import RunningHub

NAMES = ("w.bin", "sp ace/ü \\.bin", "new\nline.bin", "copy.bin", "d/e/f/g.bin")


@pytest.fixture(scope="module")
def seed(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Seed:
    files = {name: weights(name) for name in NAMES} | {"copy.bin": weights("w.bin"), "empty.bin": b""}
    return plant(hub, tmp_path_factory.mktemp("seed"), files)


def test_pull_writes_every_file_and_status_is_clean(seed: Seed) -> None:
    clone = seed.pointers()
    (clone / "w.bin").chmod(0o755)
    seed.person.git("config", "core.fileMode", "false", cwd=clone)
    done = seed.person.run("git", "lfs", "pull", cwd=clone)
    assert "Downloading LFS objects: 100%" in done.stdout + done.stderr
    for name, content in seed.files.items():
        assert (clone / name).read_bytes() == content
    assert os.access(clone / "w.bin", os.X_OK)
    assert seed.person.git("status", "--porcelain", cwd=clone) == ""


def test_a_second_pull_has_nothing_to_do_and_asks_nobody(seed: Seed) -> None:
    clone = seed.pointers()
    seed.person.run("git", "lfs", "pull", cwd=clone)
    seed.person.git("remote", "set-url", "origin", "http://127.0.0.1:9/nobody.git", cwd=clone)
    seed.person.run("git", "lfs", "pull", cwd=clone)
    (clone / "w.bin").unlink()
    seed.person.run("git", "lfs", "pull", cwd=clone)
    assert (clone / "w.bin").read_bytes() == seed.files["w.bin"]


def test_what_the_user_changed_stays(seed: Seed) -> None:
    clone = seed.pointers()
    (clone / "w.bin").write_bytes(b"mine")
    seed.person.git("rm", "-q", "d/e/f/g.bin", cwd=clone)
    seed.person.run("git", "lfs", "pull", cwd=clone)
    assert (clone / "w.bin").read_bytes() == b"mine"
    assert not (clone / "d/e/f/g.bin").exists()


def test_files_that_a_killed_pull_had_written_are_no_changes(seed: Seed) -> None:
    clone = seed.pointers()
    seed.person.run("git", "lfs", "fetch", cwd=clone)
    (clone / "w.bin").write_bytes(seed.files["w.bin"])
    (clone / "copy.bin").write_bytes(bytes(len(seed.files["copy.bin"])))
    assert seed.person.git("status", "--porcelain", cwd=clone) == " M copy.bin\n M w.bin"
    seed.person.run("git", "lfs", "pull", cwd=clone)
    assert seed.person.git("status", "--porcelain", cwd=clone) == " M copy.bin"
    assert (clone / "copy.bin").read_bytes() == bytes(len(seed.files["copy.bin"]))


def test_what_is_excluded_does_not_enter_the_store_from_the_work_tree_either(seed: Seed) -> None:
    clone = seed.pointers()
    seed.person.run("git", "lfs", "pull", cwd=clone)
    shutil.rmtree(clone / ".git/lfs/objects")
    os.utime(clone / "w.bin")
    seed.person.run("git", "lfs", "pull", "-X", "w.bin,copy.bin", cwd=clone)
    assert has(clone, seed.files["d/e/f/g.bin"])
    assert not has(clone, seed.files["w.bin"])
    assert seed.person.git("status", "--porcelain", cwd=clone) == ""


def test_patterns_choose_and_a_pull_in_a_folder_is_of_all(seed: Seed) -> None:
    clone = seed.pointers()
    seed.person.run("git", "lfs", "pull", "-I", "w.bin", cwd=clone)
    assert (clone / "w.bin").read_bytes() == seed.files["w.bin"]
    assert (clone / "d/e/f/g.bin").read_bytes().startswith(b"version")
    seed.person.run("git", "lfs", "pull", "origin", cwd=clone / "d")
    assert (clone / "new\nline.bin").read_bytes() == seed.files["new\nline.bin"]


def test_what_fails_is_named_and_the_rest_is_written(seed: Seed) -> None:
    clone = seed.pointers()
    missing = weights("never pushed")
    (clone / "gone.bin").write_bytes(missing)
    seed.person.commit(clone)
    object_path(clone, missing).unlink()
    (clone / "gone.bin").unlink()
    done = seed.person.run("git", "lfs", "pull", cwd=clone, check=False)
    assert done.returncode == 2
    assert f"  gone.bin ({oid_of(missing)})" in done.stderr
    assert f"Failed to fetch some objects from '{seed.url}/info/lfs'" in done.stderr
    assert (clone / "w.bin").read_bytes() == seed.files["w.bin"]


def test_other_remotes_are_asked_where_the_user_wants_that(seed: Seed, hub: RunningHub) -> None:
    clone = seed.pointers()
    seed.person.git("remote", "add", "empty", hub.remote(hub.new_name()), cwd=clone)
    seed.person.git("push", "-q", "--no-verify", "empty", "main:refs/heads/x", cwd=clone, check=False)
    done = seed.person.run("git", "lfs", "pull", "empty", cwd=clone, check=False)
    assert done.returncode == 2
    seed.person.git("config", "lfs.remote.searchall", "true", cwd=clone)
    seed.person.run("git", "lfs", "pull", "empty", cwd=clone)
    assert (clone / "w.bin").read_bytes() == seed.files["w.bin"]


def test_a_file_that_cannot_be_written_is_told(seed: Seed) -> None:
    clone = seed.pointers()
    (clone / "w.bin").unlink()
    (clone / "w.bin").mkdir()
    done = seed.person.run("git", "lfs", "pull", cwd=clone)
    assert 'Checkout error for "w.bin": not a regular file' in done.stderr
    assert (clone / "copy.bin").read_bytes() == seed.files["copy.bin"]


def test_without_the_filter_objects_come_and_files_stay(seed: Seed, tmp_path: Path, hub: RunningHub) -> None:
    bob = hub.person(tmp_path / "bob", "bob")
    clone = seed.pointers(bob)
    done = bob.run("git", "lfs", "pull", cwd=clone)
    assert "Skipping object checkout, Git LFS is not installed for this repository." in done.stdout
    assert has(clone, seed.files["w.bin"])
    assert bob.git("status", "--porcelain", cwd=clone) == ""


def test_a_bare_clone_gets_the_objects(seed: Seed) -> None:
    bare = seed.new_folder()
    seed.person.git("clone", "-q", "--bare", seed.url, str(bare))
    seed.person.run("git", "lfs", "pull", cwd=bare)
    oid = oid_of(seed.files["w.bin"])
    assert (bare / "lfs" / "objects" / oid[:2] / oid[2:4] / oid).is_file()


def test_a_sparse_checkout_gets_only_its_own(seed: Seed) -> None:
    clone = seed.pointers()
    seed.person.git("sparse-checkout", "set", "--no-cone", "/d/", ".gitattributes", cwd=clone)
    seed.person.run("git", "lfs", "pull", cwd=clone)
    assert (clone / "d/e/f/g.bin").read_bytes() == seed.files["d/e/f/g.bin"]
    assert not (clone / "w.bin").exists()
    assert not has(clone, seed.files["w.bin"])


def test_a_linked_work_tree_gets_its_own_files(seed: Seed) -> None:
    clone = seed.pointers()
    other = seed.new_folder()
    seed.person.git("worktree", "add", "-q", str(other), "-b", "side", cwd=clone, GIT_LFS_SKIP_SMUDGE="1")
    seed.person.run("git", "lfs", "pull", "origin", cwd=other)
    assert (other / "w.bin").read_bytes() == seed.files["w.bin"]
    assert (clone / "w.bin").read_bytes().startswith(b"version")
    assert seed.person.git("status", "--porcelain", cwd=other) == ""


def test_refusals(seed: Seed) -> None:
    done = seed.person.run("git", "lfs", "pull", "nowhere", cwd=seed.folder, check=False)
    assert (done.returncode, 'Invalid remote name "nowhere"' in done.stderr) == (2, True)
    empty = seed.person.repository(seed.new_folder().name)
    done = seed.person.run("git", "lfs", "pull", cwd=empty, check=False)
    assert (done.returncode, "HEAD has no commit yet\nhint: make a first" in done.stderr) == (2, True)
