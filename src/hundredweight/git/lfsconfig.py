"""`.lfsconfig`: settings that travel with the repository, of which only safe keys are heeded.

Read from the work tree's file, else the index, else HEAD; in a bare repository from HEAD. Git's own configuration
wins over it. The list of safe keys is git-lfs's (config/git_fetcher.go): nobody's commit may run programs here.
"""

from __future__ import annotations

import os

from hundredweight.git.config import Config, fold_key, parse_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.git.repository import Repository

_SAFE = frozenset(
    (
        "lfs.allowincompletepush",
        "lfs.fetchexclude",
        "lfs.fetchinclude",
        "lfs.gitprotocol",
        "lfs.locksverify",
        "lfs.pushurl",
        "lfs.skipdownloaderrors",
        "lfs.url",
    )
)


def is_safe(key: str) -> bool:
    """Whether a repository may set this key for everyone who clones it."""
    key = fold_key(key)
    parts = key.split(".")
    return (
        key in _SAFE
        or (parts[0] == "lfs" and parts[-1] == "access" and len(parts) > 2)
        or (parts[0] == "remote" and parts[-1] == "lfsurl" and len(parts) > 2)
        or (parts[:2] == ["lfs", "extension"] and parts[-1] == "priority" and len(parts) > 3)
    )


def read(repository: Repository) -> tuple[Config, list[str]]:
    """The safe settings, and the unsafe keys that were ignored (in order, each once)."""
    entries = parse_list(_source(repository))
    unsafe = dict.fromkeys(key for key, _ in entries if not is_safe(key))
    return Config(entry for entry in entries if is_safe(entry[0])), list(unsafe)


def _source(repository: Repository) -> bytes:
    git = repository.root_git
    if repository.work_tree:
        path = os.path.join(repository.work_tree, ".lfsconfig")
        if os.path.exists(path):
            return git.output("config", "--list", "-z", "--file", path)
        staged = git.run("config", "--list", "-z", "--blob", ":.lfsconfig")
        if staged.code == 0:
            return staged.out
    committed = git.run("config", "--list", "-z", "--blob", "HEAD:.lfsconfig")
    return committed.out if committed.code == 0 else b""
