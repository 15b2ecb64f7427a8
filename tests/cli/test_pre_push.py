from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.seeds import ATTRIBUTES, oid_of, weights
from tests.people import Person

NULL = "0" * 40


@pytest.fixture
def ann(tmp_path: Path) -> Person:
    person = Person("ann", tmp_path / "ann")
    person.run("git", "lfs", "install")
    return person


@pytest.fixture
def repo(ann: Person) -> Path:
    """Its remote cannot be reached."""
    folder = ann.repository("r")
    ann.commit(folder, {".gitattributes": ATTRIBUTES, "w.bin": weights("w")})
    ann.git("remote", "add", "origin", "http://127.0.0.1:9/o/r.git", cwd=folder)
    return folder


def test_nothing_to_push_asks_nobody_and_loads_nothing(ann: Person, repo: Path) -> None:
    for stdin in ("", "\n", f"(delete) {NULL} refs/heads/gone {'a' * 40}\n"):
        done = ann.run("git", "lfs", "pre-push", "origin", "http://127.0.0.1:9/o/r.git", cwd=repo, stdin=stdin)
        assert (done.stdout, done.stderr) == ("", "")


def test_the_user_may_skip_it(ann: Person, repo: Path) -> None:
    line = f"refs/heads/main HEAD refs/heads/main {NULL}\n"
    done = ann.run("git", "lfs", "pre-push", "origin", cwd=repo, stdin=line, GIT_LFS_SKIP_PUSH="1")
    assert (done.stdout, done.stderr) == ("", "")


def test_a_dry_run_tells_what_would_be_pushed(ann: Person, repo: Path) -> None:
    ann.git("config", "lfs.locksverify", "false", cwd=repo)
    line = f"refs/heads/main HEAD refs/heads/main {NULL}\n"
    done = ann.run("git", "lfs", "pre-push", "--dry-run", "origin", cwd=repo, stdin=line)
    assert done.stdout == f"push {oid_of(weights('w'))} => w.bin\n"
    by_url = ann.run("git", "lfs", "pre-push", "--dry-run", "http://127.0.0.1:9/o/r.git", cwd=repo, stdin=line)
    assert by_url.stdout == done.stdout


def test_only_what_the_remote_lacks_is_looked_at(ann: Person, repo: Path) -> None:
    ann.git("config", "lfs.locksverify", "false", cwd=repo)
    before = ann.git("rev-parse", "HEAD", cwd=repo)
    ann.commit(repo, {"w.bin": weights("w2")})
    line = f"refs/heads/main HEAD refs/heads/main {before}\n"
    done = ann.run("git", "lfs", "pre-push", "--dry-run", "origin", cwd=repo, stdin=line)
    assert done.stdout == f"push {oid_of(weights('w2'))} => w.bin\n"


def test_a_server_that_cannot_be_reached_stops_the_push_and_is_named(ann: Person, repo: Path) -> None:
    ann.git("config", "lfs.locksverify", "false", cwd=repo)
    ann.git("config", "lfs.transfer.maxretries", "1", cwd=repo)
    line = f"refs/heads/main HEAD refs/heads/main {NULL}\n"
    done = ann.run("git", "lfs", "pre-push", "origin", cwd=repo, stdin=line, check=False)
    assert done.returncode == 2
    assert "http://127.0.0.1:9" in done.stderr
    assert f"  w.bin ({oid_of(weights('w'))})" in done.stderr


def test_locks_that_cannot_be_asked_for_stop_it_only_where_wanted(ann: Person, repo: Path) -> None:
    line = f"refs/heads/main HEAD refs/heads/main {NULL}\n"
    done = ann.run("git", "lfs", "pre-push", "--dry-run", "origin", cwd=repo, stdin=line)
    assert 'Remote "origin" does not support the Git LFS locking API. Consider disabling it with:\n' in done.stderr
    ann.git("config", "lfs.locksverify", "true", cwd=repo)
    done = ann.run("git", "lfs", "pre-push", "--dry-run", "origin", cwd=repo, stdin=line, check=False)
    assert done.returncode == 2


def test_misuse_is_told(ann: Person, repo: Path) -> None:
    done = ann.run("git", "lfs", "pre-push", cwd=repo, check=False)
    assert (done.returncode, "This should be run through Git's pre-push hook." in done.stdout) == (1, True)
    line = f"refs/heads/main HEAD refs/heads/main {NULL}\n"
    done = ann.run("git", "lfs", "pre-push", "not-a-remote", "x", cwd=repo, stdin=line, check=False)
    assert (done.returncode, 'Invalid remote name "not-a-remote"' in done.stderr) == (2, True)
    bad = f"refs/heads/main {'b' * 40} refs/heads/main {NULL}\n"
    ann.git("config", "lfs.locksverify", "false", cwd=repo)
    done = ann.run("git", "lfs", "pre-push", "--dry-run", "origin", cwd=repo, stdin=bad, check=False)
    assert done.stdout == ""
