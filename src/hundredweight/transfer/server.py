"""One LFS server as a client sees it: batch calls and lock calls. Importing this module imports urllib3 (70 ms): hooks and
filters load it when there is something to transfer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from hundredweight.base.errors import CwtError, RemoteError
from hundredweight.base.trace import trace
from hundredweight.git.refs import current_branch, default_push_remote, default_remote
from hundredweight.protocol import batch as messages
from hundredweight.protocol import locks as lock_messages
from hundredweight.protocol.message import MEDIA_TYPE, BadMessage
from hundredweight.transfer import local
from hundredweight.transfer.endpoint import UNKNOWN, Endpoints
from hundredweight.transfer.http import ConnectionFailed, HttpError, Request
from hundredweight.transfer.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hundredweight.base.clock import Clock
    from hundredweight.git.config import Config
    from hundredweight.git.run import Git
    from hundredweight.protocol.batch import BatchResponse, Wanted
    from hundredweight.protocol.locks import LockList, LockQuery, LockResponse, VerifyLocksResponse
    from hundredweight.store.local import LocalStore
    from hundredweight.transfer.endpoint import Endpoint
    from hundredweight.transfer.http import Response

CONTENT_TYPE = f"{MEDIA_TYPE}; charset=utf-8"


class BatchFailed(RemoteError):
    """A batch call as a whole failed; `cause` is why, `status` its HTTP status or 0."""

    def __init__(self, cause: CwtError) -> None:
        where = "batch request" if isinstance(cause, NoServer) else "batch response"
        temporary = isinstance(cause, RemoteError) and cause.temporary
        super().__init__(f"{where}: {cause}", hint=cause.hint, temporary=temporary)
        self.cause = cause
        self.status = cause.status if isinstance(cause, HttpError) else 0


class NoServer(CwtError):
    """Nothing says where the LFS server is."""

    hint = "run 'git lfs env' to see the endpoints, 'git config lfs.url URL' to set one"

    def __init__(self, url: str) -> None:
        super().__init__(f'missing protocol: "{url}"')


class LfsServer:
    """The server of one remote, for one `operation` (download or upload). Thread-safe; use it as a context or `close` it."""

    def __init__(self, session: Session, operation: str) -> None:
        self.session = session
        self.operation = operation
        self.endpoint = session.endpoints.endpoint(operation, session.remote)
        self._local_store: LocalStore | None = None

    @property
    def remote(self) -> str:
        return self.session.remote

    @property
    def clock(self) -> Clock:
        return self.session.clock

    def batch(
        self, operation: str, objects: Sequence[Wanted], ref: str = "", transfers: Sequence[str] = (messages.BASIC,)
    ) -> BatchResponse:
        """Ask how to move `objects`. `ref` is a full ref name or empty, `transfers` the adapters to choose from, best first.
        Raises `BatchFailed`, also for an answer that breaks the protocol; errors of single objects are in the answer."""
        if self.endpoint.is_local:
            try:
                return local.batch(self.local_store, self.endpoint.url, operation, objects)
            except CwtError as error:
                raise BatchFailed(error) from error
        trace(f"api: batch {len(objects)} files")
        request = messages.BatchRequest(operation, tuple(objects), tuple(transfers), ref)
        try:
            response = self._call("POST", self.endpoint, "objects/batch", request.encode())
            answer = messages.BatchResponse.parse(response.json_content())
        except CwtError as error:
            raise BatchFailed(error) from error
        if answer.hash_algorithm != messages.HASH_ALGORITHM:
            raise BatchFailed(CwtError("unsupported hash algorithm"))
        return answer

    @property
    def local_store(self) -> LocalStore:
        """The other repository's store, where `endpoint.is_local`. Raises `NotARemote`."""
        if self._local_store is None:
            self._local_store = local.open_store(self.session.endpoints.git, self.endpoint.url)
        return self._local_store

    def lock(self, path: str, ref: str = "") -> LockResponse:
        """Lock `path`. Raises `HttpError` (409 when somebody holds it), `BadMessage`."""
        body = lock_messages.LockRequest(path, ref).encode()
        response = self._call("POST", self._endpoint("upload"), "locks", body)
        return lock_messages.LockResponse.parse(response.json_content())

    def unlock(self, lock_id: str, *, force: bool = False, ref: str = "") -> LockResponse:
        """Remove a lock; `force` also another user's. Raises `HttpError`, `BadMessage`."""
        body = lock_messages.UnlockRequest(force, ref).encode()
        response = self._call("POST", self._endpoint("upload"), f"locks/{quote(lock_id, safe='')}/unlock", body)
        return lock_messages.LockResponse.parse(response.json_content())

    def list_locks(self, query: LockQuery) -> LockList:
        """One page of locks. Raises `HttpError`, `BadMessage`."""
        parameters = query.parameters()
        suffix = f"locks?{urlencode(parameters)}" if parameters else "locks"
        response = self._call("GET", self._endpoint("download"), suffix, None)
        return lock_messages.LockList.parse(response.json_content())

    def verify_locks(self, ref: str = "", cursor: str = "", limit: int = 0) -> VerifyLocksResponse:
        """One page of locks, ours and theirs. Raises `HttpError`: 404 and 501 mean that the server has no locks, 403 that we may
        not ask."""
        body = lock_messages.VerifyLocksRequest(ref, cursor, limit).encode()
        response = self._call("POST", self._endpoint("upload"), "locks/verify", body)
        return lock_messages.VerifyLocksResponse.parse(response.json_content())

    def close(self) -> None:
        """Drop the idle connections."""
        self.session.close()

    def __enter__(self) -> LfsServer:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _endpoint(self, operation: str) -> Endpoint:
        return self.session.endpoints.endpoint(operation, self.remote)

    def _call(self, method: str, endpoint: Endpoint, suffix: str, body: bytes | None) -> Response:
        url = endpoint.url
        if url in ("", UNKNOWN) or not url.startswith(("http://", "https://")):
            raise NoServer(url.partition("?")[0])
        headers = {"Accept": MEDIA_TYPE}
        if body is not None:
            headers["Content-Type"] = CONTENT_TYPE
        address = url + suffix if url.endswith("/") else f"{url}/{suffix}"
        request = Request(method, address, headers, body, self.operation)
        try:
            return self.session.send(request, url)
        except ConnectionFailed as error:
            if endpoint.ssh_user_and_host:
                error.hint = "the URL was guessed from the SSH remote; set the server's with 'git config lfs.url URL'"
            raise


def open_server(
    config: Config,
    git: Git,
    variables: Mapping[str, str],
    remote: str = "",
    operation: str = messages.DOWNLOAD,
    *,
    git_dir: str = "",
    clock: Clock | None = None,
) -> LfsServer:
    """The LFS server of `remote`: a name, a URL, or empty for the one that the current branch or the configuration means.
    Talks to nobody yet. `git_dir` helps to find a clone without named remotes (its FETCH_HEAD)."""
    endpoints = Endpoints(config, git, git_dir)
    if not remote:
        branch = current_branch(git)
        remote = (default_push_remote if operation == messages.UPLOAD else default_remote)(config, branch)
    return LfsServer(Session(config, git, variables, endpoints, remote, clock), operation)


__all__ = ["BadMessage", "BatchFailed", "HttpError", "LfsServer", "NoServer", "open_server"]
