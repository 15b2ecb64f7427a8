"""The hub's application on uvicorn, in a thread of the test: the second server, and the one whose backend a test may choose."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import uvicorn

from hundredweight.backend.interface import Backend
from hundredweight.hub.app import create_app
from hundredweight.hub.logs import Log
from hundredweight.hub.services import Services, open_services
from hundredweight.hub.settings import Settings
from hundredweight.hub.tokens.service import Scope


@dataclass(frozen=True)
class Served:
    """A hub that answers at `url`; `log_text` is what it logged."""

    url: str
    services: Services
    log_stream: io.StringIO

    @property
    def log_text(self) -> str:
        return self.log_stream.getvalue()

    def token(self, user: str = "ada", scope: Scope = Scope.WRITE, bound: str = "") -> str:
        return self.services.tokens.create(user, scope, bound=bound)[1]


@contextmanager
def served(
    data: Path, *, backend: Backend | None = None, wrap: Callable[[Any], Any] | None = None, **settings: Any
) -> Iterator[Served]:
    """Runs until the end of the block; then every upload has been let go. `wrap` puts something in front of the hub."""
    services = open_services(Settings(data=str(data), **settings), backend=backend)
    stream = io.StringIO()
    app = create_app(services.settings, services=services, log=Log(services.settings.log_format, stream))
    listener = socket.create_server(("127.0.0.1", 0))
    front = app if wrap is None else wrap(app)
    server = uvicorn.Server(uvicorn.Config(front, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", services, stream)
    finally:
        server.should_exit = True
        thread.join(20)
        services.close()


@dataclass(frozen=True)
class Answer:
    """Status, headers (lower case) and body of one response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Sends requests with one token to one hub, as a simple LFS client does. Never retries, never follows."""

    def __init__(self, url: str, token: str = "", name: str = "team/model") -> None:
        self.url = url
        self.token = token
        self.lfs = f"{url}/{name}.git/info/lfs"
        self._pool = urllib3.PoolManager(retries=False, timeout=30)

    def send(self, method: str, url: str, body: Any = None, **headers: str) -> Answer:
        """`url` may be a path. Header names are given with underscores."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token and "signature=" not in url:
            fields.setdefault("Authorization", f"Bearer {self.token}")
        full = url if "://" in url else self.url + url
        response = self._pool.request(method, full, body=body, headers=fields)
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.data)

    def batch(self, operation: str, *objects: tuple[str, int], **more: Any) -> Answer:
        wanted = [{"oid": oid, "size": size} for oid, size in objects]
        body = {"operation": operation, "objects": wanted, **more}
        return self.send("POST", self.lfs + "/objects/batch", json.dumps(body).encode())

    def one(self, operation: str, oid: str, size: int) -> Any:
        """The answer for one object of a batch that is not refused."""
        answer = self.batch(operation, (oid, size))
        assert answer.status == 200, answer.body
        return answer.json["objects"][0]

    def upload(self, data: bytes) -> str:
        """Bring one object; gives its id."""
        oid = sha256(data)
        found = self.one("upload", oid, len(data))
        if "actions" in found:
            answer = self.send("PUT", found["actions"]["upload"]["href"], data)
            assert answer.status == 200, answer.body
        return oid

    def download(self, oid: str, size: int) -> bytes:
        answer = self.send("GET", self.one("download", oid, size)["actions"]["download"]["href"])
        assert answer.status == 200, answer.body
        return answer.body

    def close(self) -> None:
        self._pool.clear()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Return once `condition` holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
