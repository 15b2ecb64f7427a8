from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.seeds import ATTRIBUTES, Seed, has, object_path, plant, weights
from tests.people import PROGRAMS, Person
from tests.running_hub import RunningHub

FILES = {"w.bin": weights("w"), "d e/new\nline.bin": weights("n"), "big.bin": weights("big", 3_000_000), "e.bin": b""}


@pytest.fixture(scope="module")
def seed(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Seed:
    return plant(hub, tmp_path_factory.mktemp("seed"), dict(FILES))


@pytest.fixture
def bob(hub: RunningHub, tmp_path: Path) -> Person:
    """Somebody who has never run `git lfs install`."""
    return hub.person(tmp_path / "bob", "bob")


def check(person: Person, clone: Path) -> None:
    for name, content in FILES.items():
        assert (clone / name).read_bytes() == content
    assert person.git("status", "--porcelain", cwd=clone) == ""
    assert person.git("config", "--get", "hundredweight.cloning", cwd=clone, check=False) == ""
    assert person.run("git", "lfs", "fsck", cwd=clone).stdout == "Git LFS fsck OK\n"


def test_a_clone_has_its_weights_although_git_lfs_was_never_installed(seed: Seed, bob: Person) -> None:
    done = bob.run("cwt", "clone", seed.url)
    assert "Cloning into" in done.stderr
    clone = bob.home / Path(seed.name).name
    check(bob, clone)
    new = weights("later")
    bob.commit(clone, {"later.bin": new})
    assert bob.git("cat-file", "blob", "HEAD:later.bin", cwd=clone).startswith("version https://git-lfs")
    assert (clone / ".git" / "hooks" / "pre-push").read_text().endswith('git lfs pre-push "$@"\n')


def test_patterns_choose_weights_and_stay_the_clones_setting(seed: Seed, bob: Person) -> None:
    bob.run("cwt", "clone", "-q", "-I", "*.bin", "--exclude", "big.*", seed.url, "c")
    clone = bob.home / "c"
    assert (clone / "w.bin").read_bytes() == FILES["w.bin"]
    assert (clone / "big.bin").read_bytes().startswith(b"version")
    bob.git("checkout", "-q", "-f", "--detach", cwd=clone)
    bob.run("git", "lfs", "pull", cwd=clone)
    assert not has(clone, FILES["big.bin"])
    bob.run("git", "lfs", "pull", "-X", "", cwd=clone)
    assert (clone / "big.bin").read_bytes() == FILES["big.bin"]


def test_options_of_git_clone_keep_their_meaning(seed: Seed, bob: Person) -> None:
    bob.run("cwt", "clone", "-q", "--no-checkout", "--origin", "up", seed.url, "n")
    assert os.listdir(bob.home / "n") == [".git"]
    assert has(bob.home / "n", FILES["w.bin"])
    bob.git("checkout", "-q", "main", cwd=bob.home / "n")
    assert (bob.home / "n" / "w.bin").read_bytes() == FILES["w.bin"]
    bob.run("cwt", "clone", "-q", "--bare", seed.url, "b.git")
    assert bob.git("rev-parse", "--is-bare-repository", cwd=bob.home / "b.git") == "true"


def test_a_shared_repository_shares_its_objects_and_not_the_work_tree(seed: Seed, bob: Person) -> None:
    command = f"umask 022 && cwt clone -q -c core.sharedRepository=group {seed.url} shared"
    bob.run("sh", "-c", command)
    shared = bob.home / "shared"
    check(bob, shared)
    objects = [path for path in (shared / ".git/lfs/objects").rglob("*") if path.is_file()]
    assert objects
    assert all(path.stat().st_mode & 0o060 == 0o060 for path in (*objects, *(path.parent for path in objects)))
    assert all(path.stat().st_mode & 0o022 == 0 for path in shared.glob("*.bin"))


def test_an_empty_repository_and_a_folder(seed: Seed, bob: Person) -> None:
    bob.git("init", "-q", "--bare", str(bob.home / "empty.git"))
    bob.run("cwt", "clone", "-q", str(bob.home / "empty.git"))
    assert (bob.home / "empty" / ".git").is_dir()
    done = bob.run("cwt", "clone", "-q", seed.url, "one")
    assert (done.stdout, done.stderr) == ("", "")
    bob.run("cwt", "clone", "-q", "one", "two")
    check(bob, bob.home / "two")


def test_submodules_get_their_weights(hub: RunningHub, seed: Seed, bob: Person) -> None:
    outer = bob.repository("outer")
    bob.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", seed.url, "in ner", cwd=outer)
    bob.git("add", "-A", cwd=outer)
    bob.git("commit", "-q", "-m", "submodule", cwd=outer)
    name = hub.new_name()
    bob.git("push", "-q", hub.remote(name), "main", cwd=outer)
    bob.run("cwt", "clone", "-q", "--recurse-submodules", hub.remote(name), "c")
    check(bob, bob.home / "c" / "in ner")
    assert bob.git("status", "--porcelain", cwd=bob.home / "c") == ""
    bob.git("clone", "-q", "-c", "hundredweight.cloning=true", hub.remote(name), "killed")
    bob.run("cwt", "clone", "-q", "--recurse-submodules", hub.remote(name), "killed")
    check(bob, bob.home / "killed" / "in ner")


def test_names_that_differ_in_case_only_are_two_files(hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    if (tmp_path / "X").exists():
        pytest.skip("the file system folds case")
    files = {"A.bin": weights("A"), "a.bin": weights("a")}
    planted = plant(hub, tmp_path / "ann", files)
    planted.person.run("cwt", "clone", "-q", planted.url, "c")
    assert {name: (planted.person.home / "c" / name).read_bytes() for name in files} == files


def test_what_cannot_be_cloned_is_told_by_git(bob: Person, hub: RunningHub) -> None:
    done = bob.run("cwt", "clone", hub.remote("no/body"), check=False)
    assert done.returncode == 128
    assert "fatal: " in done.stderr
    assert "error: git clone failed with exit code 128\n" in done.stderr
    assert not (bob.home / "body").exists()


def test_weights_that_cannot_be_had_are_named_and_the_same_command_completes(
    hub: RunningHub, seed: Seed, bob: Person
) -> None:
    ann = seed.person
    source = seed.pointers()
    missing = weights("comes later")
    ann.git("switch", "-q", "-c", "late", cwd=source)
    ann.commit(source, {"late.bin": missing})
    ann.git("config", "lfs.locksverify", "false", cwd=source)
    bare = bob.home / "late.git"
    ann.git("clone", "-q", "--bare", str(source), str(bare))
    done = bob.run("cwt", "clone", "-q", "-b", "late", str(bare), "c", check=False)
    assert done.returncode == 2
    assert "  late.bin (" in done.stderr
    clone = bob.home / "c"
    assert bob.git("config", "hundredweight.cloning", cwd=clone) == "true"
    shutil.copytree(seed.folder / ".git" / "lfs", bare / "lfs", dirs_exist_ok=True)
    target = bare / "lfs" / object_path(source, missing).relative_to(source / ".git" / "lfs")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(object_path(source, missing), target)
    bob.run("cwt", "clone", "-q", "-b", "late", str(bare), "c")
    check(bob, clone)
    assert (clone / "late.bin").read_bytes() == missing


@pytest.mark.parametrize("delay", [0.02, 0.15, 0.3, 0.5])
def test_a_killed_clone_is_completed_by_the_same_command(seed: Seed, bob: Person, delay: float) -> None:
    command = [str(PROGRAMS / "cwt"), "clone", "-q", seed.url, "c"]
    process = subprocess.Popen(command, cwd=bob.home, env=bob.env, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = bob.run("cwt", "clone", "-q", seed.url, "c", check=False)
    # Too late for the signal: a clone that is complete is in the way, as with git.
    assert done.returncode == 0 or "already exists" in done.stderr
    check(bob, bob.home / "c")


def test_a_clone_killed_before_git_wrote_its_mark_is_begun_again(seed: Seed, bob: Person) -> None:
    bob.git("init", "-q", "c")
    (bob.home / "c" / ".git" / "config.lock").touch()
    bob.run("cwt", "clone", "-q", seed.url, "c")
    check(bob, bob.home / "c")
    bob.git("init", "-q", "--bare", "b.git")
    bob.run("cwt", "clone", "-q", "--bare", seed.url, "b.git")
    assert bob.git("rev-parse", "--verify", "main", cwd=bob.home / "b.git")


def test_a_clone_killed_between_its_branch_and_its_upstream_is_begun_again(seed: Seed, bob: Person) -> None:
    bob.git("clone", "-q", "-c", "hundredweight.cloning=true", "--no-checkout", seed.url, "c")
    clone = bob.home / "c"
    bob.git("config", "--remove-section", "branch.main", cwd=clone)
    bob.run("cwt", "clone", "-q", seed.url, "c")
    assert bob.git("rev-parse", "--abbrev-ref", "@{upstream}", cwd=clone) == "origin/main"
    check(bob, clone)


def test_locks_that_a_killed_clone_left_are_in_nobodys_way(seed: Seed, bob: Person) -> None:
    bob.git("clone", "-q", "-c", "hundredweight.cloning=true", "--no-checkout", seed.url, "c")
    for name in ("config.lock", "index.lock"):
        (bob.home / "c" / ".git" / name).touch()
    bob.run("cwt", "clone", "-q", seed.url, "c")
    check(bob, bob.home / "c")


def test_a_new_repository_with_a_setting_of_its_owner_is_left_alone(seed: Seed, bob: Person) -> None:
    bob.git("init", "-q", "c")
    bob.git("config", "user.name", "me", cwd=bob.home / "c")
    done = bob.run("cwt", "clone", seed.url, "c", check=False)
    assert done.returncode == 128
    assert bob.git("config", "--local", "user.name", cwd=bob.home / "c") == "me"


def test_a_folder_of_somebody_else_is_left_alone(seed: Seed, bob: Person) -> None:
    (bob.home / "c").mkdir()
    (bob.home / "c" / "mine").write_bytes(b"mine")
    done = bob.run("cwt", "clone", seed.url, "c", check=False)
    assert done.returncode == 128
    assert os.listdir(bob.home / "c") == ["mine"]


def test_git_lfs_clone_is_deprecated_and_works(seed: Seed) -> None:
    done = seed.person.run("git", "lfs", "clone", "-X", "big.bin", seed.url, "deprecated")
    assert done.stderr.startswith("WARNING: `git lfs clone` is deprecated and will not be updated\n")
    clone = seed.person.home / "deprecated"
    assert (clone / "w.bin").read_bytes() == FILES["w.bin"]
    assert not has(clone, FILES["big.bin"])
    assert (clone / ".git" / "hooks" / "pre-push").exists()
    seed.person.run("git", "lfs", "clone", "--skip-repo", seed.url, "plain")
    assert not (seed.person.home / "plain" / ".git" / "hooks" / "pre-push").exists()
    done = seed.person.run("git", "lfs", "clone", "nowhere", check=False)
    assert done.returncode == 2
    assert "Error(s) during clone:\n" in done.stderr


def test_help_comes_from_the_parser(bob: Person) -> None:
    assert "--include" in bob.run("cwt", "clone", "--help").stdout
    assert "--skip-repo" in bob.run("git-lfs", "clone", "--help").stdout


def test_attributes_alone_need_no_server(bob: Person) -> None:
    repo = bob.repository("r")
    bob.commit(repo, {".gitattributes": ATTRIBUTES})
    bob.run("cwt", "clone", "-q", str(repo), "c")
    assert (bob.home / "c" / ".gitattributes").read_bytes() == ATTRIBUTES


def test_a_file_that_cannot_be_written_fails_the_clone_and_the_same_command_completes_it(
    seed: Seed, bob: Person
) -> None:
    bob.run("cwt", "clone", "-q", seed.url, "one")
    script = 'ulimit -f 1000; exec cwt clone -q -c lfs.storage="$1" "$2" two'
    objects = str(bob.home / "one" / ".git" / "lfs")
    done = bob.run("sh", "-c", script, "sh", objects, seed.url, check=False)
    assert done.returncode == 1
    assert 'could not check out "big.bin"' in done.stderr
    assert "error: some files could not be written\nhint: " in done.stderr
    assert (bob.home / "two" / "w.bin").read_bytes() == FILES["w.bin"]
    assert (bob.home / "two" / "big.bin").read_bytes().startswith(b"version")
    bob.run("cwt", "clone", "-q", "-c", f"lfs.storage={objects}", seed.url, "two")
    check(bob, bob.home / "two")
