"""Weights at a URL: headers, and what else is wanted of them, by ranges; nothing is cloned.

`URL@REV:PATH` is a file of a git repository: a bare, blobless, shallow fetch brings its pointer, the LFS server its bytes.
Any other http or https URL is a plain file, with its neighbours in the same folder.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from hundredweight.base.errors import RemoteError, UsageError
from hundredweight.client.weight_files import CannotOpen, ObjectNotHere, Revision, open_stored
from hundredweight.client.workspace import open_workspace
from hundredweight.git import config
from hundredweight.transfer.endpoint import Endpoints
from hundredweight.transfer.http import HttpError
from hundredweight.transfer.ranges import open_object, open_url
from hundredweight.transfer.server import open_server
from hundredweight.transfer.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from hundredweight.client.weight_files import Opened, Place
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git, Result
    from hundredweight.transfer.server import LfsServer

_IN_REPOSITORY = re.compile(
    r"(?P<url>(?:https?|ssh|file)://[^/]*/[^@:?#]*?)(?:@(?P<revision>[^:]+))?:(?P<path>[^:]+)", re.DOTALL
)
_HINT = "name a file in a repository as in https://HOST/OWNER/NAME.git@main:model.safetensors"


class FetchFailed(RemoteError):
    """git could not fetch from a repository what was named."""


class WebPlaces:
    """Opens what URLs name. Use as a context: it ends connections and removes what git fetched."""

    def __init__(self, git: Git, variables: Mapping[str, str]) -> None:
        self._git = git
        self._variables = variables
        self._folders: list[str] = []
        self._sessions: list[Session] = []

    def locate(self, target: str) -> tuple[Place, str]:
        """The place and the file's name in it. Raises `UsageError`, `FetchFailed`."""
        found = _IN_REPOSITORY.fullmatch(target)
        if found and (found["revision"] or found["url"].endswith(".git")):
            return self._repository(found["url"], found["revision"] or "HEAD", found["path"])
        parts = urlsplit(target)
        name = parts.path.rpartition("/")[2]
        if parts.scheme not in ("http", "https") or not parts.hostname or not name:
            raise UsageError(f"'{target}' names no file", hint=_HINT)
        settings = config.load(self._git)
        session = Session(settings, self._git, self._variables, Endpoints(settings, self._git), "")
        self._sessions.append(session)
        return _WebFolder(session, target, name), name

    def close(self) -> None:
        while self._sessions:
            self._sessions.pop().close()
        while self._folders:
            shutil.rmtree(self._folders.pop(), ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _repository(self, url: str, revision: str, path: str) -> tuple[Place, str]:
        if revision.startswith("-") or path.startswith("/") or path.endswith("/"):
            raise UsageError(f"'{url}@{revision}:{path}' names no file", hint=_HINT)
        folder = tempfile.mkdtemp(prefix="cwt-")
        self._folders.append(folder)
        workspace = _fetch(self._git.at(folder), self._variables, url, revision)
        server = open_server(workspace.config, workspace.git, self._variables, "origin")
        self._sessions.append(server.session)
        head, slash, name = path.rpartition("/")
        return _WebRevision(workspace, server, head + slash), name


def _fetch(git: Git, variables: Mapping[str, str], url: str, revision: str) -> Workspace:
    """A repository that holds the trees of one commit, as its HEAD; git fetches each blob when it is read."""
    done = _fetch_into(git, url, revision, "sha1")
    if done.code and b"mismatched algorithms" in done.err:
        shutil.rmtree(git.folder)
        done = _fetch_into(git, url, revision, "sha256")
    if done.code:
        said = done.err.decode("utf-8", "replace").strip().splitlines() or ["git says nothing"]
        reason = next((line for line in said if line.startswith("fatal: ")), said[-1]).removeprefix("fatal: ")
        hint = "see that you may read the repository, and name a branch, a tag or a whole commit id after '@'"
        raise FetchFailed(f"cannot fetch '{revision}' of '{url}': {reason}", hint=hint)
    git.output("update-ref", "--no-deref", "HEAD", "FETCH_HEAD^{commit}")
    return open_workspace(git, variables)


def _fetch_into(git: Git, url: str, revision: str, object_format: str) -> Result:
    git.at("").output("init", "-q", "--bare", f"--object-format={object_format}", git.folder)
    for key, value in (
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.url", url),
        ("remote.origin.promisor", "true"),
        ("remote.origin.partialCloneFilter", "blob:none"),
    ):
        git.output("config", key, value)
    return git.run("fetch", "-q", "--depth=1", "--no-tags", "--filter=blob:none", "origin", revision)


class _WebRevision:
    """A folder of a commit of a remote repository."""

    def __init__(self, workspace: Workspace, server: LfsServer, prefix: str) -> None:
        self._here = Revision(workspace, f"HEAD:{prefix}")
        self._server = server

    def open(self, name: str) -> Opened:
        try:
            return self._here.open(name)
        except ObjectNotHere as error:
            pointer = error.pointer
        if self._server.endpoint.is_local:
            return open_stored(self._server.local_store, pointer, name)
        return open_object(self._server, pointer.oid, pointer.size, name)


class _WebFolder:
    """The folder of a plain file's URL."""

    def __init__(self, session: Session, url: str, name: str) -> None:
        self._session = session
        self._url = url
        self._name = name

    def open(self, name: str) -> Opened:
        parts = urlsplit(self._url)
        if name != self._name:
            if parts.query:
                # A query that says which file, or signs for it, says nothing of its neighbours.
                raise CannotOpen(name, "the URL is of one file alone")
            path = parts.path.rpartition("/")[0] + "/" + quote(name)
            parts = parts._replace(path=path)
        try:
            return open_url(self._session, urlunsplit(parts._replace(fragment="")), name)
        except HttpError as error:
            raise CannotOpen(name, error.reason.splitlines()[0].lower(), hint=error.hint) from error
