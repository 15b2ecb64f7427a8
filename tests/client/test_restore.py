"""`cwt restore`: weights of a release as a new commit, history kept, nothing of the user's lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.deploying import CONFIG, MODEL, Releases
from tests.people import Person


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    person = Person("ada", tmp_path / "ada")
    person.run("git", "lfs", "install", "--skip-repo")
    made = Releases(person)
    made.add(**{"adapters/a.safetensors": b"a" * 2000, "notes.txt": b"one"})
    made.add(**{"adapters/a.safetensors": b"b" * 2000, "notes.txt": b"two", "new.safetensors": b"n" * 2000})
    return made


def restore(releases: Releases, *args: str, check: bool = True, cwd: Path | None = None) -> str:
    done = releases.person.run("cwt", "restore", *args, cwd=cwd or releases.folder, check=check)
    return done.stdout + done.stderr


def log(releases: Releases) -> list[str]:
    return releases.person.git("log", "--format=%s", cwd=releases.folder).splitlines()


def status(releases: Releases) -> str:
    return releases.person.git("status", "--porcelain", cwd=releases.folder)


def test_one_file(releases: Releases) -> None:
    said = restore(releases, "model@v1.1.0", "--", MODEL)
    assert f"restored {MODEL}\n" in said
    assert (releases.folder / MODEL).read_bytes() == releases.files["model@v1.1.0"][MODEL]
    assert (releases.folder / CONFIG).read_bytes() == releases.files["model@v1.2.0"][CONFIG]
    assert log(releases)[:2] == [f"Restore {MODEL} of model@v1.1.0", "Train model@v1.2.0"]
    assert status(releases) == ""
    git = releases.person.git
    assert git("rev-parse", f"HEAD:{MODEL}", cwd=releases.folder) == git(
        "rev-parse", f"model@v1.1.0:{MODEL}", cwd=releases.folder
    )
    trailer = git("log", "-1", "--format=%(trailers:key=Restored-From,valueonly)", cwd=releases.folder).strip()
    assert trailer == f"model@v1.1.0 {git('rev-parse', 'model@v1.1.0^{}', cwd=releases.folder)}"
    assert "nothing to do" in restore(releases, "model@v1.1.0", MODEL)
    assert len(log(releases)) == 3


def test_all_weights_and_only_them(releases: Releases) -> None:
    restore(releases, "model@v1.1.0", "-m", "Back to the first")
    assert (releases.folder / "adapters/a.safetensors").read_bytes() == b"a" * 2000
    assert (releases.folder / "notes.txt").read_bytes() == b"two"
    assert (releases.folder / "new.safetensors").exists()
    assert log(releases)[0] == "Back to the first"
    assert status(releases) == ""


def test_from_below_and_by_folder(releases: Releases) -> None:
    restore(releases, "model@v1.1.0", "--", ".", cwd=releases.folder / "adapters")
    assert (releases.folder / "adapters/a.safetensors").read_bytes() == b"a" * 2000
    assert (releases.folder / MODEL).read_bytes() == releases.files["model@v1.2.0"][MODEL]
    restore(releases, "model@v1.1.0", "--", "notes.txt")
    assert (releases.folder / "notes.txt").read_bytes() == b"one"


def test_names_of_releases(releases: Releases) -> None:
    releases.assign("model@v1.1.0", "prod", 1)
    restore(releases, "model#prod", "--", MODEL)
    assert (releases.folder / MODEL).read_bytes() == releases.files["model@v1.1.0"][MODEL]
    restore(releases, "model@latest", "--", MODEL)
    assert (releases.folder / MODEL).read_bytes() == releases.files["model@v1.2.0"][MODEL]
    assert "resolve" in restore(releases, "model@v9.0.0", check=False)


@pytest.mark.parametrize("change", ["changed", "staged", "untracked"])
def test_nobodys_work_is_lost(change: str, releases: Releases) -> None:
    if change == "changed":
        (releases.folder / MODEL).write_bytes(b"work in progress")
    elif change == "staged":
        (releases.folder / "notes.txt").write_bytes(b"staged")
        releases.person.git("add", "notes.txt", cwd=releases.folder)
    else:
        releases.person.git("rm", "-q", MODEL, cwd=releases.folder)
        releases.person.git("commit", "-qm", "Remove the model", cwd=releases.folder)
        (releases.folder / MODEL).write_bytes(b"work in progress")
    before = (status(releases), log(releases), (releases.folder / MODEL).read_bytes())
    assert "changes" in restore(releases, "model@v1.1.0", "--", MODEL, check=False)
    assert (status(releases), log(releases), (releases.folder / MODEL).read_bytes()) == before


def test_other_changes_are_no_obstacle(releases: Releases) -> None:
    (releases.folder / "notes.txt").write_bytes(b"work in progress")
    restore(releases, "model@v1.1.0", "--", MODEL)
    assert (releases.folder / "notes.txt").read_bytes() == b"work in progress"
    assert status(releases) == " M notes.txt"


def test_weights_that_are_nowhere(releases: Releases) -> None:
    """They are fetched before anything changes."""
    shutil.rmtree(releases.folder / ".git" / "lfs" / "objects")
    before = log(releases)
    assert "cannot fetch" in restore(releases, "model@v1.1.0", "--", MODEL, check=False)
    assert (log(releases), status(releases)) == (before, "")
    assert (releases.folder / MODEL).read_bytes() == releases.files["model@v1.2.0"][MODEL]


def test_weights_that_come_from_the_remote(releases: Releases, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    releases.person.git("init", "-q", "--bare", str(bare))
    releases.person.git("remote", "add", "origin", str(bare), cwd=releases.folder)
    releases.person.git("push", "-q", "origin", "main", "--tags", cwd=releases.folder)
    clone = tmp_path / "clone"
    releases.person.run("cwt", "clone", "-q", str(bare), str(clone))
    releases.person.run("cwt", "restore", "model@v1.1.0", cwd=clone)
    assert (clone / MODEL).read_bytes() == releases.files["model@v1.1.0"][MODEL]
    assert releases.person.git("status", "--porcelain", cwd=clone) == ""


def test_paths_that_the_release_lacks(releases: Releases) -> None:
    assert "has no 'new.safetensors'" in restore(releases, "model@v1.1.0", "--", "new.safetensors", check=False)
    restore(releases, "model@v1.2.0", "--", "new.safetensors")
    assert len(log(releases)) == 2
