"""Credentials, redirects and headers, against a server that asks."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hundredweight.base import trace
from hundredweight.git.config import Config, load
from hundredweight.git.run import Git
from hundredweight.transfer.credentials import CredentialsMissing
from hundredweight.transfer.http import BadRedirect, HttpError, Request
from hundredweight.transfer.server import BatchFailed, LfsServer, open_server
from tests.transfer.faulty import FaultyServer, Status
from tests.transfer.rig import Rig, item

DATA = b"content"
HELPER = """#!/bin/sh
echo "$1" >> "{log}"
cat >> "{log}"
[ "$1" = get ] || exit 0
echo username={user}
echo password={password}
"""


@pytest.fixture
def lines() -> Iterator[list[str]]:
    heard: list[str] = []
    trace.set_sink(heard.append)
    trace.set_notice_sink(heard.append)
    yield heard
    trace.set_sink(None)
    trace.set_notice_sink(None)


class Helper:
    """A credential helper that always says the same, and writes down what it is asked."""

    def __init__(self, rig: Rig, user: str = "ann", password: str = "secret") -> None:
        self.log = rig.folder / "helper.log"
        program = rig.folder / "helper"
        program.write_text(HELPER.format(log=self.log, user=user, password=password))
        program.chmod(0o755)
        config = ["git", "config", "--global", "--replace-all", "credential.helper", str(program)]
        subprocess.run(config, check=True, env=rig.env)

    @property
    def calls(self) -> list[str]:
        words = self.log.read_text().splitlines() if self.log.exists() else []
        return [word for word in words if word in ("get", "store", "erase")]


def reload(rig: Rig) -> None:
    """The clone's configuration as the next command would see it."""
    rig.settings = [("lfs.url", rig.settings[0][1]), *load(rig.git).items()]


def test_a_401_asks_for_credentials_once_and_keeps_the_mode(rig: Rig, faulty: FaultyServer) -> None:
    faulty.user = ("ann", "secret")
    helper = Helper(rig)
    faulty.add(DATA)
    for number in range(20):
        faulty.add(str(number).encode())
    assert rig.download(*(item(str(n).encode(), f"f{n}") for n in range(20))) == []
    assert helper.calls == ["get", "store"]
    kept = load(rig.git).get(f"lfs.{faulty.url}.access")
    assert kept == "basic"
    before = len(faulty.log)
    reload(rig)
    assert rig.download(item(DATA)) == []
    # The next command sends them at once.
    assert faulty.log[before].headers["Authorization"].startswith("Basic ")


def test_www_authenticate_serves_too(rig: Rig, faulty: FaultyServer) -> None:
    faulty.user = ("ann", "secret")
    faulty.challenge_header = "WWW-Authenticate"
    Helper(rig)
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []


def test_wrong_credentials_are_rejected_and_tries_end(rig: Rig, faulty: FaultyServer, lines: list[str]) -> None:
    faulty.user = ("ann", "secret")
    helper = Helper(rig, password="guess")
    (failure,) = rig.download(item(DATA))
    assert str(failure.error) == "batch response: Authentication required: who are you?"
    assert helper.calls == ["get", "erase"] * 3
    assert not any("guess" in line for line in lines)


def test_nobody_knows(rig: Rig, faulty: FaultyServer) -> None:
    faulty.user = ("ann", "secret")
    (failure,) = rig.download(item(DATA))
    assert isinstance(failure.error, BatchFailed)
    assert isinstance(failure.error.cause, CredentialsMissing)
    assert f"Git credentials for {faulty.url} not found" in str(failure.error)
    # One false 401 must not make every later command ask for a password.
    assert load(rig.git).get(f"lfs.{faulty.url}.access") == ""


def test_a_url_that_brings_credentials(rig: Rig, faulty: FaultyServer, lines: list[str]) -> None:
    faulty.user = ("ann", "p@ss word")
    rig.settings = [("lfs.url", faulty.url.replace("://", "://ann:p%40ss%20word@"))]
    faulty.add(DATA)
    faulty.add(b"more")
    assert rig.download(item(DATA), item(b"more", "b")) == []
    assert lines.count("warning: current Git remote contains credentials") == 1
    assert not any("p%40ss" in line or "p@ss" in line for line in lines)


def test_wrong_credentials_in_the_url_are_not_tried_for_ever(rig: Rig, faulty: FaultyServer) -> None:
    faulty.user = ("ann", "secret")
    rig.settings = [("lfs.url", faulty.url.replace("://", "://ann:wrong@"))]
    (failure,) = rig.download(item(DATA))
    assert "Authentication required" in str(failure.error)
    assert len(faulty.log) == 2


def test_the_git_remote_on_the_same_server_is_asked_for(rig: Rig, faulty: FaultyServer) -> None:
    faulty.user = ("ann", "secret")
    helper = Helper(rig)
    origin = faulty.url.replace("/lfs", "/me/repo.git")
    rig.settings += [("remote.origin.url", origin), ("credential.usehttppath", "true")]
    subprocess.run(["git", "config", "--global", "credential.useHttpPath", "true"], check=True, env=rig.env)
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []
    assert "path=me/repo.git" in helper.log.read_text()
    assert helper.calls == ["get", "store"]


def test_netrc(rig: Rig, faulty: FaultyServer, lines: list[str]) -> None:
    faulty.user = ("ann", "se#cret")
    netrc = Path(rig.env["HOME"]) / ".netrc"
    netrc.write_text(
        "macdef x\n machine nothing\n\nmachine 127.0.0.1 login ann password se#cret # me\ndefault login no\n"
    )
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []
    assert any(line.startswith('netrc: git credential fill ("http", "127.0.0.1:') for line in lines)
    assert not any("se#cret" in line for line in lines)


def test_a_refused_netrc_gives_way_to_the_helper(rig: Rig, faulty: FaultyServer) -> None:
    faulty.user = ("ann", "secret")
    (Path(rig.env["HOME"]) / ".netrc").write_text('machine 127.0.0.1\nlogin ann\npassword "wrong one"\n')
    helper = Helper(rig)
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []
    assert helper.calls == ["get", "store"]


def test_askpass(rig: Rig, faulty: FaultyServer, lines: list[str]) -> None:
    faulty.user = ("ann", "secret")
    program = rig.folder / "ask"
    program.write_text('#!/bin/sh\ncase "$1" in User*) echo ann;; *) echo secret;; esac\n')
    program.chmod(0o755)
    rig.env["GIT_ASKPASS"] = str(program)
    rig.settings.append(("credential.usehttppath", "true"))
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []
    asked = [line for line in lines if "filling with GIT_ASKPASS" in line]
    assert asked[0].endswith(f'Username for "{faulty.url}"')
    assert asked[1].endswith(f'Password for "{faulty.url.replace("://", "://ann@")}"')


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 3\n", "#!/bin/sh\necho no >&2\n", None])
def test_a_broken_askpass_gives_way_to_git(rig: Rig, faulty: FaultyServer, script: str | None) -> None:
    faulty.user = ("ann", "secret")
    program = rig.folder / "ask"
    if script:
        program.write_text(script)
        program.chmod(0o755)
    rig.env["GIT_ASKPASS"] = str(program)
    (failure,) = rig.download(item(DATA))
    assert "credential fill errors:" in str(failure.error)


def test_extra_headers(rig: Rig, faulty: FaultyServer) -> None:
    faulty.user = ("ann", "secret")
    rig.settings += [
        (f"http.{faulty.url}.extraHeader", "AUTHORIZATION: Basic YW5uOnNlY3JldA=="),
        (f"http.{faulty.url}.extraHeader", "X-Foo: bar"),
        (f"http.{faulty.url}.extraHeader", "X-Foo: baz"),
    ]
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []
    assert all(seen.headers["X-Foo"] in ("bar", "baz") for seen in faulty.log)
    assert len(faulty.log) == 2


def test_an_action_s_own_authorization_stands_alone(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.action_header = {"Authorization": "Signed abc"}
    rig.settings.append(("http.extraheader", "Authorization: Basic YW5uOnNlY3JldA=="))
    assert rig.download(item(DATA)) == []
    assert faulty.seen("GET")[0].headers["Authorization"] == "Signed abc"
    assert faulty.seen("POST")[0].headers["Authorization"].startswith("Basic ")


def test_cookies(rig: Rig, faulty: FaultyServer) -> None:
    jar = rig.folder / "jar"
    jar.write_text(
        "# Netscape HTTP Cookie File\n"
        "#HttpOnly_127.0.0.1\tFALSE\t/lfs\tFALSE\t0\tsession\tabc\n"
        "127.0.0.1\tFALSE\t/\tFALSE\t1\told\tgone\n"
        "127.0.0.1\tFALSE\t/\tTRUE\t0\tsecure\tno\n"
        ".example.com\tTRUE\t/\tFALSE\t0\tother\tno\n"
    )
    rig.settings.append(("http.cookiefile", str(jar)))
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []
    assert {seen.headers["Cookie"] for seen in faulty.log} == {"session=abc"}


def test_redirects_keep_the_method_and_end(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    for code in (301, 302, 307, 308):
        faulty.batch.append(Status(code, headers={"Location": "/lfs/objects/batch"}))
        assert rig.download(item(DATA)) == []
    assert len(faulty.seen("POST", "/batch")) == 8
    faulty.batch += [Status(307, headers={"Location": "/lfs/objects/batch"})] * 10
    (failure,) = rig.download(item(b"x"))
    assert str(failure.error) == "batch response: too many redirects"


def test_an_upload_is_sent_again_after_a_redirect(rig: Rig, faulty: FaultyServer) -> None:
    data = os.urandom(300_000)
    rig.put(data)
    faulty.put.append(Status(307, headers={"Location": f"/lfs/storage/{item(data).oid}?again"}))
    assert rig.upload(item(data)) == []
    assert faulty.objects[item(data).oid] == data


def test_credentials_stay_with_their_host(rig: Rig, faulty: FaultyServer) -> None:
    with FaultyServer() as other:
        faulty.user = ("ann", "secret")
        Helper(rig)
        faulty.add(DATA)
        other.add(DATA)
        faulty.get.append(Status(302, headers={"Location": f"{other.url}/storage/{item(DATA).oid}"}))
        assert rig.download(item(DATA)) == []
        assert "Authorization" not in other.log[0].headers


def test_a_redirect_to_another_scheme_is_refused(rig: Rig, faulty: FaultyServer) -> None:
    with rig.open() as server:
        faulty.get.append(Status(302, headers={"Location": "ftp://elsewhere/x"}))
        with pytest.raises(BadRedirect, match='missing protocol: "ftp://elsewhere/x"'):
            server.session.send(Request("GET", f"{faulty.url}/storage/x"), None)


def test_curl_verbose_hides_secrets(rig: Rig, faulty: FaultyServer) -> None:
    said: list[str] = []
    faulty.user = ("ann", "secret")
    Helper(rig)
    faulty.add(DATA)
    trace.set_http_sink(said.append)
    try:
        assert rig.download(item(DATA)) == []
    finally:
        trace.set_http_sink(None)
    text = "".join(said)
    assert "> POST /lfs/objects/batch HTTP/1.1\n> Host: 127.0.0.1:" in text
    assert "> Authorization: Basic * * * * *\n" in text
    assert '{"operation":"download"' in text
    assert "< HTTP/1.1 200 OK\n" in text
    assert "YW5uOnNlY3JldA" not in text


def test_a_branch_names_its_remote(rig: Rig, faulty: FaultyServer) -> None:
    config = Config([("remote.up.url", "http://h/a"), ("remote.down.url", "http://h/b"), ("branch.main.remote", "up")])
    with open_server(config, rig.git, rig.env) as server:
        assert isinstance(server, LfsServer)
        assert server.remote == "up"
        assert server.endpoint.url == "http://h/a.git/info/lfs"


def test_error_bodies_are_read_whole_and_bounded(rig: Rig, faulty: FaultyServer) -> None:
    with rig.open() as server:
        faulty.batch.append(Status(500, raw=b"x" * (2 << 20)))
        with pytest.raises(BatchFailed) as caught:
            server.batch("download", [])
        assert isinstance(caught.value.cause, HttpError)
        assert str(caught.value).startswith("batch response: Fatal error: Server error: http://")


NEWER_GIT = """#!/bin/sh
# git as of 2.46, as far as credentials go: schemes other than Basic, in several stages.
[ "$1" = -C ] && shift 2
[ "$1" = credential ] || exec {git} "$@"
input=$(cat)
echo "$2 $input" | tr '\\n' ' ' >> {log}
echo >> {log}
[ "$2" = fill ] || exit 0
case "$input" in *capability*authtype*) ;; *) exit 128;; esac
echo "capability[]=authtype"
case "$input" in
*state=two* | *"state[]=x:two"*) echo "authtype=Staged"; echo "credential=last"; echo "state[]=x:end";;
*) echo "authtype={first}"; echo "credential={token}"; echo "state[]=x:two"; echo "continue={more}";;
esac
"""


def newer_git(rig: Rig, **values: str) -> Path:
    programs = rig.folder / "programs"
    programs.mkdir()
    log = rig.folder / "git.log"
    real = shutil.which("git", path=rig.env["PATH"])
    (programs / "git").write_text(NEWER_GIT.format(git=real, log=log, **values))
    (programs / "git").chmod(0o755)
    rig.env["PATH"] = f"{programs}{os.pathsep}{rig.env['PATH']}"
    rig.git = Git(str(rig.folder), rig.env)
    return log


def test_a_helper_may_bring_another_scheme(rig: Rig, faulty: FaultyServer) -> None:
    faulty.authorization = "Bearer token"
    log = newer_git(rig, first="Bearer", token="token", more="0")
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []
    calls = [line.split(" ", 1)[0] for line in log.read_text().splitlines()]
    assert calls == ["fill", "approve"]
    assert 'wwwauth[]=Basic realm="faulty"' in log.read_text()


def test_a_scheme_of_several_stages(rig: Rig, faulty: FaultyServer) -> None:
    faulty.authorization = "Staged last"
    log = newer_git(rig, first="Staged", token="begin", more="1")
    faulty.add(DATA)
    assert rig.download(item(DATA)) == []
    calls = [line.split(" ", 1)[0] for line in log.read_text().splitlines()]
    assert calls == ["fill", "fill", "approve"]
    assert [seen.headers.get("Authorization") for seen in faulty.seen("POST")] == [None, "Staged begin", "Staged last"]


def test_a_guessed_url_is_explained(rig: Rig) -> None:
    rig.settings = [("remote.origin.url", "ssh://git@127.0.0.1:2222/me/repo.git")]
    (failure,) = rig.download(item(DATA))
    assert "https://127.0.0.1/me/repo.git/info/lfs" in str(failure.error)
    assert "guessed from the SSH remote" in failure.error.hint
