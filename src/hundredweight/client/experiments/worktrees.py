"""A work tree of its own for a run: made by git, its LFS files copied from the local store, removed without a trace."""

from __future__ import annotations

import os
import shutil
import threading
from typing import TYPE_CHECKING

from hundredweight.base.errors import LocalError
from hundredweight.base.progress import NullMeter
from hundredweight.client.pointer_files import WRITES_LATER
from hundredweight.client.workspace import Workspace, open_workspace
from hundredweight.git.objects import ObjectReader
from hundredweight.git.trees import change_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hundredweight.git.run import Git

_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
_adding = threading.Lock()


class WeightsMissing(LocalError):
    """A run of its own work tree needs LFS objects that are not in the local store."""

    hint = "run 'git lfs pull' first"


def tree_of(git: Git, tree: str, changes: Mapping[str, str | None]) -> str:
    """The tree that a commit's tree and changes give. Raises `GitError`."""
    if tree and not changes:
        return tree
    with ObjectReader(git) as reader:
        return change_tree(git, reader, tree, changes)


def add(workspace: Workspace, path: str, parent: str, tree: str, links: Sequence[str]) -> Workspace:
    """A detached work tree at `path` with `tree`, on top of `parent`. `links` are data paths that are in no commit: the main work
    tree's own are linked. Raises `GitError`, `WeightsMissing`."""
    from hundredweight.client.checkout import candidates, checkout  # noqa: PLC0415 - 11 ms, for runs of this kind only
    from hundredweight.client.pointer_files import WITHOUT_FILTER  # noqa: PLC0415 - as above

    git = workspace.git
    parents = ("-p", parent) if parent else ()
    commit = with_identity(git).text("commit-tree", tree, *parents, "-m", "state of a run")
    quiet = git.with_env(**{WRITES_LATER: "1"}).with_options(*WITHOUT_FILTER, *_NO_HOOKS)
    with _adding:
        quiet.output("worktree", "add", "--quiet", "--detach", "--force", path, commit)
    inner = open_workspace(git.at(path), workspace.variables)
    files = candidates(inner, ())
    missing = [file.path for file in files if not workspace.store.has(file.pointer.oid, file.pointer.size)]
    if missing:
        raise WeightsMissing(
            f"'{missing[0]}' is not here" + (f", nor are {len(missing) - 1} more" if missing[1:] else "")
        )
    errors = checkout(inner, files, NullMeter())
    if errors:
        raise errors[0]
    for link in links:
        source, target = os.path.join(workspace.repository.work_tree, link), os.path.join(path, link)
        if os.path.exists(source) and not os.path.lexists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.symlink(source, target)
    return inner


def remove(workspace: Workspace, path: str) -> None:
    """The work tree and what git knows of it go. Harmless where there is none."""
    if os.path.isdir(path):
        workspace.git.run("worktree", "remove", "--force", "--force", path)
        shutil.rmtree(path, ignore_errors=True)
        workspace.git.run("worktree", "prune")


def with_identity(git: Git) -> Git:
    """git that can commit where nobody told it who does (a fresh container)."""
    if git.ok("var", "GIT_COMMITTER_IDENT"):
        return git
    names = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _NOBODY}
    return git.with_env(**{key: value for key, value in names.items() if not git.env.get(key)})


_NOBODY = (("NAME", "cwt exp"), ("EMAIL", "cwt@localhost"))
