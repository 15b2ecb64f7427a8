"""Administration of a hub elsewhere, over its `/api/v1`, with git's own settings for TLS and proxies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from hundredweight.base.clock import SystemClock
from hundredweight.base.errors import RemoteError, UsageError
from hundredweight.transfer.credentials import CredentialSource
from hundredweight.transfer.http import Exchange, HttpError, Request
from hundredweight.transfer.pools import Pools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.git.config import Config
    from hundredweight.git.run import Git
    from hundredweight.hub.admin.interface import HubStats, NewToken, RepositoryFacts, TokenFacts

MAX_ANSWER = 64 << 20
_HINTS = {
    401: "pass a token of this hub with --token or CWT_HUB_TOKEN; the first one is in DIR/admin-token on the hub",
    403: "use a token with admin scope; 'cwt hub token create --scope admin' makes one",
}


class NotAHub(RemoteError):
    """What answers there is no hub."""

    hint = "check the URL: it is the hub's own, without OWNER/NAME"


class HubRefused(RemoteError):
    """The hub refused what was asked. `status` is the answer's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, hint=_HINTS.get(status, ""))
        self.status = status


class RemoteAdministration:
    """See `Administration`. Not thread-safe; `close` when done. Raises `HubRefused`, `NotAHub`, `ConnectionFailed`."""

    def __init__(self, url: str, token: str, config: Config, git: Git, variables: Mapping[str, str]) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise UsageError(f"'{url}' is no http or https URL", hint="name the hub as in --hub http://127.0.0.1:8417")
        self._base = url.rstrip("/") + "/api/v1"
        self._token = token
        self._pools = Pools(config, variables, CredentialSource(config, git, variables))
        self._exchange = Exchange(self._pools, config, variables, SystemClock())

    def repositories(self) -> list[RepositoryFacts]:
        found: list[RepositoryFacts] = self._ask("GET", "/repositories")["repositories"]
        return found

    def create_repository(self, name: str, *, public: bool, object_format: str) -> RepositoryFacts:
        wanted = {"name": name, "public": public, "object_format": object_format}
        made: RepositoryFacts = self._ask("POST", "/repositories", wanted)
        return made

    def delete_repository(self, name: str) -> None:
        self._ask("DELETE", "/repositories/" + quote(name))

    def tokens(self) -> list[TokenFacts]:
        found: list[TokenFacts] = self._ask("GET", "/tokens")["tokens"]
        return found

    def create_token(self, user: str, scope: str, *, name: str, repository: str, expires_at: float | None) -> NewToken:
        wanted: dict[str, object] = {"user": user, "scope": scope, "name": name, "repository": repository}
        if expires_at is not None:
            wanted["expires_at"] = int(expires_at)
        made: NewToken = self._ask("POST", "/tokens", wanted)
        return made

    def revoke_token(self, which: str) -> list[TokenFacts]:
        ended: list[TokenFacts] = self._ask("DELETE", "/tokens/" + quote(which, safe=""))["tokens"]
        return ended

    def stats(self) -> HubStats:
        found: HubStats = self._ask("GET", "/stats")
        return found

    def close(self) -> None:
        self._pools.close()

    def _ask(self, method: str, path: str, fields: Mapping[str, object] | None = None) -> Any:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}
        body = None
        if fields is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(fields).encode()
        try:
            with self._exchange.send(Request(method, self._base + path, headers, body)) as response:
                content = response.content(MAX_ANSWER)
        except HttpError as error:
            # A hub's own answer about something missing names it; "not found" alone is about the path.
            if error.body is None or (error.status == 404 and error.reason == "not found"):
                raise NotAHub(f"'{self._base}' answered with status {error.status}") from error
            raise HubRefused(error.status, error.reason) from error
        try:
            return json.loads(content) if content else {}
        except ValueError as error:
            raise NotAHub(f"'{self._base}' answered something else than JSON") from error
