"""Connections as git's configuration wants them: TLS, proxies, time limits, cookies, and bodies straight from a file.

One urllib3 pool per origin, kept alive for the whole command. Settings per URL follow `git/urlmatch.py`.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import InsecureRequestWarning

from hundredweight.base.errors import CwtError, LocalError
from hundredweight.base.trace import trace
from hundredweight.git import urlmatch
from hundredweight.git.config import parse_bool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hundredweight.git.config import Config
    from hundredweight.transfer.credentials import Credential, CredentialSource

SLICE = 8 << 20
_COPY = 1 << 20


class FileChanged(LocalError):
    """A file became shorter while it was sent."""

    def __init__(self, path: str) -> None:
        super().__init__(f"'{path}' changed while it was uploaded")
        self.path = path


class FileSlice:
    """A piece of an open file, as one chunk of a request's body."""

    __slots__ = ("count", "file", "offset")

    def __init__(self, file: BinaryIO, offset: int, count: int) -> None:
        self.file = file
        self.offset = offset
        self.count = count

    def send(self, sock: socket.socket) -> None:
        """By `sendfile` where the socket is a plain one, so that the bytes never pass through this process."""
        if isinstance(sock, ssl.SSLSocket) or not isinstance(sock, socket.socket):
            sent = self._copy(sock)
        else:
            sent = sock.sendfile(self.file, self.offset, self.count)
        if sent < self.count:
            raise FileChanged(self.file.name)

    def _copy(self, sock: socket.socket) -> int:
        self.file.seek(self.offset)
        sent = 0
        while sent < self.count and (chunk := self.file.read(min(_COPY, self.count - sent))):
            sock.sendall(chunk)
            sent += len(chunk)
        return sent


class FileBody:
    """`size` bytes of a file from `start` on, as a request's body; may be sent again. `started` is called when sending begins,
    `moved` with each count of bytes that left, and a negative one for those that do not count any more when it is sent anew."""

    def __init__(
        self,
        file: BinaryIO,
        size: int,
        *,
        start: int = 0,
        chunked: bool = False,
        moved: Callable[[int], None],
        started: Callable[[], None],
    ) -> None:
        self.file = file
        self.start = start
        self.size = size
        self.chunked = chunked
        self.sent = 0
        self._moved = moved
        self._started = started

    def __iter__(self) -> Iterator[FileSlice | bytes]:
        self.rewind()
        self._started()
        while self.sent < self.size:
            count = min(SLICE, self.size - self.sent)
            if self.chunked:
                self.file.seek(self.start + self.sent)
                data = self.file.read(min(count, _COPY))
                if not data:
                    raise FileChanged(self.file.name)
                count = len(data)
                yield data
            else:
                yield FileSlice(self.file, self.start + self.sent, count)
            self.sent += count
            self._moved(count)

    def rewind(self) -> None:
        """Take back what was counted as moved."""
        if self.sent:
            self._moved(-self.sent)
            self.sent = 0


class _Connection(HTTPConnection):
    def send(self, data: object) -> None:
        if isinstance(data, FileSlice) and self.sock is not None:
            data.send(self.sock)
        else:
            super().send(data)  # type: ignore[arg-type]


class _TlsConnection(HTTPSConnection):
    def send(self, data: object) -> None:
        if isinstance(data, FileSlice) and self.sock is not None:
            data.send(self.sock)
        else:
            super().send(data)  # type: ignore[arg-type]


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Pools:
    """The connection pool for each URL. Thread-safe."""

    def __init__(self, config: Config, variables: Mapping[str, str], credentials: CredentialSource) -> None:
        self._config = config
        self._variables = variables
        self._credentials = credentials
        self._pools: dict[tuple[str, str], HTTPConnectionPool] = {}
        self._cookies: dict[str, list[tuple[str, bool, str, bool, float, str, str]]] = {}
        self._lock = threading.Lock()

    def pool(self, url: str) -> HTTPConnectionPool:
        """Raises `CwtError` where the settings for this URL cannot be used."""
        parts = urlsplit(url)
        key = parts.scheme, parts.netloc.rpartition("@")[2]
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._open(url)
            return self._pools[key]

    def close(self) -> None:
        """Drop idle connections. The pools may be used again."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def cookie_header(self, url: str) -> str:
        """The `Cookie` header that http.cookieFile (Netscape format) gives for a URL, or nothing."""
        path = urlmatch.value(self._config, "http", url, "cookiefile")
        if not path:
            return ""
        with self._lock:
            if path not in self._cookies:
                self._cookies[path] = _read_cookies(self._expand(path))
        parts = urlsplit(url)
        host, where = parts.hostname or "", parts.path or "/"
        return "; ".join(
            f"{name}={value}"
            for domain, whole, prefix, secure, expiry, name, value in self._cookies[path]
            if _cookie_host(domain, host, whole)
            and where.startswith(prefix)
            and (not secure or parts.scheme == "https")
            and (expiry == 0 or expiry > time.time())
        )

    def proxy(self, url: str) -> str:
        """The proxy for a URL: http.proxy (per URL), else the usual variables; empty is a direct connection. This machine's own
        addresses take none, whatever is configured: as git-lfs, unlike git."""
        parts = urlsplit(url)
        if _is_loopback(parts.hostname or ""):
            return ""
        secure = self._variable("HTTPS_PROXY") if parts.scheme == "https" else ""
        found = urlmatch.value(self._config, "http", url, "proxy", secure or self._variable("HTTP_PROXY"))
        if not found or _is_exempt(parts.hostname or "", parts.port, self._variable("NO_PROXY")):
            return ""
        return found if "://" in found else f"http://{found}"

    def _variable(self, name: str) -> str:
        return self._variables.get(name) or self._variables.get(name.lower(), "")

    def _open(self, url: str) -> HTTPConnectionPool:
        parts = urlsplit(url)
        options: dict[str, object] = {
            "maxsize": max(8, self._config.int("lfs.concurrenttransfers", 8)),
            "retries": False,
            "timeout": self._timeout(url),
            "socket_options": self._socket_options(),
        }
        if parts.scheme == "https":
            options["ssl_context"] = self._tls(url)
        manager = self._manager(self.proxy(url), options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager.connection_from_host(parts.hostname, parts.port, parts.scheme)

    def _manager(self, proxy: str, options: dict[str, object]) -> urllib3.PoolManager:
        if not proxy:
            return urllib3.PoolManager(**options)  # type: ignore[arg-type]
        parts = urlsplit(proxy)
        if parts.scheme.startswith("socks"):
            return _socks_manager(proxy, options)
        headers = None
        if parts.username:
            headers = urllib3.make_headers(proxy_basic_auth=f"{parts.username}:{parts.password or ''}")
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)  # type: ignore[arg-type]

    def _timeout(self, url: str) -> urllib3.Timeout:
        """lfs.dialtimeout and lfs.tlstimeout bound the two handshakes (as one: the larger), lfs.activitytimeout each silence."""
        dial = self._seconds("lfs.dialtimeout", 30)
        if url.startswith("https:"):
            dial = max(dial, self._seconds("lfs.tlstimeout", 30))
        silence = urlmatch.value(self._config, "lfs", url, "activitytimeout", "30")
        read = float(silence) if silence.isascii() and silence.isdigit() and int(silence) > 0 else None
        return urllib3.Timeout(connect=dial, read=read)

    def _seconds(self, key: str, default: int) -> int:
        found = self._config.int(key)
        return found if found > 0 else default

    def _socket_options(self) -> list[tuple[int, int, int]]:
        options: list[tuple[int, int, int]] = [
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        ]
        idle = getattr(socket, "TCP_KEEPIDLE", None)
        if idle is not None:
            options.append((socket.IPPROTO_TCP, idle, min(self._seconds("lfs.keepalive", 1800), 32767)))
        return options

    def _tls(self, url: str) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not urlmatch.flag(self._config, "http", url, "sslverify", True) or parse_bool(
            self._variables.get("GIT_SSL_NO_VERIFY", ""), False
        ):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            urllib3.disable_warnings(InsecureRequestWarning)
        else:
            self._trust(context, url)
        self._identify(context, url)
        return context

    def _trust(self, context: ssl.SSLContext, url: str) -> None:
        """Add the authorities of GIT_SSL_CAINFO, http.sslCAInfo, GIT_SSL_CAPATH or http.sslCAPath, the first that is set."""
        file = self._path(url, "GIT_SSL_CAINFO", "sslcainfo")
        folder = self._path(url, "GIT_SSL_CAPATH", "sslcapath")
        if file:
            _load_authorities(context, file)
        elif folder:
            try:
                names = sorted(os.listdir(folder))
            except OSError as error:
                trace(f'Error reading cert dir "{folder}": {error.strerror}')
                return
            for name in names:
                _load_authorities(context, os.path.join(folder, name))

    def _identify(self, context: ssl.SSLContext, url: str) -> None:
        """The client's certificate: GIT_SSL_CERT or http.sslCert, and GIT_SSL_KEY or http.sslKey, as git takes them; git
        credential knows an encrypted key's pass phrase."""
        certificate = self._path(url, "GIT_SSL_CERT", "sslcert")
        if not certificate:
            return
        key = self._path(url, "GIT_SSL_KEY", "sslkey") or certificate
        trace(f"http: client cert for {urlsplit(url).netloc}")
        asked: list[Credential] = []

        def pass_phrase() -> str:
            asked.append(self._credentials.pass_phrase(key))
            return asked[-1].first("password")

        try:
            context.load_cert_chain(certificate, key, password=pass_phrase)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            if asked and reason != "KEY_VALUES_MISMATCH":
                for credential in asked:
                    self._credentials.reject(credential)
                reason = "wrong pass phrase"
            hint = "run 'git config http.sslCert' and 'git config http.sslKey' to see the files in use"
            reason = reason.replace("_", " ").lower()
            raise CwtError(
                f"cannot use client certificate '{certificate}' with key '{key}': {reason}", hint=hint
            ) from error
        for credential in asked:
            self._credentials.approve(credential)

    def _path(self, url: str, variable: str, key: str) -> str:
        return self._expand(self._variables.get(variable) or urlmatch.value(self._config, "http", url, key))

    def _expand(self, path: str) -> str:
        return self._variables.get("HOME", "~") + path[1:] if path.startswith("~/") else path


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    """PEM or DER; an unreadable file is passed over, as in git-lfs, and the handshake then tells what is missing."""
    try:
        with open(path, "rb") as file:
            data = file.read(16 << 20)
        context.load_verify_locations(cadata=data.decode("ascii") if b"-----BEGIN" in data else data)
    except (OSError, ValueError) as error:
        trace(f'Error reading cert file "{path}": {error}')


def _socks_manager(proxy: str, options: dict[str, object]) -> urllib3.PoolManager:
    if find_spec("socks") is None:
        name = urlsplit(proxy).hostname
        raise CwtError(f"cannot use the SOCKS proxy '{name}' without PySocks", hint="run 'pip install PySocks'")
    from urllib3.contrib.socks import SOCKSProxyManager  # noqa: PLC0415 - needs a library that few have

    return SOCKSProxyManager(proxy, **options)  # type: ignore[arg-type]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_exempt(host: str, port: int | None, no_proxy: str) -> bool:
    """NO_PROXY: names with their subdomains (`*.` before them or not), addresses, networks; each with an optional port; `*` is
    everything."""
    for entry in no_proxy.replace(",", " ").split():
        if entry == "*":
            return True
        name, colon, number = entry.rpartition(":")
        has_port = bool(colon) and number.isdigit() and ":" not in name
        place = (name if has_port else entry).removeprefix("*.").lstrip(".")
        if has_port and port != int(number):
            continue
        if _in_network(host, place) or host == place or host.endswith(f".{place}"):
            return True
    return False


def _in_network(host: str, entry: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _cookie_host(domain: str, host: str, whole: bool) -> bool:
    bare = domain.lstrip(".")
    return host == bare or (whole and host.endswith("." + bare))


def _read_cookies(path: str) -> list[tuple[str, bool, str, bool, float, str, str]]:
    """Domain, whole domain, path, secure, expiry, name, value; lines that are none of this are passed over."""
    found = []
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(16 << 20).split("\n")
    except OSError as error:
        trace(f"http: error while reading cookieFile: {error.strerror}")
        return []
    for line in lines:
        fields = line.removeprefix("#HttpOnly_").split("\t")
        if len(fields) == 7 and not fields[0].startswith("#") and fields[4].isdigit():
            domain, whole, where, secure, expiry, name, value = fields
            found.append((domain, whole == "TRUE", where, secure == "TRUE", float(expiry), name, value))
    return found
