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
    from collections.abc import Generator, Mapping

    from hundredweight.git.config import Config
    from hundredweight.git.run import Git
    from hundredweight.hub.admin.interface import CheckEvent, HubStats, NewToken, RepositoryFacts, TokenFacts
    from hundredweight.transfer.http import Response

MAX_ANSWER = 64 << 20
MAX_LINE = 1 << 20
_HINTS = {
    401: "pass a token of this hub with --token or CWT_HUB_TOKEN; the first one is in DIR/admin-token on the hub",
    403: "use a token with admin scope; 'cwt hub token create --scope admin' makes one",
}


class NotAHub(RemoteError):
    """What answers there is no hub."""

    hint = "check the URL: it is the hub's own, without OWNER/NAME"


class HubRefused(RemoteError):
    """The hub refused what was asked. `status` is the answer's."""

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=_HINTS.get(status, hint))
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

    def check(self, *, repair: bool) -> Generator[CheckEvent]:
        with self._send("POST", "/check", {"repair": repair}) as response:
            for line in response.lines(MAX_LINE):
                event = _parse(line, self._base)
                if event.get("event") == "error":
                    raise HubRefused(503, str(event.get("message", "")), hint=str(event.get("hint", "")))
                yield event
                if event.get("event") == "end":
                    return
        raise NotAHub(f"'{self._base}/check' ended without a result", hint="run the command again")

    def close(self) -> None:
        self._pools.close()

    def _ask(self, method: str, path: str, fields: Mapping[str, object] | None = None) -> Any:
        with self._send(method, path, fields) as response:
            content = response.content(MAX_ANSWER)
        return _parse(content, self._base) if content else {}

    def _send(self, method: str, path: str, fields: Mapping[str, object] | None) -> Response:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}
        body = None
        if fields is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(fields).encode()
        try:
            return self._exchange.send(Request(method, self._base + path, headers, body))
        except HttpError as error:
            # A hub's own answer about something missing names it; "not found" alone is about the path.
            if error.body is None or (error.status == 404 and error.reason == "not found"):
                raise NotAHub(f"'{self._base}' answered with status {error.status}") from error
            raise HubRefused(error.status, error.reason, hint=error.hint if error.advised else "") from error


def _parse(content: bytes, base: str) -> Any:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotAHub(f"'{base}' answered something else than JSON") from error
    if not isinstance(found, dict):
        raise NotAHub(f"'{base}' answered something else than a JSON object")
    return found
