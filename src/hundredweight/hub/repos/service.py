"""The rules of repositories: one row and one bare git repository each. All calls block.

The row is the truth: a folder without a row is left over from a crash and never served; a row whose folder is missing
gets an empty one when it is next opened. Objects belong to no repository: deleting one ends its possession, the bytes
stay until garbage collection.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from hundredweight.backend.interface import BackendFull
from hundredweight.base.files import WriteError, make_folders, temp_path, write_file
from hundredweight.base.ids import RepoName
from hundredweight.git.run import GitError
from hundredweight.hub.database.schema import repositories
from hundredweight.hub.errors import Conflict, NotFound, Unprocessable

if TYPE_CHECKING:
    from sqlalchemy import Row

    from hundredweight.git.run import Git
    from hundredweight.hub.database.engine import Database

GIT_CONFIG = """\
[core]
\tfsync = committed,reference
\tlogAllRefUpdates = true
[http]
\treceivepack = true
[receive]
\tfsckObjects = true
\tadvertisePushOptions = true
[receive "fsck"]
\tbadTimezone = ignore
\tmissingSpaceBeforeDate = ignore
\tzeroPaddedFilemode = ignore
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
"""
"""Pushes are checked by git, save for old flaws that many histories have; what was accepted survives a crash of the machine."""
OBJECT_FORMATS = ("sha1", "sha256")


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository. `path` is its bare git folder."""

    id: int
    name: RepoName
    path: str
    public: bool
    created_at: float
    created_by: str


class RepositoryExists(Conflict):
    """A repository of that name, or one that differs in case only, exists."""

    def __init__(self, name: str, existing: str) -> None:
        known = f"as '{existing}'" if existing != name else "already"
        super().__init__(
            f"repository '{name}' exists {known}", hint="choose another name, or delete that repository first"
        )


class RepositoryMissing(NotFound):
    """No such repository, or not for who asks."""

    def __init__(self, name: str) -> None:
        super().__init__(f"repository '{name}' was not found", hint="check the URL, and that the token may read it")


class Repositories:
    """Create, find, list, delete."""

    def __init__(self, database: Database, folder: str, temp: str, git: Git) -> None:
        """`folder` holds OWNER/NAME.git, `temp` is beside it on the same file system; `git` has the hub's own environment."""
        self._database = database
        self._folder = folder
        self._temp = temp
        self._git = git
        make_folders(folder, durable=True)
        make_folders(temp, durable=True)

    def clean(self) -> int:
        """Remove what dead processes left on its way in or out. Only the hub's own process may call it, at start."""
        names = os.listdir(self._temp)
        for name in names:
            shutil.rmtree(os.path.join(self._temp, name))
        return len(names)

    def create(
        self, name: RepoName, *, public: bool = False, created_by: str = "", object_format: str = "sha1"
    ) -> Repository:
        """`object_format` is how git names objects, sha1 or sha256. Raises `RepositoryExists`, `GitError`, `DatabaseError`,
        `BackendFull`."""
        if object_format not in OBJECT_FORMATS:
            raise Unprocessable(f"unknown object format '{object_format[:40]}'", hint="use sha1 or sha256")
        row = {
            "name": name,
            "key": name.casefold(),
            "public": public,
            "created_at": time.time(),
            "created_by": created_by,
        }
        with self._database.write() as connection:
            existing = connection.execute(select(repositories.c.name).where(repositories.c.key == row["key"])).scalar()
            if existing is not None:
                raise RepositoryExists(name, existing)
            connection.execute(insert(repositories).values(row))
            self._make_folder(name, object_format)
            found = connection.execute(select(repositories).where(repositories.c.key == row["key"])).one()
        return self._repository(found)

    def find(self, name: RepoName) -> Repository | None:
        """The repository of that name, in any case. Its folder exists."""
        with self._database.read() as connection:
            row = connection.execute(select(repositories).where(repositories.c.key == name.casefold())).one_or_none()
        if row is None:
            return None
        repository = self._repository(row)
        if not os.path.isdir(repository.path):
            self._make_folder(repository.name)
        return repository

    def get(self, name: RepoName) -> Repository:
        """Raises `RepositoryMissing`."""
        repository = self.find(name)
        if repository is None:
            raise RepositoryMissing(name)
        return repository

    def find_or_create(self, name: RepoName, *, created_by: str) -> Repository:
        """For a first push: of several at once, one makes it and all get it."""
        try:
            return self.find(name) or self.create(name, created_by=created_by)
        except RepositoryExists:
            return self.get(name)

    def list(self, owner: str = "") -> list[Repository]:
        """All, or those of one owner, by name."""
        query = select(repositories).order_by(repositories.c.key)
        if owner:
            query = query.where(repositories.c.key.startswith(owner.casefold() + "/", autoescape=True))
        with self._database.read() as connection:
            return [self._repository(row) for row in connection.execute(query)]

    def delete(self, name: RepoName) -> None:
        """Forget the repository, its git data, its locks and what it possesses. Raises `RepositoryMissing`."""
        repository = self.get(name)
        with self._database.write() as connection:
            connection.execute(delete(repositories).where(repositories.c.id == repository.id))
        aside = temp_path(self._temp, "deleted")
        try:
            os.rename(repository.path, aside)
        except FileNotFoundError:
            return
        shutil.rmtree(aside, ignore_errors=True)  # what is left goes at the next start

    def _repository(self, row: Row[tuple[object, ...]]) -> Repository:
        name = RepoName.parse(row.name)
        return Repository(row.id, name, self._path(name), row.public, row.created_at, row.created_by)

    def _path(self, name: RepoName) -> str:
        return os.path.join(self._folder, name.owner, name.name + ".git")

    def _make_folder(self, name: RepoName, object_format: str = "sha1") -> None:
        """A bare repository, whole under its name or not at all.

        A folder without a row is set aside, never shown to the new owner.
        """
        path = self._path(name)
        temp = temp_path(self._temp, "repository")
        try:
            make_folders(os.path.dirname(path), durable=True)
            self._fill(temp, object_format)
        except (GitError, WriteError, OSError) as error:
            shutil.rmtree(temp, ignore_errors=True)
            # git says it in words only
            if any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT)):
                raise BackendFull(f"cannot make repository '{name}': no space left") from error
            raise
        if os.path.isdir(path):
            os.rename(path, f"{path}.stray-{int(time.time())}")
        os.rename(temp, path)

    def _fill(self, folder: str, object_format: str) -> None:
        form = f"--object-format={object_format}"
        self._git.output("init", "--quiet", "--bare", "--template=", "--initial-branch=main", form, folder)
        config = os.path.join(folder, "config")
        with open(config, "rb") as file:
            made = file.read()
        write_file(config, made + GIT_CONFIG.encode(), durable=True)
