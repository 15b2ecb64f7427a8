"""Proxies, TLS and client certificates, with real servers."""

from __future__ import annotations

import http.server
import os
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from hundredweight.base.errors import CwtError
from hundredweight.git.config import Config
from hundredweight.git.run import Git
from hundredweight.transfer.credentials import CredentialSource
from hundredweight.transfer.pools import Pools, _is_exempt
from tests.tls_front import TlsFront
from tests.transfer.faulty import FaultyServer
from tests.transfer.rig import Rig, item

DATA = os.urandom(3 << 20)
PROXIED = "lfs.invalid"


class Forwarder(http.server.BaseHTTPRequestHandler):
    """A proxy for plain HTTP: takes whole URLs, forwards them, and remembers them. It alone knows where `PROXIED` is."""

    seen: list[str]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self.seen.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Content-Length", "Proxy-Authorization")}
        target = self.path.replace(PROXIED, "127.0.0.1")
        request = urllib.request.Request(target, body or None, headers, method=self.command)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            data = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    class Bound(Forwarder):
        seen: list[str] = []  # noqa: RUF012 - one list a server

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bound) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", Bound.seen
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("how", ["config", "variable"])
def test_through_a_proxy(rig: Rig, faulty: FaultyServer, proxy: tuple[str, list[str]], how: str) -> None:
    url, seen = proxy
    server = faulty.url.replace("127.0.0.1", PROXIED)
    faulty.public_url = server
    rig.settings = [("lfs.url", server)]
    if how == "config":
        rig.settings.append((f"http.{server}.proxy", url.removeprefix("http://")))
    else:
        rig.env["http_proxy"] = url
    rig.put(DATA)
    assert rig.upload(item(DATA)) == []
    os.unlink(rig.store.path(item(DATA).oid))
    assert rig.download(item(DATA)) == []
    assert len(seen) == 4
    assert all(path.startswith(server) for path in seen)


@pytest.mark.parametrize("how", ["config", "variable"])
def test_this_machine_is_reached_without_a_proxy(
    rig: Rig, faulty: FaultyServer, proxy: tuple[str, list[str]], how: str
) -> None:
    """As git-lfs does it, whatever is configured."""
    url, seen = proxy
    if how == "config":
        rig.settings += [("http.proxy", url), (f"http.{faulty.url}.proxy", url)]
    else:
        rig.env |= {"HTTP_PROXY": url, "http_proxy": url}
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []
    assert seen == []


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("localhost", "", True),
        ("127.3.4.5", "", True),
        ("[::1]", "", True),
        ("localhost.example.com", "", False),
        ("10.1.2.3", "", False),
        ("10.1.2.3", "example.com,10.0.0.0/8", True),
        ("lfs.example.com", "example.com,10.0.0.0/8", True),
    ],
)
def test_which_hosts_have_the_proxy(host: str, no_proxy: str, direct: bool) -> None:
    config = Config([("http.proxy", "http://proxy:3128")])
    pools = Pools(config, {"NO_PROXY": no_proxy}, CredentialSource(config, Git(), {}))
    assert pools.proxy(f"http://{host}:8417/x") == ("" if direct else "http://proxy:3128")
    assert pools.proxy(f"https://{host}/x") == ("" if direct else "http://proxy:3128")


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "exempt"),
    [
        ("example.com", None, "example.com", True),
        ("www.example.com", None, "example.com", True),
        ("www.example.com", None, ".example.com", True),
        ("www.example.com", None, "*.example.com", True),
        ("badexample.com", None, "*.example.com", False),
        ("badexample.com", None, "example.com", False),
        ("example.com", 8080, "example.com:8080", True),
        ("example.com", 80, "example.com:8080", False),
        ("10.1.2.3", None, "10.0.0.0/8", True),
        ("10.1.2.3", None, "10.1.2.3", True),
        ("11.1.2.3", None, "10.0.0.0/8", False),
        ("::1", None, "::1", True),
        ("anything", None, "*", True),
        ("anything", None, "", False),
        ("b", None, "a, b", True),
    ],
)
def test_exemptions(host: str, port: int | None, no_proxy: str, exempt: bool) -> None:
    assert _is_exempt(host, port, no_proxy) is exempt


def test_a_socks_proxy_without_its_library(rig: Rig) -> None:
    rig.settings = [("lfs.url", f"http://{PROXIED}/lfs"), ("http.proxy", "socks5://127.0.0.1:9")]
    (failure,) = rig.download(item(DATA))
    assert "PySocks" in str(failure.error) or "SOCKS" in str(failure.error)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def secure_rig(rig: Rig, faulty: FaultyServer, authority: trustme.CA, *, wants_client: bool = False) -> None:
    """Make the server speak TLS only, and the rig know its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    faulty.public_url = faulty.url.replace("http:", "https:")
    faulty.speak_tls(context)
    rig.settings = [("lfs.url", faulty.url)]


def test_an_unknown_authority_is_not_trusted(rig: Rig, faulty: FaultyServer, authority: trustme.CA) -> None:
    secure_rig(rig, faulty, authority)
    (failure,) = rig.download(item(DATA))
    assert "certificate of 127.0.0.1 not trusted" in str(failure.error)
    assert "http.sslCAInfo" in failure.error.hint


@pytest.mark.parametrize("how", ["sslcainfo", "GIT_SSL_CAINFO", "sslcapath", "sslverify", "GIT_SSL_NO_VERIFY", "der"])
def test_ways_to_trust(
    rig: Rig, faulty: FaultyServer, authority: trustme.CA, certificate: Path, how: str, tmp_path: Path
) -> None:
    secure_rig(rig, faulty, authority)
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "one.pem").write_bytes(certificate.read_bytes())
    (folder / "junk").write_bytes(b"\xff\xfe")
    der = tmp_path / "ca.der"
    der.write_bytes(ssl.PEM_cert_to_DER_cert(certificate.read_text()))
    match how:
        case "sslcainfo":
            rig.settings.append((f"http.{rig.settings[0][1]}.sslcainfo", str(certificate)))
        case "sslcapath":
            rig.settings.append(("http.sslcapath", str(folder)))
        case "sslverify":
            rig.settings.append(("http.sslverify", "false"))
        case "der":
            rig.settings.append(("http.sslcainfo", str(der)))
        case _:
            rig.env[how] = str(certificate) if how == "GIT_SSL_CAINFO" else "1"
    rig.put(DATA)
    assert rig.upload(item(DATA)) == []
    os.unlink(rig.store.path(item(DATA).oid))
    assert rig.download(item(DATA)) == []


@pytest.mark.parametrize("encrypted", [False, True])
def test_client_certificates(
    rig: Rig, faulty: FaultyServer, authority: trustme.CA, certificate: Path, tmp_path: Path, encrypted: bool
) -> None:
    secure_rig(rig, faulty, authority, wants_client=True)
    mine = authority.issue_cert("me@example.com")
    key, cert = Path(rig.env["HOME"]) / "key.pem", tmp_path / "cert.pem"
    mine.private_key_pem.write_to_path(str(key))
    mine.cert_chain_pems[0].write_to_path(str(cert))
    rig.settings += [("http.sslcainfo", str(certificate)), ("http.sslcert", str(cert)), ("http.sslkey", "~/key.pem")]
    if encrypted:
        protect = ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:open sesame", "-out", f"{key}.2"]
        subprocess.run(protect, check=True, capture_output=True)
        os.replace(f"{key}.2", key)
        helper = rig.folder / "helper"
        helper.write_text("#!/bin/sh\ngrep -q protocol=cert && echo password='open sesame' && echo username=x\n")
        helper.chmod(0o755)
        subprocess.run(["git", "config", "--global", "credential.helper", str(helper)], check=True, env=rig.env)
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []


def test_a_client_certificate_that_is_not_there(rig: Rig, tmp_path: Path) -> None:
    config = Config([("http.sslcert", str(tmp_path / "no")), ("http.sslkey", str(tmp_path / "no"))])
    pools = Pools(config, {}, CredentialSource(config, Git(), {}))
    with pytest.raises(CwtError, match="cannot use client certificate"):
        pools.pool("https://127.0.0.1:9/")


def test_connections_are_kept_alive(rig: Rig, faulty: FaultyServer) -> None:
    config = Config(rig.settings)
    pools = Pools(config, {}, CredentialSource(config, rig.git, {}))
    pool = pools.pool(faulty.url)
    assert pools.pool(f"{faulty.url}/other") is pool
    assert pools.pool(faulty.url.replace("127.0.0.1", "localhost")) is not pool
    pools.close()
    assert pools.pool(faulty.url) is not pool


def test_sockets_have_keep_alive_and_no_delay() -> None:
    config = Config([("lfs.keepalive", "60"), ("lfs.dialtimeout", "7"), ("lfs.activitytimeout", "0")])
    pool = Pools(config, {}, CredentialSource(config, Git(), {})).pool("http://127.0.0.1:9/")
    assert (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60) in pool.conn_kw["socket_options"]
    assert pool.timeout.connect_timeout == 7
    assert pool.timeout.read_timeout is None


def test_a_tls_connection_that_ends_while_something_is_sent_is_tried_again(
    rig: Rig, faulty: FaultyServer, authority: trustme.CA, certificate: Path
) -> None:
    """A proxy is restarted during an upload: what OpenSSL says of that has nothing to do with certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    rig.put(DATA)
    with TlsFront(context, faulty.url) as front:
        faulty.public_url = f"{front.url}/lfs"
        rig.settings = [("lfs.url", faulty.public_url), ("http.sslcainfo", str(certificate))]
        front.cuts = 3
        assert rig.upload(item(DATA)) == []
        assert front.cuts == 0
    assert len(faulty.seen("PUT")) == 1
