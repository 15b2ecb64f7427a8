"""install, uninstall, update, track, untrack: the commands that set a clone up, with git-lfs's own words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hundredweight.cli.lfs import ls_files, prune, status, track, untrack
from hundredweight.client.hook_scripts import HOOKS
from tests.people import Person


@pytest.fixture
def ann(tmp_path: Path) -> Person:
    return Person("ann", tmp_path / "ann")


@pytest.fixture
def repo(ann: Person) -> Path:
    return ann.repository("repo")


@pytest.mark.parametrize("command", [track, untrack, ls_files, status, prune])
def test_defaults_are_the_parsers(command: object) -> None:
    parsed = vars(command.parser().parse_args([]))  # type: ignore[attr-defined]
    assert parsed == command._DEFAULTS  # type: ignore[attr-defined]


def test_install_and_uninstall(ann: Person, repo: Path) -> None:
    assert ann.run("git", "lfs", "install", cwd=repo).stdout == "Updated Git hooks.\nGit LFS initialized.\n"
    assert ann.git("config", "--global", "filter.lfs.process") == "git-lfs filter-process"
    assert all((repo / ".git" / "hooks" / name).exists() for name in HOOKS)
    done = ann.run("git", "lfs", "uninstall", cwd=repo)
    assert done.stdout == (
        "Hooks for this repository have been removed.\nGlobal Git LFS configuration has been removed.\n"
    )
    assert ann.git("config", "--global", "filter.lfs.process", check=False) == ""
    assert not (repo / ".git" / "hooks" / "pre-push").exists()


def test_install_outside_of_a_repository(ann: Person) -> None:
    assert ann.run("git", "lfs", "install", "--skip-smudge").stdout == "Git LFS initialized.\n"
    assert ann.git("config", "--global", "filter.lfs.smudge") == "git-lfs smudge --skip -- %f"
    assert ann.run("git", "lfs", "install", "--local", check=False).stdout == "Not in a Git repository.\n"
    done = ann.run("git", "lfs", "update", check=False)
    assert (done.stdout, done.returncode) == ("Not in a Git repository.\n", 128)


def test_install_refuses_what_it_does_not_know(ann: Person, repo: Path) -> None:
    ann.git("config", "--global", "filter.lfs.clean", "mine")
    done = ann.run("git", "lfs", "install", cwd=repo, check=False)
    assert done.returncode == 2
    assert done.stdout == (
        'warning: the "filter.lfs.clean" attribute should be "git-lfs clean -- %f" but is "mine"\n'
        "Run `git lfs install --force` to reset Git configuration.\n"
    )
    done = ann.run("git", "lfs", "install", "--local", "--worktree", cwd=repo, check=False)
    assert done.returncode == 2
    assert done.stderr == "Only one of the --local, --system, --worktree, and --file options can be specified.\n"
    assert ann.run("git", "lfs", "install", "--file", "mine", "--skip-repo", cwd=repo).returncode == 0
    assert ann.git("config", "--file", "mine", "filter.lfs.required", cwd=repo) == "true"
    assert "Git LFS" in ann.run("git", "lfs", "uninstall", "--file", "mine", cwd=repo).stdout


def test_update_tells_how_to_resolve_a_conflict(ann: Person, repo: Path) -> None:
    (repo / ".git" / "hooks").mkdir(exist_ok=True)
    (repo / ".git" / "hooks" / "pre-push").write_text("mine\n")
    done = ann.run("git", "lfs", "update", cwd=repo, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "Hook already exists: pre-push\n\n\tmine\n\nTo resolve this, either:\n"
        "  1: run `git lfs update --manual` for instructions on how to merge hooks.\n"
        "  2: run `git lfs update --force` to overwrite your hook.\n"
    )
    assert "Add the following to '.git/hooks/pre-push':" in ann.run("git", "lfs", "update", "--manual", cwd=repo).stdout
    both = ann.run("git", "lfs", "update", "--manual", "--force", cwd=repo, check=False)
    assert both.stderr == "You cannot use --force and --manual options together\n"
    done = ann.run("git", "lfs", "uninstall", "hooks", cwd=repo)
    assert "Hook already exists: pre-push" in done.stderr
    assert ann.run("git", "lfs", "install", "hooks", "--force", cwd=repo).stdout == "Updated Git hooks.\n"


def test_update_renames_old_settings(ann: Person, repo: Path) -> None:
    ann.git("config", "lfs.https://a.access", "private", cwd=repo)
    ann.git("config", "lfs.https://b.access", "odd", cwd=repo)
    assert ann.run("git", "lfs", "update", cwd=repo).stdout == (
        "Updated https://a access from private to basic.\nRemoved invalid https://b access of odd.\nUpdated Git hooks.\n"
    )


def test_track_list_and_untrack(ann: Person, repo: Path) -> None:
    assert ann.run("git", "lfs", "track", cwd=repo).stdout == ""
    done = ann.run("git", "lfs", "track", "*.bin", "--lockable", "a b", cwd=repo)
    assert done.stdout == 'Tracking "*.bin"\nTracking "a b"\n'
    assert ann.run("git", "lfs", "track", "*.bin", cwd=repo).stdout == '"*.bin" already supported\n'
    (repo / ".git" / "info" / "attributes").write_text("*.not -filter\n*.plain filter=lfs\n")
    listing = ann.run("git", "lfs", "track", cwd=repo).stdout
    assert listing == (
        "Listing tracked patterns\n    *.plain (.git/info/attributes)\n    *.bin [lockable] (.gitattributes)\n"
        "    a[[:space:]]b [lockable] (.gitattributes)\nListing excluded patterns\n    *.not (.git/info/attributes)\n"
    )
    assert "excluded" not in ann.run("git", "lfs", "track", "--no-excluded", cwd=repo).stdout
    shown = json.loads(ann.run("git", "lfs", "track", "--json", cwd=repo).stdout)
    assert shown["patterns"][2] == {
        "pattern": "*.bin",
        "source": ".gitattributes",
        "lockable": True,
        "tracked": True,
    }
    assert ann.run("git", "lfs", "track", "--json", "x", cwd=repo, check=False).returncode == 2
    assert ann.run("git", "lfs", "untrack", "a b", cwd=repo).stdout == 'Untracking "a b"\n'
    assert ann.run("git", "lfs", "untrack", cwd=repo).stdout == "git lfs untrack <path> [path]*\n"


def test_track_tells_what_it_would_touch(ann: Person, repo: Path) -> None:
    ann.commit(repo, {'a"b.bin': b"x", ".gitattributes": b""})
    done = ann.run("git", "lfs", "track", "--dry-run", "*.bin", cwd=repo)
    assert done.stdout == 'Tracking "*.bin"\nTouching "a\\"b.bin"\n'
    done = ann.run("git", "lfs", "track", "-v", "*.bin", cwd=repo)
    assert "Found 1 files previously added to Git matching pattern: *.bin\n" in done.stdout
    done = ann.run("git", "lfs", "track", ".git*", cwd=repo, check=False)
    assert done.returncode == 1
    assert "Pattern '.git*' matches forbidden file '.gitattributes'." in done.stdout
    ann.commit(repo, {"gone.dat": b"x"})
    (repo / "gone.dat").unlink()
    done = ann.run("git", "lfs", "track", "*.dat", cwd=repo, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('Error marking "gone.dat" modified: ')


def test_track_installs_hooks_unless_told_not_to(ann: Person, repo: Path) -> None:
    ann.run("git", "lfs", "track", cwd=repo, GIT_LFS_TRACK_NO_INSTALL_HOOKS="1")
    assert not (repo / ".git" / "hooks" / "pre-push").exists()
    ann.run("git", "lfs", "track", cwd=repo)
    assert (repo / ".git" / "hooks" / "pre-push").exists()


def test_a_bare_repository_has_nothing_to_track(ann: Person) -> None:
    ann.git("init", "-q", "--bare", "bare")
    done = ann.run("git", "lfs", "track", "*.bin", cwd=ann.home / "bare", check=False)
    assert (done.stdout, done.returncode) == ("This operation must be run in a work tree.\n", 128)


def test_an_unknown_format_is_refused(ann: Person, repo: Path) -> None:
    ann.git("config", "lfs.repositoryformatversion", "1", cwd=repo)
    done = ann.run("git", "lfs", "track", cwd=repo, check=False)
    assert (done.stdout, done.returncode) == ("Unknown repository format version: 1\n", 128)


def test_no_command_and_no_such_command(ann: Person, tmp_path: Path) -> None:
    """As stock git-lfs: nothing asked is no failure, an unknown command is a shell's 127. `cwt` is told apart by 2."""
    alone = ann.run("git", "lfs")
    assert alone.stdout.startswith(ann.run("git", "lfs", "version").stdout + "usage: git lfs COMMAND")
    assert "  push " in alone.stdout
    assert alone.stderr == ""
    unknown = ann.run("git-lfs", "nosuch", "--help", check=False)
    assert (unknown.returncode, unknown.stdout) == (127, "")
    assert unknown.stderr == "error: unknown command 'nosuch'\nhint: run 'git lfs help' for the list of commands\n"
    assert ann.run("cwt", check=False).returncode == 2
    assert ann.run("cwt", "nosuch", check=False).returncode == 2
    assert ann.run("cwt", "help").stdout.startswith("usage: cwt COMMAND")
