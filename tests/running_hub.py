"""A real `cwt hub serve` in a process of its own, for tests that speak to it."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import signal
import subprocess
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from tests.people import PROGRAMS, Person, isolated

START_SECONDS = 30.0
STOP_SECONDS = 40.0


def git_children(pid: int) -> list[str]:
    """The command lines of a process's git children."""
    found = subprocess.run(["pgrep", "-P", str(pid), "-a", "git"], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


def pointer_text(oid: str, size: int) -> str:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"


class RunningHub:
    """`url`, `token` (of the admin) and `data`; `log` is what it has said on stderr so far. `stop` and `start` again at will:
    the port stays."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.data = folder / "hub"
        self.options = options
        self.url = ""
        self.log_path = folder / "hub.log"
        self._port = 0
        self._names = itertools.count(1)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> RunningHub:
        command = [
            str(PROGRAMS / "cwt"),
            "hub",
            "serve",
            "--data",
            str(self.data),
            "--port",
            str(self._port),
            *self.options,
        ]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=isolated(self.folder / "home")
            )
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        try:
            assert self.process.stdout is not None
            for line in self.process.stdout:
                if found := re.match(rb"listening on (http://.*:(\d+))", line):
                    self.url, self._port = found[1].decode(), int(found[2])
                    break
            else:
                raise AssertionError(f"the hub did not start:\n{self.log}")
        finally:
            watchdog.cancel()
        return self

    def stop(self) -> int:
        """SIGTERM, wait, give the exit code. Harmless when it does not run."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        finally:
            self.process.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def token(self) -> str:
        return (self.data / "admin-token").read_text().strip()

    def new_name(self, owner: str = "team") -> str:
        """OWNER/NAME of a repository that does not exist yet."""
        return f"{owner}/repo-{next(self._names)}"

    def new_token(self, user: str, scope: str = "write", repository: str = "") -> str:
        made = self.api("POST", "/tokens", {"user": user, "scope": scope, "repository": repository})
        token: str = made["token"]
        return token

    def person(self, home: Path, name: str, scope: str = "write", programs: Path = PROGRAMS) -> Person:
        """A new user with a token in the credential store."""
        person = Person(name, home, programs)
        person.login(self.url, self.new_token(name, scope))
        return person

    def remote(self, name: str) -> str:
        return f"{self.url}/{name}.git"

    def upload(self, name: str, data: bytes) -> str:
        """Put an object into the repository, as a client does; its pointer's text."""
        oid = hashlib.sha256(data).hexdigest()
        wanted = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": len(data)}]}
        batch = json.loads(self.request("POST", f"/{name}.git/info/lfs/objects/batch", wanted)[2])
        action = batch["objects"][0].get("actions", {}).get("upload")
        if action is not None:
            path = action["href"].removeprefix(self.url)
            self.request("PUT", path, data, token="", headers=action.get("header"))
        return pointer_text(oid, len(data))

    def api(self, method: str, path: str, fields: dict[str, Any] | None = None, token: str | None = None) -> Any:
        """The JSON that `/api/v1` answers; the admin's token unless another is given. Raises `HTTPError`."""
        return json.loads(self.request(method, "/api/v1" + path, fields, token=token)[2] or b"null")

    def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | bytes | None = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body. A token of "" sends none. Raises `HTTPError` from 400 on."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(self.url + path, data, dict(headers or {}), method=method)
        given = self.token if token is None else token
        if given:
            request.add_header("Authorization", f"Bearer {given}")
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, {k.lower(): v for k, v in response.headers.items()}, response.read()

    def refused(
        self, method: str, path: str, body: dict[str, Any] | bytes | None = None, **options: Any
    ) -> tuple[int, Any]:
        """Status and JSON (or text) of a request that must fail."""
        try:
            status, _, content = self.request(method, path, body, **options)
        except HTTPError as error:
            with error:
                text = error.read().decode()
                return error.code, json.loads(text) if "json" in error.headers.get("content-type", "") else text
        raise AssertionError(f"{method} {path} was answered with {status}: {content[:300]!r}")
