"""Hooks: ours are kept up to date, anybody else's are left alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hundredweight.client import hook_scripts
from hundredweight.client.hook_scripts import HOOKS, HookExists
from tests.clones import Clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def hook(clone: Clone, name: str = "pre-push") -> Path:
    return clone.folder / ".git" / "hooks" / name


def test_the_text_is_git_lfss_own(clone: Clone) -> None:
    hook_scripts.install_hooks(clone.workspace())
    assert hook(clone).read_bytes() == (
        b"#!/bin/sh\n"
        b'command -v git-lfs >/dev/null 2>&1 || { printf >&2 "\\n%s\\n\\n" "This repository is configured for Git LFS but '
        b"'git-lfs' was not found on your path. If you no longer wish to use Git LFS, remove this hook by deleting the "
        b"'pre-push' file in the hooks directory (set by 'core.hookspath'; usually '.git/hooks').\"; exit 2; }\n"
        b'git lfs pre-push "$@"\n'
    )
    assert all(os.access(hook(clone, name), os.X_OK) for name in HOOKS)


def test_a_hook_without_git_lfs_on_the_path_says_so(clone: Clone) -> None:
    hook_scripts.install_hooks(clone.workspace())
    done = subprocess.run(
        ["/bin/sh", str(hook(clone, "post-merge"))], env={"PATH": "/nowhere"}, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"'post-merge' file in the hooks directory" in done.stderr


@pytest.mark.parametrize("name", HOOKS)
def test_former_texts_are_replaced(clone: Clone, name: str) -> None:
    for former in hook_scripts.former_scripts(name):
        hook(clone, name).parent.mkdir(exist_ok=True)
        hook(clone, name).write_text("\t" + former.replace("\n", "\n  ") + "\n")
        hook_scripts.install_hooks(clone.workspace())
        assert hook(clone, name).read_text() == hook_scripts.script(name) + "\n"


def test_somebody_elses_stays_and_the_others_are_put_in_place(clone: Clone) -> None:
    hook(clone, "post-commit").parent.mkdir(exist_ok=True)
    hook(clone, "post-commit").write_text("#!/bin/sh\necho mine\n")
    with pytest.raises(HookExists) as caught:
        hook_scripts.install_hooks(clone.workspace())
    assert caught.value.hook == "post-commit"
    assert str(caught.value) == "Hook already exists: post-commit\n\n\t#!/bin/sh\n\techo mine\n"
    assert hook(clone, "post-merge").exists()
    assert hook(clone, "post-commit").read_text() == "#!/bin/sh\necho mine\n"
    hook_scripts.ensure_hooks(clone.workspace())
    with pytest.raises(HookExists):
        hook_scripts.uninstall_hooks(clone.workspace())
    assert [name for name in HOOKS if hook(clone, name).exists()] == ["post-commit"]
    hook_scripts.install_hooks(clone.workspace(), force=True)
    assert "git lfs post-commit" in hook(clone, "post-commit").read_text()
    hook_scripts.uninstall_hooks(clone.workspace())
    assert not any(hook(clone, name).exists() for name in HOOKS)


def test_core_hookspath_is_heeded(clone: Clone, tmp_path: Path) -> None:
    (clone.folder / "sub").mkdir()
    clone.git.output("config", "core.hooksPath", "my hooks")
    hook_scripts.install_hooks(clone.workspace("sub"))
    assert (clone.folder / "my hooks" / "pre-push").exists()
    clone.git.output("config", "core.hooksPath", "~/hooks")
    assert hook_scripts.hooks_folder(clone.workspace()) == os.environ["HOME"] + "/hooks"
    clone.git.output("config", "core.hooksPath", str(tmp_path / "abs"))
    assert hook_scripts.hooks_folder(clone.workspace()) == str(tmp_path / "abs")


def test_a_folder_that_is_a_file_is_no_obstacle_in_passing(clone: Clone) -> None:
    clone.write("file", b"")
    clone.git.output("config", "core.hooksPath", "file")
    hook_scripts.ensure_hooks(clone.workspace())
    assert (clone.folder / "file").read_bytes() == b""


def test_a_bare_repository_has_hooks_of_its_own(tmp_path: Path) -> None:
    from hundredweight.client.workspace import open_workspace
    from hundredweight.git.run import Git

    git = Git(str(tmp_path))
    git.output("init", "-q", "--bare")
    hook_scripts.install_hooks(open_workspace(git, os.environ))
    assert (tmp_path / "hooks" / "pre-push").exists()


def test_manual_steps_name_each_file(clone: Clone) -> None:
    steps = hook_scripts.manual_steps(clone.workspace())
    assert steps.startswith("Add the following to '.git/hooks/pre-push':\n\n\t#!/bin/sh\n\tcommand -v git-lfs")
    assert steps.count("Add the following") == 4
