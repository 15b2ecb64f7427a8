"""Everything a hub consists of, opened together: what the HTTP side and the commands on a data folder both use."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.backend.folder import FolderBackend
from hundredweight.base.errors import LocalError
from hundredweight.base.files import make_folders, write_file
from hundredweight.git.run import Git
from hundredweight.hub.access import Access
from hundredweight.hub.activity import Activity
from hundredweight.hub.database.engine import Database
from hundredweight.hub.locks.service import LockService
from hundredweight.hub.metrics import Metrics
from hundredweight.hub.objects.service import Objects
from hundredweight.hub.objects.signing import Signer
from hundredweight.hub.objects.staging import Staging
from hundredweight.hub.objects.upload import Uploads
from hundredweight.hub.packs.catalog import PackTables
from hundredweight.hub.packs.service import Packs
from hundredweight.hub.repos.service import Repositories
from hundredweight.hub.tokens.service import Tokens
from hundredweight.store.objects import ObjectStore

if TYPE_CHECKING:
    from hundredweight.backend.interface import Backend
    from hundredweight.hub.settings import Settings


class BadDataFolder(LocalError):
    """The data folder cannot be made, read or written."""

    hint = "name another folder with --data, or give the hub's user the right to use this one"

    def __init__(self, path: str, cause: OSError) -> None:
        super().__init__(f"cannot use the data folder '{path}': {cause.strerror or cause}")
        self.path = path


@dataclass(frozen=True)
class Services:
    """One open hub. `git` runs with the hub's own environment: no configuration of the user or the system."""

    settings: Settings
    database: Database
    git: Git
    store: ObjectStore
    repositories: Repositories
    tokens: Tokens
    access: Access
    objects: Objects
    locks: LockService
    signer: Signer
    metrics: Metrics
    uploads: Uploads
    staging: Staging
    packs: Packs
    activity: Activity = field(default_factory=Activity)
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the process was told to end: what would run for hours gives up."""

    def close(self) -> None:
        self.staging.close()
        self.packs.close()
        self.database.close()


def open_services(settings: Settings, *, backend: Backend | None = None) -> Services:
    """Open the data folder; makes what is missing, and brings its tables up to date. Several processes may have it open.
    `backend` holds the objects; by default it is a folder in the data folder.

    Raises `BadDataFolder`, `DatabaseError`, `DatabaseTooNew`, `BackendFailed`, `WriteError`.
    """
    make_data_folder(settings)
    database = Database(settings.database_url)
    database.migrate()
    git = hub_git(settings)
    repositories = Repositories(database, settings.repositories_folder, settings.moves_folder, git)
    access = Access(repositories, anonymous_read=settings.anonymous_read)
    backend = backend or FolderBackend(settings.objects_folder, settings.uploads_folder)
    packs = Packs(PackTables(database), backend)
    store = ObjectStore(backend, packs)
    return Services(
        settings=settings,
        database=database,
        git=git,
        store=store,
        repositories=repositories,
        tokens=Tokens(database),
        access=access,
        objects=Objects(database, store, access),
        locks=LockService(database),
        signer=Signer(_signing_key(settings)),
        metrics=Metrics(),
        uploads=Uploads(),
        staging=Staging(store, settings.part_size, settings.max_staged),
        packs=packs,
    )


def make_data_folder(settings: Settings) -> None:
    """Only the hub's own user may look inside: repositories and objects are private unless the hub says otherwise.

    Raises `BadDataFolder`.
    """
    folder = settings.inside()
    try:
        if not os.path.isdir(folder):
            make_folders(folder, durable=True)
            os.chmod(folder, 0o700)
    except OSError as error:
        raise BadDataFolder(folder, error) from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise BadDataFolder(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def hub_git(settings: Settings) -> Git:
    """git that sees nothing of its user's configuration, whose hooks or credentials have no business here."""
    return (
        Git()
        .at("")
        .with_env(
            GIT_CONFIG_NOSYSTEM="1",
            GIT_CONFIG_GLOBAL=os.devnull,
            GIT_TERMINAL_PROMPT="0",
            HOME=settings.inside(),
            LC_ALL="C",
        )
    )


def _signing_key(settings: Settings) -> bytes:
    """Made on first use. Losing it only ends the action URLs that were handed out."""
    path = settings.inside("signing-key")
    if not os.path.exists(path):
        write_file(path, os.urandom(32).hex().encode() + b"\n", mode=0o600, durable=True)
    with open(path, "rb") as file:
        return bytes.fromhex(file.read().decode().strip())
