"""A clone as the actions see it: repository, configuration, local store. Opened once per command, filled lazily.

The fast paths (filters, hooks) touch only `repository`, `git_config` and `store`: two git spawns in all.
"""

from __future__ import annotations

import os

from hundredweight.base.trace import notice
from hundredweight.git import config, lfsconfig
from hundredweight.git.config import parse_bool
from hundredweight.git.quoting import unquote
from hundredweight.git.repository import Repository, at_top, discover
from hundredweight.store.local import LocalStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.git.config import Config
    from hundredweight.git.run import Git


class Workspace:
    """`variables` is the environment that the edge read; nothing here asks the process for it. `user_umask` is the user's
    own, when the process has another one for the store's sake: files of the work tree are made by it."""

    def __init__(self, repository: Repository, git_config: Config, variables: Mapping[str, str]) -> None:
        self.repository = repository
        self.git_config = git_config
        self.variables = dict(variables)
        self.user_umask: int | None = None
        self._config: Config | None = None
        self._store: LocalStore | None = None

    @property
    def git(self) -> Git:
        """git at the top of the work tree: paths in and out are relative to it."""
        return self.repository.root_git

    @property
    def config(self) -> Config:
        """Git's configuration on top of `.lfsconfig`'s safe keys. Of others the user is warned, in git-lfs's words: nobody's
        commit may run programs here."""
        if self._config is None:
            shipped, unsafe = lfsconfig.read(self.repository)
            if unsafe:
                named = "".join(f"\n  {key}" for key in unsafe)
                notice(f"warning: These unsafe '.lfsconfig' keys were ignored:\n{named}")
            self._config = shipped.below(self.git_config)
        return self._config

    @property
    def lfs_folder(self) -> str:
        """`lfs.storage` (relative: below the common git folder), by default `lfs` in the common git folder."""
        return os.path.join(self.repository.common_dir, self.git_config.get("lfs.storage") or "lfs")

    @property
    def store(self) -> LocalStore:
        if self._store is None:
            self._store = LocalStore(self.lfs_folder, tuple(self.reference_folders()), 0o666)
        return self._store

    def reference_folders(self) -> list[str]:
        """`lfs/objects` beside each alternate object folder of git, where it exists."""
        listed = _read_lines(os.path.join(self.repository.common_dir, "objects", "info", "alternates"))
        listed += [p for p in self.variables.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "").split(os.pathsep) if p]
        objects = os.path.join(self.repository.common_dir, "objects")
        folders = []
        for entry in listed:
            line = (unquote(entry)[0] or entry) if entry.startswith('"') else entry
            folder = os.path.normpath(os.path.join(objects, line, "..", "lfs", "objects"))
            if os.path.isdir(folder):
                folders.append(folder)
        return folders

    @property
    def shared_umask(self) -> int | None:
        """The umask by which core.sharedRepository wants the store's files and folders made, whatever the user's is; None
        where the user's counts. The edge sets it for the process and keeps the user's in `user_umask`."""
        shared = self.git_config.get("core.sharedrepository", "umask").lower()
        if shared in ("all", "world", "everybody", "2"):
            mode = 0o664
        elif len(shared) > 1 and shared.isascii() and shared.isdigit():
            mode = int(shared, 8) & 0o666 if set(shared) <= set("01234567") else -1
        else:
            mode = 0o660 if shared == "group" or parse_bool(shared, False) else -1
        # Whoever may read a folder may look into it.
        return None if mode < 0 else 0o777 & ~(mode | (mode & 0o444) >> 2)


def open_workspace(git: Git, variables: Mapping[str, str]) -> Workspace:
    """The workspace around git's folder. Raises `NotARepository`."""
    repository = discover(git)
    return Workspace(repository, config.load(git), variables)


def open_at_top(git: Git, variables: Mapping[str, str], folder: str) -> Workspace:
    """As `open_workspace`, for hooks, which git starts at the top of the work tree: mostly one git spawn instead of two."""
    repository = at_top(git, folder)
    if repository is not None:
        loaded = config.load(git)
        unusual = ("core.worktree", "extensions.objectformat", "extensions.worktreeconfig")
        if not any(map(loaded.has, unusual)) and not loaded.bool("core.bare"):
            return Workspace(repository, loaded, variables)
    return open_workspace(git, variables)


def _read_lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    except FileNotFoundError:
        return []
