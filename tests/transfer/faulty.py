"""A real LFS server (batch, basic, verify, locks) whose misbehaviours are scripted.

Faults queue up per kind of request, in `batch`, `get`, `put`, `verify` and `locks`: each request takes the next one and,
when there is none, is answered properly. Switches (`ignores_range`, ...) last. `user` or `authorization` is
what requests must show. `log` holds every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MEDIA_TYPE = "application/vnd.git-lfs+json"
HTML = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"


@dataclass
class Status:
    """Answer with this status instead. `message` goes into an LFS error body, `html` is a proxy's page."""

    code: int
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    html: bool = False
    raw: bytes | None = None

    def body(self) -> tuple[bytes, str]:
        if self.raw is not None:
            return self.raw, MEDIA_TYPE
        if self.html:
            return HTML, "text/html; charset=utf-8"
        return (
            json.dumps({"message": self.message, "request_id": "r-1"}).encode() if self.message else b""
        ), MEDIA_TYPE


@dataclass
class Cut:
    """Announce the whole body, send `after` bytes of it, and close; with `reset`, by a TCP reset."""

    after: int
    reset: bool = False


@dataclass
class Unframed:
    """Announce no length, send `after` bytes and close: the client cannot tell that something is missing."""

    after: int


@dataclass
class Corrupt:
    """Send the right number of wrong bytes."""


@dataclass
class Announce:
    """Claim another length than the object has, and send that many bytes."""

    length: int


@dataclass
class WrongRange:
    """Answer a Range request with 206 for a range that begins at `start`."""

    start: int


@dataclass
class Slow:
    """Wait before a proper answer."""

    seconds: float


Fault = Status | Cut | Unframed | Corrupt | Announce | WrongRange | Slow


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


class FaultyServer:
    """Use as a context; `url` is the LFS endpoint."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self.locks_held: list[dict[str, Any]] = []
        self.batch: deque[Fault] = deque()
        self.get: deque[Fault] = deque()
        self.put: deque[Fault] = deque()
        self.verify: deque[Fault] = deque()
        self.locks: deque[Fault] = deque()
        self.log: list[Seen] = []
        self.ignores_range = False
        self.wants_verify = False
        self.wants_chunked = False
        self.legacy_links = False
        self.silent_about: set[str] = set()
        self.hash_algorithm: str | None = "sha256"
        self.expires_in: deque[int] = deque()
        self.action_header: dict[str, str] = {}
        self.user: tuple[str, str] | None = None
        self.authorization = ""
        self.challenge_header = "LFS-Authenticate"
        self.max_batch = 0
        self.page = 2
        self.public_url = ""
        self.uploading = 0
        self.most_uploading = 0
        self.lock = threading.Lock()

    def __enter__(self) -> FaultyServer:
        server = self

        class Bound(_Handler):
            faulty = server

        self._http = _Quiet(("127.0.0.1", 0), Bound)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return self.public_url or f"http://127.0.0.1:{self._http.server_address[1]}/lfs"

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """From now on, TLS only."""
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)

    def add(self, data: bytes) -> str:
        oid = hashlib.sha256(data).hexdigest()
        self.objects[oid] = data
        return oid

    def seen(self, method: str, part: str = "") -> list[Seen]:
        return [one for one in self.log if one.method == method and part in one.path]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up in the middle are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    faulty: FaultyServer
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, format: str, *args: object) -> None:
        """The log is `FaultyServer.log`."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        server = self.faulty
        path = urlsplit(self.path).path.removeprefix("/lfs")
        body = self._read_body()
        with server.lock:
            server.log.append(Seen(self.command, self.path, dict(self.headers.items()), body))
        kind, handle = self._route(path)
        if not self._is_authorized():
            self._send(401, b'{"message":"who are you?"}', {server.challenge_header: 'Basic realm="faulty"'})
            return
        queue: deque[Fault] = getattr(server, kind)
        with server.lock:
            fault = queue.popleft() if queue else None
        if isinstance(fault, Slow):
            time.sleep(fault.seconds)
            fault = None
        if isinstance(fault, Status):
            data, content_type = fault.body()
            self._send(fault.code, data, {"Content-Type": content_type, **fault.headers})
        else:
            handle(path, body, fault)

    def _route(self, path: str) -> tuple[str, Any]:
        if path == "/objects/batch":
            return "batch", self._batch
        if path.startswith("/storage/"):
            return ("get", self._download) if self.command == "GET" else ("put", self._upload)
        if path == "/verify":
            return "verify", self._verify
        if path.startswith("/locks"):
            return "locks", self._locks
        raise AssertionError(path)

    def _read_body(self) -> bytes:
        server = self.faulty
        with server.lock:
            server.uploading += self.command == "PUT"
            server.most_uploading = max(server.most_uploading, server.uploading)
        try:
            if self.headers.get("Transfer-Encoding") == "chunked":
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        finally:
            with server.lock:
                server.uploading -= self.command == "PUT"

    def _is_authorized(self) -> bool:
        wanted = self.faulty.authorization
        if self.faulty.user is not None:
            wanted = "Basic " + base64.b64encode(":".join(self.faulty.user).encode()).decode()
        return not wanted or self.headers.get("Authorization") == wanted

    def _send(self, code: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        sent = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(data)), **(headers or {})}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _batch(self, _path: str, body: bytes, _fault: Fault | None) -> None:
        server = self.faulty
        wanted = json.loads(body)
        if server.max_batch and len(wanted["objects"]) > server.max_batch:
            self._send(413, b'{"message":"too many objects"}')
            return
        answers = [self._answer(wanted["operation"], item) for item in wanted["objects"]]
        answer = {"transfer": "basic", "objects": [one for one in answers if one["oid"] not in server.silent_about]}
        if server.hash_algorithm:
            answer["hash_algo"] = server.hash_algorithm
        self._send(200, json.dumps(answer).encode())

    def _answer(self, operation: str, item: dict[str, Any]) -> dict[str, Any]:
        server = self.faulty
        oid = item["oid"]
        answer = {"oid": oid, "size": server.sizes.get(oid, item["size"])}
        if operation == "download" and oid not in server.objects:
            return {**answer, "error": {"code": 404, "message": "Object does not exist"}}
        if operation == "upload" and oid in server.objects:
            return answer
        header = dict(server.action_header)
        if server.wants_chunked:
            header["Transfer-Encoding"] = "chunked"
        action: dict[str, Any] = {"href": f"{server.url}/storage/{oid}", "header": header}
        if server.expires_in:
            action["expires_in"] = server.expires_in.popleft()
        actions = {operation: action}
        if operation == "upload" and server.wants_verify:
            actions["verify"] = {"href": f"{server.url}/verify", "header": {"X-Check": "1"}}
        return {**answer, "_links" if server.legacy_links else "actions": actions}

    def _download(self, path: str, _body: bytes, fault: Fault | None) -> None:
        server = self.faulty
        data = server.objects[path.rpartition("/")[2]]
        start, code, headers = 0, 200, {"Content-Type": "application/octet-stream"}
        asked = self.headers.get("Range")
        if asked and not server.ignores_range:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if isinstance(fault, WrongRange):
                start = fault.start
            code = 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        data = data[start:]
        if isinstance(fault, Corrupt):
            data = bytes(255 - value for value in data)
        if isinstance(fault, Announce):
            data = (data + bytes(fault.length))[: fault.length]
        if isinstance(fault, Cut | Unframed):
            self._send_part(code, data, headers, fault)
        else:
            self._send(code, data, headers)

    def _send_part(self, code: int, data: bytes, headers: dict[str, str], fault: Cut | Unframed) -> None:
        self.send_response(code)
        if isinstance(fault, Cut):
            headers["Content-Length"] = str(len(data))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data[: fault.after])
        self.wfile.flush()
        self.close_connection = True
        if isinstance(fault, Cut) and fault.reset:
            time.sleep(0.05)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _upload(self, path: str, body: bytes, _fault: Fault | None) -> None:
        oid = path.rpartition("/")[2]
        if hashlib.sha256(body).hexdigest() != oid:
            self._send(422, b'{"message":"wrong bytes"}')
            return
        self.faulty.objects[oid] = body
        self._send(200, b"")

    def _verify(self, _path: str, body: bytes, _fault: Fault | None) -> None:
        wanted = json.loads(body)
        data = self.faulty.objects.get(wanted["oid"])
        self._send(200 if data is not None and len(data) == wanted["size"] else 404, b"{}")

    def _locks(self, path: str, body: bytes, _fault: Fault | None) -> None:
        held = self.faulty.locks_held
        if self.command == "GET":
            query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            found = [one for one in held if query.get("path", one["path"]) == one["path"]]
            found = [one for one in found if query.get("id", one["id"]) == one["id"]]
            self._send(200, json.dumps(self._page("locks", found, query.get("cursor", ""))).encode())
        elif path == "/locks/verify":
            cursor = json.loads(body).get("cursor", "")
            page = self._page("ours", [one for one in held if one["owner"]["name"] == "me"], cursor)
            page["theirs"] = [one for one in held if one["owner"]["name"] != "me"] if not cursor else []
            self._send(200, json.dumps(page).encode())
        elif path == "/locks":
            self._make_lock(json.loads(body)["path"])
        else:
            lock = next(one for one in held if one["id"] == path.split("/")[2])
            held.remove(lock)
            self._send(200, json.dumps({"lock": lock}).encode())

    def _make_lock(self, path: str) -> None:
        held = self.faulty.locks_held
        for one in held:
            if one["path"] == path:
                self._send(409, json.dumps({"lock": one, "message": "lock already created"}).encode())
                return
        lock = {"id": f"id-{len(held)}", "path": path, "owner": {"name": "me"}, "locked_at": "2026-01-02T03:04:05Z"}
        held.append(lock)
        self._send(201, json.dumps({"lock": lock}).encode())

    def _page(self, key: str, found: list[dict[str, Any]], cursor: str) -> dict[str, Any]:
        start = int(cursor or "0")
        page: dict[str, Any] = {key: found[start : start + self.faulty.page]}
        if start + self.faulty.page < len(found):
            page["next_cursor"] = str(start + self.faulty.page)
        return page
