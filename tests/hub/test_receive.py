"""What the hub refuses at push, in the words that the user reads."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from hundredweight.git.run import Git
from hundredweight.hub.receive.push import SHOWN, ForeignLock, Push, RefUpdate
from hundredweight.hub.receive.service import pre_receive, printable
from hundredweight.hub.receive.walk import changes
from tests.people import Person
from tests.running_hub import RunningHub, pointer_text


@pytest.fixture
def ada(hub: RunningHub, tmp_path: Path) -> Person:
    return hub.person(tmp_path / "ada", "ada")


@pytest.fixture
def name(hub: RunningHub) -> str:
    return hub.new_name()


@pytest.fixture
def folder(hub: RunningHub, ada: Person, name: str) -> Path:
    """A clone with one pushed commit."""
    folder = ada.repository("work")
    ada.commit(folder, {"README": b"hello\n"})
    ada.git("remote", "add", "origin", hub.remote(name), cwd=folder)
    ada.git("push", "-q", "origin", "main", cwd=folder)
    return folder


def said(output: str) -> str:
    """What the hub said in the terminal."""
    lines = [line.removeprefix("remote: ").rstrip() for line in output.splitlines() if line.startswith("remote:")]
    return "\n".join(line for line in lines if line != "remote:")


def refusal(person: Person, folder: Path, *refs: str) -> str:
    output = person.git("push", "origin", *(refs or ("main",)), cwd=folder, check=False)
    assert "pre-receive hook declined" in output
    return said(output)


def missing(number: int) -> tuple[str, bytes]:
    """An object id that nobody has, and a pointer to it."""
    oid = hashlib.sha256(f"missing {number}".encode()).hexdigest()
    return oid, pointer_text(oid, 1000 + number).encode()


def test_a_pointer_without_its_object(ada: Person, folder: Path) -> None:
    oid, pointer = missing(0)
    commit = ada.commit(folder, {"model/a b.dat": pointer})
    assert refusal(ada, folder) == (
        "error: push refused: 1 LFS pointer without its object\n"
        f"  model/a b.dat in {commit[:10]}: {oid} (1.0 KB)\n"
        f"hint: git lfs push --object-id origin {oid}\n"
        "hint: or all objects that your clone has: git lfs push --all origin"
    )
    assert "a b.dat" not in ada.git("ls-tree", "-r", "origin/main", cwd=folder)


def test_a_pointer_whose_object_is_there_passes(hub: RunningHub, ada: Person, folder: Path, name: str) -> None:
    ada.commit(folder, {"a.safetensors": hub.upload(name, b"weights").encode(), "empty.pt": b""})
    ada.git("push", "-q", "origin", "main", cwd=folder)
    assert "a.safetensors" in ada.git("ls-tree", "-r", "origin/main", cwd=folder)


def test_an_object_of_another_repository_is_no_help(hub: RunningHub, ada: Person, folder: Path) -> None:
    pointer = hub.upload(hub.new_name(), b"elsewhere")
    ada.commit(folder, {"a.safetensors": pointer.encode()})
    assert "LFS pointer without its object" in refusal(ada, folder)


def test_a_pointer_with_another_size(hub: RunningHub, ada: Person, folder: Path, name: str) -> None:
    hub.upload(name, b"weights")
    oid = hashlib.sha256(b"weights").hexdigest()
    commit = ada.commit(folder, {"a.safetensors": pointer_text(oid, 8).encode()})
    text = refusal(ada, folder)
    assert text.startswith("error: push refused: 1 LFS pointer whose size is not its object's\n")
    assert f"  a.safetensors in {commit[:10]}: {oid} has 7 bytes, the pointer says 8" in text


def test_only_the_first_paths_are_listed(ada: Person, folder: Path) -> None:
    ada.commit(folder, {f"w/{number:03}": missing(number)[1] for number in range(SHOWN + 7)})
    text = refusal(ada, folder)
    assert text.startswith(f"error: push refused: {SHOWN + 7} LFS pointers without their objects\n")
    assert text.count("  w/") == SHOWN
    assert "\n  and 7 more\n" in text


def test_weights_and_large_files_outside_lfs(ada: Person, folder: Path) -> None:
    commit = ada.commit(
        folder, {"a.safetensors": b"weights", "it's/b.GGUF": b"w" * 2000, "data.csv": b"1" * (11 << 20)}
    )
    text = refusal(ada, folder)
    assert (
        "error: push refused: 2 weight files outside LFS\n"
        f"  a.safetensors in {commit[:10]}: 7 B\n"
        f"  it's/b.GGUF in {commit[:10]}: 2.0 KB\n"
        "hint: move them to LFS, in the commits not pushed yet: git lfs migrate import --include='*.safetensors,*.GGUF'\n"
        "hint: and from now on: git lfs track '*.safetensors' '*.GGUF'"
    ) in text
    assert "error: push refused: 1 file too large for git, outside LFS\n" in text
    assert f"  data.csv in {commit[:10]}: 12 MB, the limit is 10 MiB\n" in text
    assert "git lfs migrate import --include=data.csv" in text


def test_the_middle_of_history_counts_too(ada: Person, folder: Path) -> None:
    bad = ada.commit(folder, {"a.pt": b"weights"})
    (folder / "a.pt").unlink()
    ada.commit(folder, message="remove it again")
    assert f"a.pt in {bad[:10]}" in refusal(ada, folder)


def test_what_only_a_merge_brings(ada: Person, folder: Path) -> None:
    ada.git("checkout", "-q", "-b", "side", cwd=folder)
    ada.commit(folder, {"side": b"side"})
    ada.git("checkout", "-q", "main", cwd=folder)
    ada.commit(folder, {"main": b"main"})
    ada.git("merge", "-q", "--no-commit", "side", cwd=folder)
    merge = ada.commit(folder, {"evil.npz": b"weights"}, "merge")
    assert f"evil.npz in {merge[:10]}" in refusal(ada, folder)


def test_tags_of_commits_trees_and_blobs(ada: Person, folder: Path) -> None:
    ada.git("tag", "-a", "v1", "-m", "v1", cwd=folder)
    ada.git("tag", "tree", "HEAD^{tree}", cwd=folder)
    ada.git("tag", "blob", "HEAD:README", cwd=folder)
    ada.git("push", "-q", "origin", "--tags", cwd=folder)
    (folder / "loose.pt").write_bytes(b"weights")
    blob = ada.git("hash-object", "-w", "loose.pt", cwd=folder)
    tree = ada.run("git", "mktree", cwd=folder, stdin=f"100644 blob {blob}\tx.pt\n").stdout.strip()
    ada.git("tag", "badtree", tree, cwd=folder)
    assert "  x.pt: 7 B" in refusal(ada, folder, "badtree")
    pointer = ada.run("git", "hash-object", "-w", "--stdin", cwd=folder, stdin=missing(3)[1].decode()).stdout.strip()
    ada.git("tag", "-a", "badblob", "-m", "x", pointer, cwd=folder)
    assert f"  {pointer}: {missing(3)[0]}" in refusal(ada, folder, "badblob")


def test_what_was_accepted_once_is_not_asked_about_again(tmp_path: Path) -> None:
    """A limit that came later does not lock old files in their old places."""
    hub = RunningHub(tmp_path, "--max-blob", "0").start()
    try:
        ada = hub.person(tmp_path / "ada", "ada")
        folder = ada.repository("work")
        ada.commit(folder, {"old.bin": b"1" * 2000, "README": b"x"})
        name = hub.new_name()
        ada.git("push", "-q", hub.remote(name), "main", cwd=folder)
        hub.stop()
        hub.options = ("--max-blob", "1K")
        hub.start()
        ada.git("mv", "old.bin", "moved.bin", cwd=folder)
        ada.commit(folder)
        ada.git("push", "-q", hub.remote(name), "main", cwd=folder)
        ada.commit(folder, {"new.bin": b"2" * 2000})
        ada.git("remote", "add", "origin", hub.remote(name), cwd=folder)
        assert "new.bin" in refusal(ada, folder)
    finally:
        hub.stop()


def test_deleting_refs_asks_nothing(ada: Person, folder: Path) -> None:
    ada.git("push", "-q", "origin", "main:side", cwd=folder)
    ada.git("push", "-q", "origin", ":side", cwd=folder)
    assert "side" not in ada.git("ls-remote", "origin", cwd=folder)


def test_a_file_that_somebody_else_has_locked(
    hub: RunningHub, ada: Person, folder: Path, name: str, tmp_path: Path
) -> None:
    ada.commit(folder, {"a/x.json": b"1", "y.json": b"1"})
    ada.git("push", "-q", "origin", "main", cwd=folder)
    bob = hub.new_token("bob")
    lock = f"/{name}.git/info/lfs/locks"
    hub.request("POST", lock, {"path": "a/x.json"}, token=bob)
    hub.request("POST", lock, {"path": "not/pushed"}, token=bob)
    mine = hub.new_token("ada")
    hub.request("POST", lock, {"path": "y.json"}, token=mine)

    ada.git("checkout", "-q", "-b", "feature", cwd=folder)
    commit = ada.commit(folder, {"a/x.json": b"2", "y.json": b"2"})
    ada.commit(folder, {"y.json": b"3"})
    text = refusal(ada, folder, "feature")
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert text.startswith(
        f"error: push refused: 1 file that somebody else has locked\n  a/x.json in {commit[:10]}: locked by bob since {day}"
    )
    assert "\nhint: ask bob to release the lock: git lfs unlock a/x.json\n" in text
    assert "hint: or break it, if nobody works on the file: git lfs unlock --force a/x.json" in text

    owner = Person("bob", tmp_path / "bob")
    owner.login(hub.url, bob)
    owner.git("clone", "-q", hub.remote(name), "work")
    owner.commit(owner.home / "work", {"a/x.json": b"bob's"})
    owner.git("push", "-q", "origin", "main", cwd=owner.home / "work")


def test_merging_what_the_lock_owner_pushed_is_no_change(
    hub: RunningHub, ada: Person, folder: Path, name: str, tmp_path: Path
) -> None:
    bob = hub.person(tmp_path / "bob", "bob")
    bob.git("clone", "-q", hub.remote(name), "work")
    theirs = bob.home / "work"
    bob.commit(theirs, {"x.json": b"1"})
    bob.git("push", "-q", "origin", "main", cwd=theirs)
    hub.request("POST", f"/{name}.git/info/lfs/locks", {"path": "x.json"}, token=hub.new_token("bob"))
    bob.commit(theirs, {"x.json": b"2"})
    bob.git("push", "-q", "origin", "main", cwd=theirs)

    ada.commit(folder, {"mine": b"1"})
    ada.git("pull", "-q", "--no-rebase", "--no-edit", "origin", "main", cwd=folder)
    ada.git("push", "-q", "origin", "main", cwd=folder)
    (folder / "x.json").unlink()
    ada.commit(folder, message="delete what bob works on")
    assert "x.json" in refusal(ada, folder)


def test_one_bad_ref_refuses_the_push(ada: Person, folder: Path) -> None:
    ada.git("branch", "good", cwd=folder)
    ada.commit(folder, {"a.pt": b"weights"})
    output = ada.git("push", "origin", "main", "good", cwd=folder, check=False)
    assert output.count("pre-receive hook declined") == 2
    assert "good" not in ada.git("ls-remote", "origin", cwd=folder)


def test_nothing_of_a_refused_push_stays(hub: RunningHub, ada: Person, folder: Path, name: str) -> None:
    commit = ada.commit(folder, {"a.pt": b"weights"})
    refusal(ada, folder)
    bare = Git(str(hub.data / "repositories" / f"{name}.git"))
    assert bare.run("cat-file", "-e", commit).code != 0
    assert not [
        entry for entry in (hub.data / "repositories" / f"{name}.git" / "objects").iterdir() if "incoming" in entry.name
    ]


def test_sha256_repositories(tmp_path: Path) -> None:
    """The checks themselves, without HTTP: nothing in them knows the length of an id."""
    work, bare = tmp_path / "work", tmp_path / "bare"
    Git().output("init", "-q", "--object-format=sha256", str(work))
    Git().output("init", "-q", "--object-format=sha256", "--bare", str(bare))
    git = Git(str(work))
    (work / "a.pt").write_bytes(b"weights")
    git.output("add", ".")
    git.output("commit", "-q", "-m", "x")
    head = git.text("rev-parse", "HEAD")
    quarantine = {"GIT_OBJECT_DIRECTORY": str(work / ".git" / "objects")}
    text = pre_receive(str(bare), [f"{'0' * 64} {head} refs/heads/main\n"], quarantine, NoAuthority(), 0)
    assert f"  a.pt in {head[:10]}: 7 B" in text


class NoAuthority:
    """A repository that possesses nothing."""

    def __init__(self, locks: tuple[ForeignLock, ...] = ()) -> None:
        self.locks = list(locks)

    def possessed(self, oids: object) -> dict[str, int]:
        return {}

    def foreign_locks(self) -> list[ForeignLock]:
        return self.locks


def fast_import(folder: Path, commits: int, files: int) -> str:
    """A history of `commits` commits that change `files` files each; its head, without any ref."""
    git = Git(str(folder))
    git.output("init", "-q", "--bare")
    stream = []
    for number in range(commits):
        stream.append(f"commit refs/heads/main\ncommitter a <a@b> {number} +0000\ndata 1\nx\n")
        for file in range(files):
            content = f"{number} {file}"
            stream.append(f"M 100644 inline d{file % 7}/f{file}\ndata {len(content)}\n{content}\n")
        stream.append("\n")
    git.output("fast-import", "--quiet", stdin="".join(stream).encode())
    head = git.text("rev-parse", "refs/heads/main")
    git.output("update-ref", "-d", "refs/heads/main")
    return head


@pytest.mark.parametrize(("commits", "files"), [(200, 5), pytest.param(10_000, 9, marks=pytest.mark.full)])
def test_a_large_history_is_checked_quickly(tmp_path: Path, commits: int, files: int) -> None:
    head = fast_import(tmp_path, commits, files)
    locks = (ForeignLock("d1/f1", "bob", "now", "1"), ForeignLock("elsewhere", "bob", "now", "2"))
    begin = time.monotonic()
    text = pre_receive(str(tmp_path), [f"{'0' * 40} {head} refs/heads/main\n"], {}, NoAuthority(locks), 1000)
    assert text.startswith("error: push refused: 1 file that somebody else has locked\n")
    assert time.monotonic() - begin < 0.5 + commits / 700


def test_changes_with_odd_names(tmp_path: Path) -> None:
    git = Git(str(tmp_path))
    git.output("init", "-q")
    for path in ("new\nline", "tab\there", "ünï", ":(glob)*", "-dash", "a b"):
        (tmp_path / path).write_bytes(path.encode())
    (tmp_path / "link").symlink_to("a b")
    git.output("add", ".")
    git.output("commit", "-q", "-m", "x")
    head = git.text("rev-parse", "HEAD")
    git.output("update-ref", "-d", "HEAD")
    push = Push([RefUpdate.parse(f"{'0' * 40} {head} refs/heads/x")], git, NoAuthority(), 0)
    found = {change.path: change.is_file for change in changes(push)}
    assert found == {
        "new\nline": True,
        "tab\there": True,
        "ünï": True,
        ":(glob)*": True,
        "-dash": True,
        "a b": True,
        "link": False,
    }
    assert [change.path for change in changes(push, [":(glob)*", "-dash"])] == ["-dash", ":(glob)*"]


def test_paths_cannot_play_with_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"
    assert printable("caf\udce9 ü") == "caf\\xe9 ü"


def test_the_hook_alone_refuses(ada: Person, tmp_path: Path) -> None:
    done = ada.run("cwt", "hub", "pre-receive", check=False)
    assert done.returncode != 0
    assert "run by the hub only" in done.stderr
    done = ada.run("cwt", "hub", "pre-receive", check=False, CWT_HUB_CHANNEL="77")
    assert done.returncode == 1
    assert done.stderr.startswith("error: push refused: the hub cannot be asked about this push\n")
