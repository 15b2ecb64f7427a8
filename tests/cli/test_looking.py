"""ls-files, status, env, ext, logs, prune, version: the commands that show a clone, with their whole output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clones import Clone, oid_of
from tests.people import Person

A, B = oid_of(b"content a"), oid_of(b"content b")


@pytest.fixture
def ann(tmp_path: Path) -> Person:
    return Person("ann", tmp_path / "ann")


@pytest.fixture
def clone(ann: Person) -> Clone:
    made = Clone(ann.home / "repo")
    made.put("dir/a.bin", b"content a")
    made.put("dir/b.bin", b"content b")
    made.commit()
    made.write("dir/a.bin", b"content a")
    return made


def lfs(ann: Person, clone: Clone, *args: str, below: str = "", check: bool = True, **variables: str) -> str:
    done = ann.run("git", "lfs", *args, cwd=clone.folder / below, check=check, **variables)
    return done.stdout + done.stderr


def test_ls_files(ann: Person, clone: Clone) -> None:
    assert lfs(ann, clone, "ls-files") == f"{A[:10]} * dir/a.bin\n{B[:10]} - dir/b.bin\n"
    assert lfs(ann, clone, "ls-files", "-l", "-s", "-I", "*/a*") == f"{A} * dir/a.bin (9 B)\n"
    assert lfs(ann, clone, "ls-files", "HEAD", "--name-only", "-X", "a.bin", below="dir") == "dir/b.bin\n"
    assert lfs(ann, clone, "ls-files", "--debug", "-I", "a.bin") == (
        f"filepath: dir/a.bin\n    size: 9\ncheckout: true\ndownload: true\n     oid: sha256 {A}\n"
        " version: https://git-lfs.github.com/spec/v1\n\n"
    )
    shown = json.loads(lfs(ann, clone, "ls-files", "--json", "--exclude", "a.bin"))
    assert shown == {
        "files": [
            {
                "name": "dir/b.bin",
                "size": 9,
                "checkout": False,
                "downloaded": True,
                "oid_type": "sha256",
                "oid": B,
                "version": "https://git-lfs.github.com/spec/v1",
            }
        ]
    }
    assert lfs(ann, clone, "ls-files", "--all", "HEAD", check=False) == "Cannot use --all with explicit reference\n"
    assert lfs(ann, clone, "ls-files", "nope", check=False).startswith("Could not scan for Git LFS tree: ")
    assert "Did you mean `git lfs ls-files --all --` ?" in lfs(ann, clone, "ls-files", "--", "--all", check=False)


def test_a_name_that_is_no_text_is_printed_as_it_is(ann: Person, clone: Clone) -> None:
    clone.put("\udcff.bin", b"odd")
    clone.commit()
    import subprocess

    done = subprocess.run(
        ["git", "lfs", "ls-files", "-n"], cwd=clone.folder, env=ann.env, capture_output=True, check=True
    )
    assert b"\xff.bin\n" in done.stdout
    assert json.loads(lfs(ann, clone, "ls-files", "--json"))["files"][-1]["name"] == "\ufffd.bin"


def test_status(ann: Person, clone: Clone) -> None:
    clone.git.output("mv", "dir/b.bin", "dir/c.bin")
    clone.put("new.bin", b"content b")
    clone.git.output("add", "new.bin")
    clone.pushed()
    clone.git.output("config", "branch.main.remote", "origin")
    edited = oid_of(b"content a")[:7]
    assert lfs(ann, clone, "status", below="dir") == (
        "On branch main\nObjects to be pushed to origin/main:\n\n\nObjects to be committed:\n\n"
        f"\tb.bin -> c.bin (LFS: {B[:7]} -> LFS: {B[:7]})\n"
        f"\t../new.bin (LFS: {B[:7]})\n"
        f"\nObjects not staged for commit:\n\n\ta.bin (LFS: {A[:7]} -> File: {edited})\n\n"
    )
    assert lfs(ann, clone, "status", "--porcelain") == " M dir/a.bin\nR  dir/b.bin -> dir/c.bin\nA  new.bin\n"
    assert json.loads(lfs(ann, clone, "status", "--json")) == {
        "files": {
            "dir/a.bin": {"status": "M"},
            "dir/c.bin": {"status": "R", "from": "dir/b.bin"},
            "new.bin": {"status": "A"},
        }
    }


def test_status_names_what_a_push_moves(ann: Person, clone: Clone) -> None:
    clone.pushed()
    clone.git.output("config", "branch.main.remote", "origin")
    clone.commit_file("more.bin", b"more")
    assert f"to origin/main:\n\n\tmore.bin ({oid_of(b'more')})\n" in lfs(ann, clone, "status")


def test_env_and_its_warnings(ann: Person, clone: Clone) -> None:
    clone.write(".lfsconfig", b"[core]\n\taskpass = evil\n")
    clone.git.output("config", "url.https://a/.insteadOf", "x:")
    clone.git.output("config", "url.https://b/.insteadOf", "x:")
    said = lfs(ann, clone, "env")
    assert said.startswith("git-lfs/")
    assert f"\nLocalWorkingDir={clone.folder}\n" in said
    assert "warning: These unsafe '.lfsconfig' keys were ignored:\n\n  core.askpass\n" in said
    assert "warning: Multiple 'url.*.insteadof' keys with the same alias: \"x:\"\n" in said
    outside = ann.run("git", "lfs", "env").stdout
    assert "\nLocalWorkingDir=\n" in outside
    assert "\nLfsStorageDir=lfs\n" in outside
    lost = ann.run("git-lfs", "env", GIT_DIR="/nowhere", GIT_WORK_TREE="/nowhere").stdout
    assert 'git config filter.lfs.clean = ""' in lost


def test_env_without_git(ann: Person, tmp_path: Path) -> None:
    import shutil

    (tmp_path / "bin").mkdir()
    program = shutil.which("git-lfs", path=ann.env["PATH"])
    assert program is not None
    done = ann.run(program, "env", PATH=str(tmp_path / "bin"))
    assert "Error getting Git version: git was not found" in done.stdout


def test_ext(ann: Person, clone: Clone) -> None:
    for key, value in {"clean": "c %f", "smudge": "s %f", "priority": "1"}.items():
        clone.git.output("config", f"lfs.extension.one.{key}", value)
    listed = "Extension: one\n    clean = c %f\n    smudge = s %f\n    priority = 1\n"
    assert lfs(ann, clone, "ext") == lfs(ann, clone, "ext", "list") == lfs(ann, clone, "ext", "list", "one") == listed
    assert "no extension 'two' is configured" in lfs(ann, clone, "ext", "list", "two", check=False)


def test_an_unexpected_failure_is_logged(ann: Person, clone: Clone) -> None:
    assert lfs(ann, clone, "logs", "last") == "No logs to show\n"
    said = lfs(ann, clone, "logs", "boomtown", check=False)
    assert said.startswith("Sample panic message\n\nErrors logged to '")
    name = lfs(ann, clone, "logs").strip()
    log = lfs(ann, clone, "logs", "last")
    assert "$ git-lfs logs boomtown\n" in log
    assert "SampleFailure" in log
    assert f"LocalWorkingDir={clone.folder}" in log
    assert lfs(ann, clone, "logs", "show", name) == lfs(ann, clone, "logs", name) == log
    assert lfs(ann, clone, "logs", "show") == "Supply a log name.\n"
    assert "no log 'other'" in lfs(ann, clone, "logs", "show", "other", check=False)
    assert lfs(ann, clone, "logs", "clear").startswith("Cleared ")
    assert lfs(ann, clone, "logs") == ""


def test_prune(ann: Person, clone: Clone) -> None:
    clone.git.output("checkout", "-q", "dir")
    clone.commit_file("dir/a.bin", b"newer")
    clone.pushed()
    clone.git.output("config", "lfs.fetchrecentrefsdays", "0")
    assert (
        lfs(ann, clone, "prune", "-d", "-v")
        == f"3 local objects, 2 retained, done.\n1 file would be pruned (9 B)\n * {A} (9 B)\n"
    )
    assert lfs(ann, clone, "prune") == "3 local objects, 2 retained, done.\nDeleting objects: 100% (1/1), done.\n"
    assert lfs(ann, clone, "prune") == "2 local objects, 2 retained, done.\n"
    both = lfs(ann, clone, "prune", "--verify-remote", "--no-verify-remote", check=False)
    assert both == "Cannot specify both --verify-remote and --no-verify-remote\n"
    wrong = lfs(ann, clone, "prune", "--when-unverified=maybe", check=False)
    assert wrong == "Invalid value for --when-unverified: maybe\n"


def test_prune_stops_when_the_remote_cannot_be_asked(ann: Person, clone: Clone) -> None:
    clone.store(b"of nobody")
    clone.git.output("config", "lfs.url", "http://127.0.0.1:9/nothing")
    clone.git.output("config", "lfs.transfer.maxretries", "1")
    done = ann.run("git", "lfs", "prune", "--verify-remote", cwd=clone.folder, check=False)
    assert done.returncode != 0
    assert clone.has(b"of nobody")


def test_version(ann: Person) -> None:
    said = ann.run("git", "lfs", "version").stdout
    assert said.startswith("git-lfs/")
    assert ann.run("git", "lfs", "--version").stdout == said
    assert "usage: git lfs version" in ann.run("git", "lfs", "version", "--help").stdout
