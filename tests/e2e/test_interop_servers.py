"""Our git-lfs against LFS servers that others wrote, and beside stock git-lfs on them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lfs_servers import LfsServer, token
from tests.people import PROGRAMS, Person

pytestmark = pytest.mark.peer
FILES = {
    "model.safetensors": random.Random(1).randbytes(700_000),
    "with space/ü.safetensors": random.Random(2).randbytes(20),
    "empty.safetensors": b"",
}


@pytest.fixture(params=["dulwich", "giftless", "giftless-jwt"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LfsServer]:
    kind: str = request.param
    running = LfsServer(kind, tmp_path)
    yield running
    running.stop()


@pytest.fixture
def remote(tmp_path: Path, server: LfsServer) -> Path:
    """Git itself lives in a bare repository on disk; `lfs.url` travels in `.lfsconfig`."""
    person = Person("owner", tmp_path / "owner")
    person.git("init", "-q", "--bare", "git.git")
    return person.home / "git.git"


def user(folder: Path, name: str, server: LfsServer, programs: Path = PROGRAMS) -> Person:
    person = Person(name, folder / name, programs)
    person.git("lfs", "install", "--skip-repo")
    (person.home / ".git-credentials").write_text(server.url.replace("://", f"://_jwt:{token()}@") + "\n")
    return person


def publish(person: Person, server: LfsServer, remote: Path) -> Path:
    folder = person.repository("work")
    person.git("lfs", "track", "*.safetensors", cwd=folder)
    person.git("config", "-f", ".lfsconfig", "lfs.url", server.url, cwd=folder)
    person.commit(folder, FILES, "one")
    person.git("remote", "add", "origin", str(remote), cwd=folder)
    person.git("push", "-q", "-u", "origin", "main", cwd=folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("pair", ["ours-ours", "ours-stock", "stock-ours"])
def test_push_and_clone(server: LfsServer, remote: Path, tmp_path: Path, stock_git_lfs: Path, pair: str) -> None:
    programs = {"ours": PROGRAMS, "stock": stock_git_lfs}
    writer, reader = pair.split("-")
    first = user(tmp_path, "first", server, programs[writer])
    second = user(tmp_path, "second", server, programs[reader])
    folder = publish(first, server, remote)
    second.git("clone", "-q", str(remote), "clone")
    copy = second.home / "clone"
    assert contents(copy) == FILES
    assert second.git("lfs", "fsck", cwd=copy).endswith("Git LFS fsck OK")
    assert second.git("status", "--porcelain", cwd=copy) == ""

    changed = FILES | {"model.safetensors": random.Random(3).randbytes(500_000)}
    second.commit(copy, changed, "two")
    second.git("push", "-q", "origin", "main", cwd=copy)
    first.git("pull", "-q", "origin", "main", cwd=folder)
    assert contents(folder) == changed
    first.git("checkout", "-q", "HEAD~1", cwd=folder)
    assert contents(folder) == FILES


def test_fetch_all_push_all_and_prune(server: LfsServer, remote: Path, tmp_path: Path) -> None:
    ada = user(tmp_path, "ada", server)
    folder = publish(ada, server, remote)
    ada.commit(folder, {"model.safetensors": b"new weights"}, "two")
    ada.git("push", "-q", "origin", "main", cwd=folder)
    ada.git("lfs", "push", "--all", "origin", cwd=folder)
    ada.env["GIT_LFS_SKIP_SMUDGE"] = "1"
    ada.git("clone", "-q", str(remote), "clone")
    copy = ada.home / "clone"
    ada.git("lfs", "fetch", "--all", cwd=copy)
    stored = {path.name for path in (copy / ".git" / "lfs" / "objects").rglob("*") if path.is_file()}
    assert stored == {hashlib.sha256(data).hexdigest() for data in (*FILES.values(), b"new weights") if data}
    ada.git("lfs", "pull", cwd=copy)
    assert (copy / "model.safetensors").read_bytes() == b"new weights"
    for key in ("lfs.fetchrecentrefsdays", "lfs.pruneoffsetdays"):
        ada.git("config", key, "0", cwd=folder)
    done = ada.run("git", "lfs", "prune", "--verify-remote", cwd=folder)
    assert "verified with remote" in done.stdout + done.stderr
    ada.git("checkout", "-q", "HEAD~1", cwd=folder)


def test_an_object_that_the_server_has_not(server: LfsServer, remote: Path, tmp_path: Path) -> None:
    ada = user(tmp_path, "ada", server)
    folder = publish(ada, server, remote)
    ada.commit(folder, {"model.safetensors": b"never pushed"}, "two")
    ada.git("push", "-q", "--no-verify", "origin", "main", cwd=folder)
    oid = hashlib.sha256(b"never pushed").hexdigest()
    done = ada.run("git", "clone", "-q", str(remote), "clone", check=False)
    assert done.returncode != 0
    assert oid in done.stderr
    ada.git("lfs", "push", "--object-id", "origin", oid, cwd=folder)
    ada.git("clone", "-q", str(remote), "again")
    assert (ada.home / "again" / "model.safetensors").read_bytes() == b"never pushed"


def test_a_wrong_login(tmp_path: Path) -> None:
    server = LfsServer("giftless-jwt", tmp_path)
    try:
        eve = user(tmp_path, "eve", server)
        (eve.home / ".git-credentials").write_text(server.url.replace("://", "://_jwt:wrong@") + "\n")
        eve.git("init", "-q", "--bare", "git.git")
        folder = eve.repository("work")
        eve.git("lfs", "track", "*.safetensors", cwd=folder)
        eve.git("config", "lfs.url", server.url, cwd=folder)
        eve.commit(folder, FILES)
        done = eve.run("git", "push", str(eve.home / "git.git"), "main", cwd=folder, check=False)
        assert done.returncode != 0
        assert eve.git("ls-remote", str(eve.home / "git.git")) == ""
    finally:
        server.stop()
