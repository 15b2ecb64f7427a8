"""Requests with credentials: who are we for this URL, and what to do about a 401. The rules are git-lfs's.

Credentials are sent only where the access mode of the URL says so (`lfs.<url>.access`), which a first 401 sets; a request
that already carries an Authorization header or a token is left alone.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hundredweight.base.clock import SystemClock
from hundredweight.base.trace import notice, trace
from hundredweight.git import urlmatch
from hundredweight.transfer.credentials import CredentialSource
from hundredweight.transfer.endpoint import NO_ACCESS, Endpoints
from hundredweight.transfer.http import MAX_REDIRECTS, BadRedirect, Exchange, HttpError
from hundredweight.transfer.pools import Pools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.base.clock import Clock
    from hundredweight.git.config import Config
    from hundredweight.git.run import Git
    from hundredweight.transfer.credentials import Credential
    from hundredweight.transfer.http import Request, Response

MAX_REFUSALS = 4
"""One request without credentials and three with."""
BASIC_ACCESS = "basic"


class Session:
    """All HTTP of one command. Thread-safe; connections are kept alive until `close`."""

    def __init__(
        self,
        config: Config,
        git: Git,
        variables: Mapping[str, str],
        endpoints: Endpoints,
        remote: str,
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        self.endpoints = endpoints
        self.remote = remote
        self.clock: Clock = clock or SystemClock()
        self.credentials = CredentialSource(config, git, variables)
        self._pools = Pools(config, variables, self.credentials)
        self._exchange = Exchange(self._pools, config, variables, self.clock)
        self._warned = False

    def close(self) -> None:
        self._pools.close()

    def send(self, request: Request, access_url: str | None) -> Response:
        """A response below 300. `access_url` is where the access mode is kept; None sends the request as it is (the server said
        that it is authenticated). Raises `HttpError`, `ConnectionFailed`, `BadRedirect`, `CredentialsMissing`."""
        for _ in range(MAX_REFUSALS):
            try:
                return self._follow(request, access_url)
            except _Refused as refused:
                if not refused.again:
                    raise refused.error from None
                last = refused.error
        raise last

    def _follow(self, request: Request, access_url: str | None) -> Response:
        current = request
        for _ in range(MAX_REDIRECTS + 1):
            response = self._attempt(current, access_url)
            following = self._exchange.redirect(response)
            if following is None:
                return response
            if access_url is not None and _origin(following.url) != _origin(current.url):
                # Another server: whether it wants credentials is its own affair.
                access_url = "{}://{}/".format(*_origin(following.url))
            current = following
        raise BadRedirect("too many redirects")

    def _attempt(self, request: Request, access_url: str | None) -> Response:
        self._exchange.prepare(request)
        credential = None if access_url is None else self._authorize(request, access_url)
        try:
            response = self._exchange.send(request)
        except HttpError as error:
            if error.status != 401 or access_url is None:
                raise
            raise _Refused(error, self._learn(error, request, access_url, credential)) from error
        if credential is not None and response.status < 300:
            self.credentials.approve(credential)
        if access_url is not None and response.status < 300:
            self.endpoints.keep_access(access_url)
        return response

    def _authorize(self, request: Request, access_url: str) -> Credential | None:
        """Set the Authorization header. Gives the credential to approve or reject, None when there is none to speak of."""
        if request.is_authorized or self.endpoints.access(access_url) == NO_ACCESS:
            return None
        url = self._credential_url(request)
        if url is None:
            return None
        credential = self.credentials.fill(url)
        trace(f"Filled credentials for {_without_password(url)}")
        self.credentials.state = credential.values.get("state[]", [])
        scheme, value = credential.authorization
        if not scheme:
            scheme, value = "Basic", _basic(value)
        request.headers["Authorization"] = f"{scheme} {value}"
        return credential

    def _learn(self, error: HttpError, request: Request, access_url: str, credential: Credential | None) -> bool:
        """What a 401 teaches; whether the request is worth another try."""
        if self.endpoints.access(access_url) == NO_ACCESS:
            self.endpoints.set_access(access_url, BASIC_ACCESS)
        if credential is not None:
            request.headers.discard("Authorization")
            if not credential.continues:
                self.credentials.reject(credential)
        self.credentials.www_authenticate = error.challenges
        if "Authorization" in request.headers:
            return False
        trace(f'api: http response indicates "{BASIC_ACCESS}" authentication. Resubmitting...')
        return True

    def _credential_url(self, request: Request) -> str | None:
        """The URL that credentials are asked for: git's own for a remote on the same server, so that one login serves both.
        None when a URL brought user and password along."""
        api = self.endpoints.endpoint(request.operation, self.remote).url
        if _origin(request.url) != _origin(api):
            return request.url
        remote = self.endpoints.git_remote_url(self.remote, request.operation == "upload") if self.remote else ""
        candidates = [api, remote] if urlmatch.host(remote) and _origin(remote) == _origin(api) else [api]
        for url in candidates:
            parts = urlsplit(url)
            if parts.password is not None:
                self._warn_of_credentials()
                user, password = unquote(parts.username or ""), unquote(parts.password)
                if user or password:
                    request.headers["Authorization"] = f"Basic {_basic(f'{user}:{password}')}"
                return None
        return candidates[-1]

    def _warn_of_credentials(self) -> None:
        if not self._warned:
            self._warned = True
            notice("warning: current Git remote contains credentials")


class _Refused(Exception):
    """A 401, and whether to try again."""

    def __init__(self, error: HttpError, again: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.again = again


def _basic(pair: str) -> str:
    return base64.b64encode(pair.encode("utf-8", "surrogateescape")).decode()


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=user + parts.netloc.rpartition("@")[2]).geturl()
