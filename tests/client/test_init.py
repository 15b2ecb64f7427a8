"""`cwt init` in a new repository, in an old one, twice, and in a clone of one; what others set is kept."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hundredweight.client.hook_scripts import HOOKS, script
from hundredweight.formats.names import is_weight_file, lfs_patterns
from hundredweight.lineage.settings import LineageSettings, parse
from tests.people import Person

LINES = [f"{pattern} filter=lfs diff=lfs merge=lfs -text" for pattern in lfs_patterns()]
READY = "everything is set up already\n"


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person("test", tmp_path / "home")


def attributes(folder: Path) -> list[str]:
    return (folder / ".gitattributes").read_text().splitlines()


def state(folder: Path) -> dict[str, bytes]:
    """Everything that init may write."""
    files = (".gitattributes", "hundredweight.toml", ".git/config")
    found = [*(folder / name for name in files), *sorted((folder / ".git" / "hooks").iterdir())]
    return {str(path): path.read_bytes() for path in found if path.exists()}


def test_a_new_repository(person: Person) -> None:
    folder = person.home / "new"
    said = person.run("cwt", "init", "new").stdout
    assert said.splitlines() == [
        f"made a git repository in '{folder}'",
        "set up: the LFS filter, in this repository's configuration",
        "set up: the hooks pre-push, post-checkout, post-commit, post-merge",
        f"set up: .gitattributes: *.safetensors, *.gguf, *.ggml and {len(LINES) - 3} more go through LFS",
        "set up: diff drivers: git diff, show and log tell tensors",
        "set up: merge driver: git merges weights by tensors",
        "set up: packs on (hundredweight.packs)",
        "set up: hundredweight.toml, guessed from what is here",
        "next: commit .gitattributes and hundredweight.toml",
    ]
    assert attributes(folder) == LINES
    for key, value in (
        ("filter.lfs.process", "git-lfs filter-process"),
        ("diff.lfs.textconv", "cwt textconv"),
        ("diff.lfs.command", "cwt diff-driver"),
        ("merge.lfs.driver", "cwt merge-driver -- %O %A %B %P"),
        ("hundredweight.packs", "true"),
        ("lfs.repositoryformatversion", "0"),
    ):
        assert person.git("config", "--local", key, cwd=folder) == value
    for hook in HOOKS:
        path = folder / ".git" / "hooks" / hook
        assert path.read_text() == script(hook) + "\n"
        assert path.stat().st_mode & stat.S_IXUSR
    before = state(folder)
    assert person.run("cwt", "init", cwd=folder).stdout == READY
    assert person.run("cwt", "init", "--check", cwd=folder).stdout == READY
    assert person.run("cwt", "init", str(folder)).stdout == READY
    assert state(folder) == before


def test_patterns_and_names_agree() -> None:
    assert all(is_weight_file(pattern.replace("-*-of-*", "-1-of-2").replace("*", "x")) for pattern in lfs_patterns())


def test_check_says_what_is_missing_and_changes_nothing(person: Person) -> None:
    folder = person.repository("repo")
    before = state(folder)
    done = person.run("cwt", "init", "--check", cwd=folder, check=False)
    assert done.returncode == 1
    assert [line.partition(" (")[0] for line in done.stdout.splitlines()][-2] == "missing: packs on"
    assert done.stdout.count("missing: ") == 7
    assert done.stderr == "hint: run 'cwt init' to set it up\n"
    assert state(folder) == before
    person.run("cwt", "init", cwd=folder)
    person.git("config", "--unset", "merge.lfs.driver", cwd=folder)
    done = person.run("cwt", "init", "--check", cwd=folder, check=False)
    assert (done.returncode, done.stdout) == (1, "missing: merge driver: git merges weights by tensors\n")
    nowhere = person.run("cwt", "init", "--check", check=False)
    assert (nowhere.returncode, nowhere.stderr) == (
        128, "error: '.' is no git repository\nhint: run 'cwt init' to make one\n",
    )  # fmt: skip


def test_attributes_that_are_there_are_respected(person: Person) -> None:
    folder = person.repository("repo")
    mine = "# ours\n* text=auto\n*.pt -filter\n*.npy filter=other\n*.h5 filter=lfs -text\ntests/*.npz -filter -text"
    (folder / ".gitattributes").write_text(mine)
    said = person.run("cwt", "init", cwd=folder).stdout
    assert "kept: *.pt has -filter in .gitattributes\n" in said
    assert "kept: *.npy has filter=other in .gitattributes\n" in said
    new = [line for line in LINES if line.split()[0] not in ("*.pt", "*.npy", "*.h5")]
    assert attributes(folder) == [*mine.splitlines()[:2], *new, *mine.splitlines()[2:]]
    told = person.git("check-attr", "filter", "text", "--", "tests/a.npz", "a.npz", "a.py", cwd=folder)
    assert [line.split(": ")[2] for line in told.splitlines()] == [
        "unset",
        "unset",
        "lfs",
        "unset",
        "unspecified",
        "auto",
    ]
    assert person.run("cwt", "init", cwd=folder).stdout.splitlines()[-1] == "everything is set up already"


def test_line_ends_and_a_last_line_without_one(person: Person) -> None:
    folder = person.repository("repo")
    (folder / ".gitattributes").write_bytes(b"*.py text\r\n* text=auto")
    person.run("cwt", "init", cwd=folder)
    data = (folder / ".gitattributes").read_bytes()
    assert data.startswith(b"*.py text\r\n* text=auto\r\n*.safetensors filter=lfs")
    assert data.count(b"\n") == data.count(b"\r\n") == len(LINES) + 2


def test_the_users_own_attributes_hold_for_nobody_else(person: Person) -> None:
    folder = person.repository("repo")
    (person.home / "attributes").write_text("* filter=lfs\n")
    person.git("config", "--global", "core.attributesFile", str(person.home / "attributes"))
    person.run("cwt", "init", cwd=folder)
    assert attributes(folder) == LINES


def test_hooks_of_others_are_kept(person: Person) -> None:
    folder = person.repository("repo")
    hooks = folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "pre-push").write_text("#!/bin/sh\nmake test\n")
    (hooks / "post-merge").write_text('#!/bin/sh\nmake\ngit lfs post-merge "$@"\n')
    (hooks / "post-commit").write_text('#!/bin/sh\ngit lfs post-commit "$@"\n')
    done = person.run("cwt", "init", cwd=folder, check=False)
    assert done.returncode == 1
    assert "set up: the hooks post-checkout\n" in done.stdout
    assert "in the way: the hook pre-push is somebody else's; 'git lfs update --manual' says" in done.stdout
    assert (hooks / "pre-push").read_text() == "#!/bin/sh\nmake test\n"
    assert (hooks / "post-merge").read_text().startswith("#!/bin/sh\nmake\n")
    again = person.run("cwt", "init", "--check", cwd=folder, check=False)
    assert (again.returncode, again.stdout.count("\n")) == (1, 1)
    (hooks / "pre-push").write_text('#!/bin/sh\nmake test && git lfs pre-push "$@"\n')
    assert person.run("cwt", "init", cwd=folder).stdout == READY


def test_configuration_of_others_is_kept(person: Person) -> None:
    folder = person.repository("repo")
    person.git("config", "diff.lfs.textconv", "cat", cwd=folder)
    person.git("config", "merge.lfs.driver", "/old/bin/cwt merge-driver %O", cwd=folder)
    person.git("config", "filter.lfs.clean", "my-own %f", cwd=folder)
    done = person.run("cwt", "init", cwd=folder, check=False)
    assert done.returncode == 1
    assert (
        "kept: diff.lfs.textconv is 'cat'; 'git config --unset diff.lfs.textconv' makes way for ours\n" in done.stdout
    )
    assert "in the way: filter.lfs.clean is 'my-own %f'; 'git lfs install --local --force' replaces it\n" in done.stdout
    assert person.git("config", "merge.lfs.driver", cwd=folder) == "cwt merge-driver -- %O %A %B %P"
    assert person.git("config", "diff.lfs.textconv", cwd=folder) == "cat"
    person.git("lfs", "install", "--local", "--force", cwd=folder)
    assert person.run("cwt", "init", cwd=folder).stdout.splitlines()[-1] == "everything is set up already"


def test_packs_and_the_agent_are_chosen(person: Person) -> None:
    folder = person.home / "repo"

    def packs() -> str:
        return person.git("config", "hundredweight.packs", cwd=folder)

    person.run("cwt", "init", "repo", "--no-packs")
    assert packs() == "false"
    assert person.run("cwt", "init", cwd=folder).stdout == READY
    assert packs() == "false"
    said = person.run("cwt", "init", "--packs", "--agent", cwd=folder).stdout
    assert said == "set up: packs on (hundredweight.packs)\nset up: transfer agent for stock git-lfs\n"
    assert packs() == "true"
    listed = person.git("config", "--get-regexp", r"^lfs\.customtransfer", cwd=folder).splitlines()
    assert listed == [
        "lfs.customtransfer.cwt-blocks.path cwt",
        "lfs.customtransfer.cwt-blocks.args transfer-agent",
        "lfs.customtransfer.cwt-blocks.concurrent false",
    ]
    assert person.run("cwt", "init", "--packs", "--agent", cwd=folder).stdout == READY


def test_weights_that_git_holds_are_told(person: Person) -> None:
    folder = person.repository("repo")
    files = {
        "a/w.pt": bytes(2000),
        "m.npy": bytes(1024),
        "small.pt": b"x",
        "kept.npz": bytes(2000),
        "text": bytes(5000),
    }
    person.commit(folder, {**files, ".gitattributes": b"kept.npz -filter\n"})
    note = (
        "note: git itself holds 'a/w.pt' and 1 more; 'git add --renormalize .' moves them to LFS with the next commit"
    )
    assert note in person.run("cwt", "init", cwd=folder).stdout.splitlines()
    assert person.run("cwt", "init", "--check", cwd=folder).stdout.splitlines() == [note, READY.strip()]
    person.git("add", "--renormalize", ".", cwd=folder)
    person.commit(folder)
    assert person.run("cwt", "init", "--check", cwd=folder).stdout == READY
    listed = person.git("lfs", "ls-files", "--name-only", cwd=folder).splitlines()
    assert listed == ["a/w.pt", "m.npy", "small.pt"]


def test_below_the_top_and_in_folders_of_other_repositories(person: Person) -> None:
    folder = person.repository("repo")
    (folder / "deep").mkdir()
    person.run("cwt", "init", cwd=folder / "deep")
    assert attributes(folder) == LINES
    assert not (folder / "deep" / ".gitattributes").exists()
    person.run("cwt", "init", "deep", cwd=folder)
    assert attributes(folder / "deep") == LINES
    assert (folder / "deep" / ".git").is_dir()
    person.git("init", "-q", "--bare", "bare")
    done = person.run("cwt", "init", "bare", check=False)
    assert (done.returncode, "bare repository cannot" in done.stderr) == (2, True)


def test_a_linked_work_tree(person: Person) -> None:
    folder = person.repository("repo")
    person.commit(folder, {"a": b"a"})
    person.git("worktree", "add", "-q", "../tree", cwd=folder)
    person.run("cwt", "init", cwd=person.home / "tree")
    assert attributes(person.home / "tree") == LINES
    assert (folder / ".git" / "hooks" / "pre-push").exists()
    left = person.run("cwt", "init", "--check", cwd=folder, check=False).stdout
    assert left.startswith("missing: .gitattributes")
    assert left.count("missing") == 2


def test_a_clone_gets_drivers_by_cwt_clone(person: Person) -> None:
    person.run("cwt", "init", "origin")
    origin = person.home / "origin"
    person.commit(origin, {"a": b"a"})
    person.run("cwt", "clone", str(origin), "clone")
    assert person.run("cwt", "init", "--check", cwd=person.home / "clone").stdout == READY
    person.git("clone", "-q", str(origin), "plain")
    assert person.run("cwt", "init", "--check", cwd=person.home / "plain", check=False).stdout.count("missing: ") == 6
    person.run("cwt", "init", cwd=person.home / "plain")
    assert person.run("cwt", "init", "--check", cwd=person.home / "plain").stdout == READY
    other = person.repository("other")
    person.commit(other, {"a": b"a"})
    person.run("cwt", "clone", str(other), "without")
    assert "merge.lfs.driver" not in person.git("config", "--list", cwd=person.home / "without")


def test_settings_are_guessed_from_what_is_there(person: Person) -> None:
    folder = person.repository("My Digits")
    files = {
        "model.safetensors": b"x" * 2000,
        "params.toml": b"lr = 1\n",
        "data/train.csv": b"1\n",
        "data/x.npy": b"1\n",
        "requirements.txt": b"",
        "uv.lock": b"",
        "metrics.json": b"{}",
    }
    person.commit(folder, files)
    person.run("cwt", "init", cwd=folder)
    found = parse((folder / "hundredweight.toml").read_bytes())
    assert found == LineageSettings(
        model="My-Digits",
        weights=("model.safetensors",),
        data=("data",),
        parameters=("params.toml",),
        metrics=("metrics.json",),
        environment="uv.lock",
    )
    (folder / "hundredweight.toml").write_text("[model]\nname = 'mine'\n")
    person.run("cwt", "init", cwd=folder)
    assert (folder / "hundredweight.toml").read_text() == "[model]\nname = 'mine'\n"


def test_experiments_come_with_every_fetch(person: Person) -> None:
    source = person.home / "new"
    person.run("cwt", "init", "new")
    person.commit(source, {}, "start")
    person.run("cwt", "exp", "run", "--", "true", cwd=source)
    person.run("cwt", "clone", f"file://{source}", "first")
    person.run("cwt", "clone", "--depth=1", "-o", "there", f"file://{source}", "second")
    person.git("clone", "-q", f"file://{source}", "third")
    person.git("remote", "add", "other", "nowhere", cwd=person.home / "third")
    said = person.run("cwt", "init", cwd=person.home / "third").stdout
    assert "set up: experiments come with every fetch from origin\n" in said
    assert "set up: experiments come with every fetch from other\n" in said
    person.run("cwt", "exp", "run", "--", "true", cwd=source)
    ours = person.git("for-each-ref", "--format=%(objectname)", "refs/experiments", cwd=source)
    for name, remote, count in (("first", "origin", 1), ("second", "there", 0), ("third", "origin", 0)):
        clone = person.home / name
        where = f"refs/remote-experiments/{remote}"
        assert len(person.git("for-each-ref", where, cwd=clone).splitlines()) == count
        person.git("fetch", "-q", "--prune", remote, cwd=clone)
        assert sorted(person.git("for-each-ref", "--format=%(objectname)", where, cwd=clone).split()) == sorted(
            ours.split()
        )
        assert "experiments" not in person.run("cwt", "init", "--check", cwd=clone, check=False).stdout
