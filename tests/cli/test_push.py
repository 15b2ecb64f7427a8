from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.seeds import ATTRIBUTES, Seed, object_path, oid_of, plant, weights
from tests.people import Person
from tests.running_hub import RunningHub


@pytest.fixture(scope="module")
def seed(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Seed:
    return plant(hub, tmp_path_factory.mktemp("seed"), {"a.bin": weights("a")})


@pytest.fixture
def clone(seed: Seed) -> Path:
    """A clone on a branch of its own, so that tests do not meet."""
    folder = seed.pointers()
    seed.person.git("switch", "-q", "-c", folder.name, cwd=folder)
    return folder


def hub_has(hub: RunningHub, seed: Seed, content: bytes) -> bool:
    wanted = {"operation": "download", "objects": [{"oid": oid_of(content), "size": len(content)}]}
    status, _, body = hub.request("POST", f"/{seed.name}.git/info/lfs/objects/batch", wanted)
    return status == 200 and b'"download"' in body


def test_push_sends_what_the_remote_lacks_and_tells_first(hub: RunningHub, seed: Seed, clone: Path) -> None:
    new, newer = weights("new" + clone.name), weights("newer" + clone.name)
    seed.person.commit(clone, {"x.bin": new})
    seed.person.commit(clone, {"x.bin": newer, "d/copy.bin": new})
    done = seed.person.run("git", "lfs", "push", "--dry-run", "origin", clone.name, cwd=clone)
    assert sorted(done.stdout.splitlines()) == sorted(
        [f"push {oid_of(newer)} => x.bin", f"push {oid_of(new)} => d/copy.bin"]
    )
    assert not hub_has(hub, seed, new)
    done = seed.person.run("git", "lfs", "push", "origin", clone.name, cwd=clone)
    assert "Uploading LFS objects: 100% (2/2), 6.0 KB" in done.stdout
    assert hub_has(hub, seed, new)
    assert hub_has(hub, seed, newer)


def test_push_all_is_one_count_over_all_refs(hub: RunningHub, seed: Seed, clone: Path) -> None:
    seed.person.run("git", "lfs", "fetch", "--all", cwd=clone)
    for branch in ("one", "two"):
        seed.person.git("switch", "-q", "-c", f"{clone.name}-{branch}", cwd=clone)
        seed.person.commit(clone, {"x.bin": weights(branch + clone.name)})
    done = seed.person.run("git", "lfs", "push", "--all", "origin", cwd=clone)
    assert done.stdout.count("Uploading LFS objects: 100% (3/3)") == 1
    assert hub_has(hub, seed, weights("two" + clone.name))


def test_push_by_object_id_and_from_standard_input(hub: RunningHub, seed: Seed, clone: Path) -> None:
    first, second = weights("first" + clone.name), weights("second" + clone.name)
    seed.person.commit(clone, {"x.bin": first, "y.bin": second})
    seed.person.run("git", "lfs", "push", "--object-id", "origin", oid_of(first), cwd=clone)
    assert (hub_has(hub, seed, first), hub_has(hub, seed, second)) == (True, False)
    done = seed.person.run(
        "git", "lfs", "push", "--object-id", "--stdin", "--dry-run", "origin", cwd=clone, stdin=f"\n{oid_of(second)}\n"
    )
    assert done.stdout == f"push {oid_of(second)} => {object_path(clone, second)}\n"
    seed.person.run("git", "lfs", "push", "--stdin", "origin", cwd=clone, stdin=f"{clone.name}\n")
    assert hub_has(hub, seed, second)


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        ((), 1, "Specify a remote and a remote branch name (`git lfs push origin main`)"),
        (("origin",), 1, "At least one ref must be supplied without --all"),
        (("--object-id", "origin"), 1, "At least one object ID must be supplied with --object-id"),
        (("--stdin", "origin", "main"), 1, "Further command line arguments are ignored with --stdin"),
        (("nowhere",), 2, 'Invalid remote name "nowhere"'),
        (("origin", "jibberish"), 2, "Invalid ref argument: jibberish"),
        (("--object-id", "origin", "abc"), 2, 'too short object ID: "abc"'),
        (("--object-id", "origin", "ab" * 32), 2, "Unable to stat local media path: "),
    ],
)
def test_refusals(seed: Seed, args: tuple[str, ...], code: int, text: str) -> None:
    done = seed.person.run("git", "lfs", "push", *args, cwd=seed.folder, check=False)
    assert (done.returncode, text in done.stdout + done.stderr) == (code, True)


def test_a_missing_object_stops_the_push_unless_that_is_allowed(hub: RunningHub, seed: Seed, clone: Path) -> None:
    gone, here = weights("gone" + clone.name), weights("here" + clone.name)
    seed.person.commit(clone, {"gone.bin": gone, "here.bin": here})
    object_path(clone, gone).unlink()
    done = seed.person.run("git", "lfs", "push", "origin", clone.name, cwd=clone, check=False)
    assert done.returncode == 2
    assert done.stdout.endswith(
        f"Git LFS upload failed:\n  (missing) gone.bin ({oid_of(gone)})\n"
        "hint: Your push was rejected due to missing or corrupt local objects.\n"
        "hint: You can disable this check with: `git config lfs.allowincompletepush true`\n"
    )
    assert not hub_has(hub, seed, here)
    seed.person.git("config", "lfs.allowincompletepush", "true", cwd=clone)
    done = seed.person.run("git", "lfs", "push", "origin", clone.name, cwd=clone)
    assert f"Git LFS upload missing objects:\n  (missing) gone.bin ({oid_of(gone)})\n" in done.stdout
    assert hub_has(hub, seed, here)


def test_a_missing_object_that_the_server_has_is_no_matter(seed: Seed, clone: Path) -> None:
    content = weights("there" + clone.name)
    seed.person.commit(clone, {"x.bin": content})
    seed.person.run("git", "lfs", "push", "--object-id", "origin", oid_of(content), cwd=clone)
    object_path(clone, content).unlink()
    done = seed.person.run("git", "lfs", "push", "origin", clone.name, cwd=clone)
    assert "100% (1/1)" in done.stdout


def test_a_damaged_object_stops_the_push(hub: RunningHub, seed: Seed, clone: Path) -> None:
    content = weights("damaged" + clone.name)
    seed.person.commit(clone, {"x.bin": content})
    object_path(clone, content).chmod(0o644)
    object_path(clone, content).write_bytes(b"short")
    done = seed.person.run("git", "lfs", "push", "origin", clone.name, cwd=clone, check=False)
    assert done.returncode == 2
    assert f"  (corrupt) x.bin ({oid_of(content)})" in done.stdout
    assert not hub_has(hub, seed, content)


@pytest.fixture
def bob(hub: RunningHub, tmp_path: Path) -> Person:
    person = hub.person(tmp_path / "bob", "bob")
    person.run("git", "lfs", "install")
    return person


def test_locks_of_others_are_told_and_enforced_where_asked(seed: Seed, clone: Path, bob: Person) -> None:
    name = f"{clone.name}.bin"
    theirs = seed.pointers(bob)
    bob.run("git", "lfs", "lock", name, cwd=theirs)
    bob.run("git", "lfs", "lock", f"{clone.name}.txt", cwd=theirs)
    seed.person.commit(clone, {name: weights("locked" + clone.name), f"{clone.name}.txt": b"plain text\n"})
    done = seed.person.run("git", "lfs", "push", "origin", clone.name, cwd=clone)
    assert 'Locking support detected on remote "origin". Consider enabling it with:\n' in done.stderr
    assert f"  $ git config lfs.{seed.url}/info/lfs.locksverify true\n" in done.stderr
    told = f"Unable to push locked files:\n* {clone.name}.bin - bob\n* {clone.name}.txt - bob\n"
    assert told in done.stdout
    assert "warning: The above files would have halted this push." in done.stderr
    seed.person.git("config", f"lfs.{seed.url}/info/lfs.locksverify", "true", cwd=clone)
    done = seed.person.run("git", "lfs", "push", "origin", clone.name, cwd=clone, check=False)
    assert done.returncode == 2
    assert told in done.stdout
    assert done.stderr.endswith("Cannot update locked files.\n")
    seed.person.git("config", f"lfs.{seed.url}/info/lfs.locksverify", "false", cwd=clone)
    done = seed.person.run("git", "lfs", "push", "origin", clone.name, cwd=clone)
    assert "locked" not in done.stdout + done.stderr


def test_own_locks_are_remembered(seed: Seed, clone: Path) -> None:
    name = f"own-{clone.name}.bin"
    seed.person.run("git", "lfs", "lock", name, cwd=clone)
    seed.person.commit(clone, {name: weights("own" + clone.name)})
    done = seed.person.run("git", "lfs", "push", "origin", clone.name, cwd=clone)
    assert f"Consider unlocking your own locked files: (`git lfs unlock <path>`)\n* {name}\n" in done.stdout


def test_push_to_a_folder_needs_no_server(seed: Seed, clone: Path, tmp_path: Path) -> None:
    content = weights("local" + clone.name)
    seed.person.commit(clone, {"x.bin": content})
    seed.person.git("init", "-q", "--bare", str(tmp_path / "other.git"))
    seed.person.run("git", "lfs", "fetch", cwd=clone)
    seed.person.git("push", "-q", str(tmp_path / "other.git"), clone.name, cwd=clone)
    oid = oid_of(content)
    assert (tmp_path / "other.git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid).read_bytes() == content


def test_the_hook_uploads_before_git_does(hub: RunningHub, seed: Seed, clone: Path) -> None:
    content = weights("hook" + clone.name)
    seed.person.commit(clone, {".gitattributes": ATTRIBUTES, "x.bin": content})
    seed.person.git("push", "-q", "origin", clone.name, cwd=clone)
    assert hub_has(hub, seed, content)
    seed.person.git("push", "-q", "origin", f":{clone.name}", cwd=clone)


def test_a_commit_on_a_branch_that_is_gone_at_the_remote_is_pushed_again(seed: Seed, clone: Path) -> None:
    content = weights("deleted" + clone.name)
    seed.person.commit(clone, {"x.bin": content})
    seed.person.git("push", "-q", "origin", clone.name, cwd=clone)
    other = seed.pointers()
    seed.person.git("push", "-q", "origin", f":{clone.name}", cwd=other)
    line = f"refs/heads/{clone.name} HEAD refs/heads/again {'0' * 40}\n"
    done = seed.person.run("git", "lfs", "pre-push", "--dry-run", "origin", cwd=clone, stdin=line)
    assert f"push {oid_of(content)} => x.bin\n" in done.stdout
