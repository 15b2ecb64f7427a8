"""The one-shot clean filter: what is stored, what passes through, what a fault leaves behind."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hundredweight.client.clean import Cleaner
from hundredweight.client.filter_stream import RawStream
from tests.clones import Clone, oid_of, pointer_of
from tests.damage import damaged
from tests.people import Person

LARGE = random.Random(7).randbytes(6_000_000)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person("test", tmp_path / "home")


def clean(clone: Clone, content: bytes, path: str = "", **variables: str) -> bytes:
    source = clone.folder / "source"
    source.write_bytes(content)
    descriptor = os.open(source, os.O_RDONLY)
    try:
        return Cleaner(clone.workspace(**variables)).clean(RawStream(descriptor), path)[0]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("content", [b"x", LARGE[:1023], LARGE[:1024], LARGE[: 1 << 20], LARGE], ids=len)
def test_content_becomes_a_pointer_and_an_object(clone: Clone, content: bytes) -> None:
    assert clean(clone, content) == pointer_of(content).encode()
    assert Path(clone.workspace().store.path(oid_of(content))).read_bytes() == content


@pytest.mark.parametrize("content", [b"x", LARGE[: 1 << 20], LARGE], ids=len)
@pytest.mark.parametrize("change", [lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: data + b"x"])
def test_a_damaged_object_is_replaced_when_its_content_comes_again(
    clone: Clone, content: bytes, change: Callable[[bytes], bytes]
) -> None:
    path = Path(clone.workspace().store.path(oid_of(content)))
    path.parent.mkdir(parents=True)
    path.write_bytes(change(content))
    clean(clone, content)
    assert path.read_bytes() == content


def test_a_short_object_that_is_whole_stays_as_it_is(clone: Clone) -> None:
    clean(clone, b"weights")
    before = os.stat(clone.workspace().store.path(oid_of(b"weights")))
    clean(clone, b"weights")
    assert os.path.samestat(before, os.stat(clone.workspace().store.path(oid_of(b"weights"))))


def test_a_pointer_stays_one(clone: Clone) -> None:
    for content in (b"", pointer_of(b"x").encode(), pointer_of(b"x").encode() + b"\n\n"):
        assert clean(clone, content) == content
    almost = pointer_of(b"x").encode() + b"\nwith a text below\n"
    assert clean(clone, almost) == pointer_of(almost).encode()


def test_progress_goes_to_the_named_file(clone: Clone, tmp_path: Path) -> None:
    clone.write("a.bin", LARGE)
    log = tmp_path / "progress"
    clean(clone, LARGE, "a.bin", GIT_LFS_PROGRESS=str(log))
    lines = log.read_text().splitlines()
    assert lines[-1] == f"clean 1/1 {len(LARGE)}/{len(LARGE)} a.bin"
    clean(clone, LARGE, "missing.bin", GIT_LFS_PROGRESS=str(log))
    assert len(log.read_text().splitlines()) == len(lines)


def test_the_command(clone: Clone, person: Person) -> None:
    done = person.run("git", "lfs", "clean", "--", "a.bin", cwd=clone.folder, stdin="whatever\n")
    assert done.stdout == pointer_of(b"whatever\n").encode().decode()
    assert clone.has(b"whatever\n")
    hooks = clone.folder / ".git" / "hooks"
    assert {"pre-push", "post-checkout", "post-commit", "post-merge"} <= {path.name for path in hooks.iterdir()}
    assert clone.git.text("config", "lfs.repositoryformatversion") == "0"
    terminal = subprocess.run(
        ["git", "lfs", "clean"],
        cwd=clone.folder,
        env=person.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert terminal.returncode == 1
    assert b"Cannot read from STDIN: This command should be run by the Git 'clean' filter" in terminal.stderr


def test_an_unknown_repository_format_is_refused(clone: Clone, person: Person) -> None:
    clone.git.output("config", "lfs.repositoryformatversion", "7")
    done = person.run("git", "lfs", "clean", cwd=clone.folder, stdin="x", check=False)
    assert (done.returncode, done.stdout) == (128, "Unknown repository format version: 7\n")


def limit_file_size() -> None:
    """What a full disk does, for files over 2 MiB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))


def test_a_disk_that_fills_up(clone: Clone, person: Person) -> None:
    done = subprocess.run(
        ["git-lfs", "clean", "a.bin"],
        cwd=clone.folder,
        env=person.env,
        input=LARGE,
        capture_output=True,
        preexec_fn=limit_file_size,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"error: cannot write " in done.stderr
    store = clone.workspace().store
    assert list(store.ids()) == []
    assert os.listdir(store.temp) == []


def test_git_add_fails_when_the_disk_is_full_and_works_afterwards(clone: Clone, person: Person) -> None:
    person.git("lfs", "install", "--skip-repo")
    clone.write(".gitattributes", b"*.bin filter=lfs -text\n")
    clone.write("a.bin", LARGE)
    full = subprocess.run(
        ["git", "add", "a.bin"],
        cwd=clone.folder,
        env=person.env,
        capture_output=True,
        preexec_fn=limit_file_size,
        check=False,
    )
    assert full.returncode == 128
    assert b"cannot write" in full.stderr
    assert person.git("ls-files", cwd=clone.folder) == ""
    person.git("add", "a.bin", cwd=clone.folder)
    assert clone.has(LARGE)


@pytest.mark.parametrize("round_number", range(5))
def test_killed_at_any_moment(clone: Clone, person: Person, round_number: int) -> None:
    """No wrong object under a final name, whatever was going on; the repeated command completes."""
    moment = random.Random(round_number).uniform(0.01, 0.12)
    process = subprocess.Popen(
        ["git-lfs", "clean", "a.bin"],
        cwd=clone.folder,
        env=person.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    ends = time.monotonic() + moment
    try:
        for at in range(0, len(LARGE), 1 << 18):
            process.stdin.write(LARGE[at : at + (1 << 18)])
            time.sleep(max(0.0, min(0.005, ends - time.monotonic())))
            if time.monotonic() >= ends:
                break
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
    assert damaged(clone.folder / ".git") == []
    assert clean(clone, LARGE) == pointer_of(LARGE).encode()
    assert clone.has(LARGE)


def peak_memory(pid: int) -> int:
    """Bytes, so far. Not `ru_maxrss`, which begins with what the parent had."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_memory_stays_flat(clone: Clone, person: Person) -> None:
    """512 MiB that take no room in the source."""
    with (clone.folder / "a.bin").open("wb") as file:
        file.truncate(512 << 20)
    with (clone.folder / "a.bin").open("rb") as source:
        process = subprocess.Popen(
            ["git-lfs", "clean"], cwd=clone.folder, env=person.env, stdin=source, stdout=subprocess.PIPE
        )
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_memory(process.pid))
        time.sleep(0.01)
    assert process.stdout is not None
    with process.stdout as out:
        assert out.read().endswith(b"size 536870912\n")
    assert 0 < peak < 40 << 20
