"""Stock git-lfs and ours on the same repositories and the same hub, each way round."""

from __future__ import annotations

import hashlib
import random
import shutil
from pathlib import Path

import pytest

from tests.people import PROGRAMS, Person
from tests.running_hub import RunningHub, pointer_text

pytestmark = pytest.mark.peer
PAIRS = [("ours", "stock"), ("stock", "ours")]
BOTH = ["ours", "stock"]


class Crew:
    """Makes users of either client; each user's name says which client is theirs."""

    def __init__(self, hub: RunningHub, folder: Path, stock: Path) -> None:
        self.hub = hub
        self.folder = folder
        self.programs = {"ours": PROGRAMS, "stock": stock}

    def user(self, client: str, name: str = "") -> Person:
        name = name or client
        person = self.hub.person(self.folder / name, name, programs=self.programs[client])
        person.git("lfs", "install", "--skip-repo")
        version = person.git("lfs", "version")
        assert ("hundredweight" in version) == (client == "ours"), version
        return person


@pytest.fixture
def crew(hub: RunningHub, tmp_path: Path, stock_git_lfs: Path) -> Crew:
    return Crew(hub, tmp_path, stock_git_lfs)


def weights(seed: int, size: int = 300_000) -> bytes:
    return random.Random(seed).randbytes(size)


FILES = {
    "model.safetensors": weights(1),
    "with space/ünï.safetensors": weights(2),
    "empty.safetensors": b"",
    "copy.safetensors": weights(1),
    "README.md": b"plain\n",
}


def publish(person: Person, hub: RunningHub, files: dict[str, bytes] | None = None) -> tuple[str, Path]:
    """A new repository with weights in LFS, pushed: its name on the hub and the clone."""
    name = hub.new_name()
    folder = person.repository("work")
    person.git("lfs", "track", "*.safetensors", cwd=folder)
    person.commit(folder, FILES if files is None else files, "one")
    person.git("remote", "add", "origin", hub.remote(name), cwd=folder)
    person.git("push", "-q", "-u", "origin", "main", cwd=folder)
    return name, folder


def clone(person: Person, hub: RunningHub, name: str, *options: str, folder: str = "clone") -> Path:
    person.git("clone", "-q", *options, hub.remote(name), folder)
    return person.home / folder


def contents(folder: Path, names: dict[str, bytes] | None = None) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names or FILES}


def stored(folder: Path) -> set[str]:
    """The ids of a clone's local objects."""
    return {path.name for path in (folder / ".git" / "lfs" / "objects").rglob("*") if path.is_file()}


def oid_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_what_one_writes_the_other_reads_and_changes(crew: Crew, hub: RunningHub, writer: str, reader: str) -> None:
    first, second = crew.user(writer), crew.user(reader)
    name, folder = publish(first, hub)
    copy = clone(second, hub, name)
    assert contents(copy) == FILES
    assert second.git("status", "--porcelain", cwd=copy) == ""
    assert second.git("lfs", "ls-files", "--long", cwd=copy) == first.git("lfs", "ls-files", "--long", cwd=folder)

    second.commit(copy, {"model.safetensors": weights(3)}, "two")
    second.git("push", "-q", "origin", "main", cwd=copy)
    first.git("pull", "-q", "origin", "main", cwd=folder)
    assert contents(folder) == FILES | {"model.safetensors": weights(3)}
    first.git("checkout", "-q", "HEAD~1", cwd=folder)
    assert contents(folder) == FILES
    assert first.git("status", "--porcelain", cwd=folder) == ""


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_pointers_are_the_same_to_the_byte(crew: Crew, hub: RunningHub, writer: str, reader: str) -> None:
    first, second = crew.user(writer), crew.user(reader)
    _, folder = publish(first, hub)
    tree = first.git("ls-tree", "-r", "HEAD", cwd=folder)
    again = second.repository("again")
    shutil.copy(folder / ".gitattributes", again)
    second.commit(again, FILES)
    assert second.git("ls-tree", "-r", "HEAD", cwd=again) == tree


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_fsck_over_the_others_store(crew: Crew, hub: RunningHub, writer: str, reader: str) -> None:
    first, second = crew.user(writer), crew.user(reader)
    name, folder = publish(first, hub)
    copy = clone(first, hub, name)
    for place in (folder, copy):
        assert second.git("lfs", "fsck", cwd=place).endswith("Git LFS fsck OK")
        assert second.git("status", "--porcelain", cwd=place) == ""
    victim = next(path for path in (folder / ".git" / "lfs" / "objects").rglob("*") if path.name == oid_of(weights(2)))
    victim.chmod(0o644)
    victim.write_bytes(b"damage")
    done = second.run("git", "lfs", "fsck", cwd=folder, check=False)
    assert done.returncode == 1
    assert victim.name in done.stdout + done.stderr
    assert (folder / ".git" / "lfs" / "bad" / victim.name).read_bytes() == b"damage"


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_one_clone_used_by_both(crew: Crew, hub: RunningHub, writer: str, reader: str) -> None:
    """The same `.git/lfs`, hooks and filters: a team mate, a script or an IDE may bring the other program."""
    first, second = crew.user(writer), crew.user(reader)
    name, folder = publish(first, hub)
    second.commit(folder, {"model.safetensors": weights(4)}, "by the other")
    first.commit(folder, {"copy.safetensors": weights(5)}, "by the first")
    second.git("push", "-q", "origin", "main", cwd=folder)
    first.git("checkout", "-q", "HEAD~2", cwd=folder)
    assert contents(folder) == FILES
    second.git("checkout", "-q", "main", cwd=folder)
    assert contents(folder) == FILES | {"model.safetensors": weights(4), "copy.safetensors": weights(5)}
    assert contents(clone(second, hub, name))["copy.safetensors"] == weights(5)


@pytest.mark.parametrize("client", BOTH)
def test_fetch_in_its_forms(crew: Crew, hub: RunningHub, client: str) -> None:
    person = crew.user(client)
    name, folder = publish(person, hub)
    person.commit(folder, {"model.safetensors": weights(6)}, "two")
    person.git("push", "-q", "origin", "main", cwd=folder)
    person.env["GIT_LFS_SKIP_SMUDGE"] = "1"
    copy = clone(person, hub, name)
    del person.env["GIT_LFS_SKIP_SMUDGE"]
    assert stored(copy) == set()
    person.git("lfs", "fetch", "--include=model.safetensors", cwd=copy)
    assert stored(copy) == {oid_of(weights(6))}
    person.git("lfs", "fetch", cwd=copy)
    assert stored(copy) == {oid_of(weights(6)), oid_of(weights(2)), oid_of(weights(1))}
    (copy / ".git" / "lfs" / "objects").rename(copy / "aside")
    person.git("lfs", "fetch", "--all", cwd=copy)
    assert stored(copy) == {oid_of(weights(number)) for number in (1, 2, 6)}
    shutil.rmtree(copy / "aside")
    person.git("lfs", "checkout", cwd=copy)
    assert contents(copy)["model.safetensors"] == weights(6)
    assert person.git("status", "--porcelain", cwd=copy) == ""


@pytest.mark.parametrize("client", BOTH)
def test_prune_with_verification(crew: Crew, hub: RunningHub, client: str) -> None:
    person = crew.user(client)
    _, folder = publish(person, hub)
    person.commit(folder, {"model.safetensors": weights(7), "copy.safetensors": weights(7)}, "two")
    person.git("push", "-q", "origin", "main", cwd=folder)
    person.git("config", "lfs.fetchrecentrefsdays", "0", cwd=folder)
    person.git("config", "lfs.pruneoffsetdays", "0", cwd=folder)
    assert oid_of(weights(1)) in stored(folder)
    done = person.run("git", "lfs", "prune", "--verify-remote", cwd=folder)
    assert "verified with remote" in done.stdout + done.stderr
    assert oid_of(weights(1)) not in stored(folder)
    person.git("checkout", "-q", "HEAD~1", cwd=folder)
    assert contents(folder) == FILES


@pytest.mark.parametrize("client", BOTH)
def test_prune_keeps_what_the_hub_has_not(crew: Crew, own_hub: RunningHub, client: str) -> None:
    crew.hub = own_hub
    person = crew.user(client)
    name, folder = publish(person, own_hub)
    person.commit(folder, {"model.safetensors": weights(8), "copy.safetensors": weights(8)}, "two")
    person.git("push", "-q", "origin", "main", cwd=folder)
    own_hub.request("DELETE", f"/api/v1/repositories/{name}")
    own_hub.api("POST", "/repositories", {"name": name})
    person.git("config", "lfs.fetchrecentrefsdays", "0", cwd=folder)
    done = person.run("git", "lfs", "prune", "--verify-remote", cwd=folder, check=False)
    assert done.returncode != 0
    assert oid_of(weights(1)) in done.stdout + done.stderr
    assert oid_of(weights(1)) in stored(folder)


@pytest.mark.parametrize(("holder", "other"), PAIRS)
def test_locks(crew: Crew, hub: RunningHub, holder: str, other: str) -> None:
    first, second = crew.user(holder), crew.user(other)
    name, folder = publish(first, hub)
    copy = clone(second, hub, name)
    assert "Locked model.safetensors" in first.git("lfs", "lock", "model.safetensors", cwd=folder)
    assert first.git("lfs", "locks", "--verify", cwd=folder).split()[:3] == ["O", "model.safetensors", holder]
    assert second.git("lfs", "locks", "--verify", cwd=copy).split()[:2] == ["model.safetensors", holder]
    assert "already locked" in second.git("lfs", "lock", "model.safetensors", cwd=copy, check=False)

    second.commit(copy, {"model.safetensors": weights(9)})
    second.git("config", f"lfs.{hub.remote(name)}/info/lfs.locksverify", "true", cwd=copy)
    by_client = second.git("push", "origin", "main", cwd=copy, check=False)
    assert "model.safetensors" in by_client
    assert "remote: error: push refused" not in by_client
    second.git("config", f"lfs.{hub.remote(name)}/info/lfs.locksverify", "false", cwd=copy)
    by_hub = second.git("push", "origin", "main", cwd=copy, check=False)
    assert "remote: error: push refused: 1 file that somebody else has locked" in by_hub
    assert f"locked by {holder} since" in by_hub

    assert second.run("git", "lfs", "unlock", "model.safetensors", cwd=copy, check=False).returncode != 0
    first.commit(folder, {"model.safetensors": weights(10)})
    first.git("push", "-q", "origin", "main", cwd=folder)
    assert "Unlocked model.safetensors" in first.git("lfs", "unlock", "model.safetensors", cwd=folder)
    assert second.git("lfs", "locks", cwd=copy) == ""

    first.git("lfs", "lock", "README.md", cwd=folder)
    assert "Unlocked README.md" in second.git("lfs", "unlock", "--force", "README.md", cwd=copy)
    assert first.git("lfs", "locks", cwd=folder) == ""


@pytest.mark.parametrize("client", BOTH)
def test_the_hints_of_a_refused_push_mend_it(crew: Crew, hub: RunningHub, client: str) -> None:
    """Word for word: each command after `hint:` does what it says."""
    person = crew.user(client)
    name, folder = publish(person, hub)
    person.commit(folder, {"model.safetensors": weights(11)})
    refused = person.git("push", "--no-verify", "origin", "main", cwd=folder, check=False)
    command = next(line.split("hint: ")[1] for line in refused.splitlines() if "hint: git lfs push" in line).split()
    assert command[:-1] == ["git", "lfs", "push", "--object-id", "origin"]
    person.run(*command, cwd=folder)
    person.git("push", "-q", "--no-verify", "origin", "main", cwd=folder)

    person.commit(folder, {"late.pt": weights(12)}, "missed LFS")
    refused = person.git("push", "origin", "main", cwd=folder, check=False)
    assert "remote: error: push refused: 1 weight file outside LFS" in refused
    hint = next(line for line in refused.splitlines() if "git lfs migrate import" in line)
    person.run("sh", "-c", hint.partition("pushed yet: ")[2] + " --yes", cwd=folder)
    person.git("push", "-q", "origin", "main", cwd=folder)
    pointer = person.git("show", "HEAD:late.pt", cwd=folder) + "\n"
    assert pointer == pointer_text(oid_of(weights(12)), len(weights(12)))
    reader = crew.user(client, "reader")
    assert (clone(reader, hub, name) / "late.pt").read_bytes() == weights(12)


@pytest.mark.parametrize("client", BOTH)
def test_push_all_fills_another_remote(crew: Crew, hub: RunningHub, client: str) -> None:
    person = crew.user(client)
    _, folder = publish(person, hub)
    person.commit(folder, {"model.safetensors": weights(13)})
    other = hub.new_name("mirror")
    person.git("remote", "add", "mirror", hub.remote(other), cwd=folder)
    hub.api("POST", "/repositories", {"name": other})
    person.git("lfs", "push", "--all", "mirror", cwd=folder)
    person.git("push", "-q", "--no-verify", "mirror", "main", cwd=folder)
    assert contents(clone(crew.user(client, "reader"), hub, other)) == FILES | {"model.safetensors": weights(13)}


@pytest.mark.parametrize("client", BOTH)
def test_a_partial_shallow_clone(crew: Crew, hub: RunningHub, client: str) -> None:
    person = crew.user(client)
    name, folder = publish(person, hub)
    person.commit(folder, {"model.safetensors": weights(14)}, "two")
    person.git("push", "-q", "origin", "main", cwd=folder)
    copy = clone(person, hub, name, "--depth=1", "--filter=blob:none")
    assert contents(copy) == FILES | {"model.safetensors": weights(14)}
    person.commit(copy, {"model.safetensors": weights(15)}, "three")
    person.git("push", "-q", "origin", "main", cwd=copy)
    person.git("pull", "-q", "origin", "main", cwd=folder)
    assert contents(folder)["model.safetensors"] == weights(15)
