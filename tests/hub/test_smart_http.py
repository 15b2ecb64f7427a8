"""Git over HTTP with real git: fetch and push in all their forms, and what is refused."""

from __future__ import annotations

import gzip
import http.client
import random
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.people import Person
from tests.running_hub import RunningHub, git_children


@pytest.fixture
def ada(hub: RunningHub, tmp_path: Path) -> Person:
    return hub.person(tmp_path / "ada", "ada")


@pytest.fixture
def pushed(hub: RunningHub, ada: Person) -> tuple[str, Path]:
    """A repository with three commits on main and a tag, on the hub and in a clone."""
    name = hub.new_name()
    folder = ada.repository("first")
    for number in range(3):
        ada.commit(folder, {f"file {number}": f"{number}\n".encode() * 50}, f"commit {number}")
    ada.git("tag", "-a", "v1", "-m", "first", cwd=folder)
    ada.git("remote", "add", "origin", hub.remote(name), cwd=folder)
    ada.git("push", "-q", "origin", "main", "v1", cwd=folder)
    return name, folder


def test_a_push_makes_the_repository_and_a_clone_gets_it_back(
    hub: RunningHub, ada: Person, pushed: tuple[str, Path]
) -> None:
    name, folder = pushed
    ada.git("clone", "-q", hub.remote(name), "clone")
    clone = ada.home / "clone"
    assert ada.git("log", "--format=%H %s", cwd=clone) == ada.git("log", "--format=%H %s", cwd=folder)
    assert ada.git("tag", cwd=clone) == "v1"
    assert ada.git("symbolic-ref", "refs/remotes/origin/HEAD", cwd=clone) == "refs/remotes/origin/main"
    assert name in [repository["name"] for repository in hub.api("GET", "/repositories")["repositories"]]


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_every_protocol_version(hub: RunningHub, ada: Person, pushed: tuple[str, Path], version: str) -> None:
    name, _ = pushed
    done = ada.run("git", "-c", f"protocol.version={version}", "clone", hub.remote(name), "clone", GIT_TRACE_PACKET="1")
    assert ("version 2" in done.stderr) == (version == "2")
    assert (ada.home / "clone" / "file 2").read_bytes() == b"2\n" * 50


def test_the_path_works_without_git_at_its_end(hub: RunningHub, ada: Person, pushed: tuple[str, Path]) -> None:
    name, _ = pushed
    assert "refs/heads/main" in ada.git("ls-remote", f"{hub.url}/{name}")


def test_shallow_clones_fetch_deepen_and_push(hub: RunningHub, ada: Person, pushed: tuple[str, Path]) -> None:
    name, folder = pushed
    ada.git("clone", "-q", "--depth=1", hub.remote(name), "shallow")
    shallow = ada.home / "shallow"
    assert ada.git("rev-list", "--count", "HEAD", cwd=shallow) == "1"
    head = ada.commit(shallow, {"new": b"new"})
    ada.git("push", "-q", "origin", "main", cwd=shallow)
    ada.git("pull", "-q", "origin", "main", cwd=folder)
    assert ada.git("rev-parse", "HEAD", cwd=folder) == head
    ada.git("fetch", "-q", "--unshallow", cwd=shallow)
    assert ada.git("rev-list", "--count", "HEAD", cwd=shallow) == "4"


def test_partial_clones_fetch_blobs_when_they_need_them(hub: RunningHub, ada: Person, pushed: tuple[str, Path]) -> None:
    name, _ = pushed
    ada.git("clone", "-q", "--filter=blob:none", "--no-checkout", hub.remote(name), "partial")
    partial = ada.home / "partial"
    missing = ada.git("rev-list", "--objects", "--all", "--missing=print", cwd=partial).count("?")
    assert missing == 3
    ada.git("checkout", "-q", "main", cwd=partial)
    assert (partial / "file 0").read_bytes() == b"0\n" * 50


@pytest.mark.parametrize(
    ("buffer", "header"), [("1000000", "Transfer-Encoding: chunked"), ("9000000", "Content-Length: 50")]
)
def test_a_large_push_comes_in_chunks_or_whole(hub: RunningHub, ada: Person, buffer: str, header: str) -> None:
    name = hub.new_name()
    folder = ada.repository("large")
    noise = subprocess.run(["head", "-c", "5000000", "/dev/urandom"], capture_output=True, check=True).stdout
    head = ada.commit(folder, {"noise": noise})
    done = ada.run(
        "git", "-c", f"http.postBuffer={buffer}", "push", hub.remote(name), "main", cwd=folder, GIT_CURL_VERBOSE="1"
    )
    assert header in done.stderr
    assert ada.git("ls-remote", hub.remote(name), "main").startswith(head)


def test_many_wants_come_gzipped(hub: RunningHub, ada: Person) -> None:
    name = hub.new_name()
    folder = ada.repository("many")
    ada.commit(folder, {"a": b"a"})
    stream = "".join(f"reset refs/tags/t{n}\nfrom main^0\n\n" for n in range(5))
    for n in range(60):
        stream += f"commit refs/heads/b{n}\ncommitter a <a@b> {n} +0000\ndata 1\n{n % 10}\n\n"
    ada.run("git", "fast-import", "--quiet", cwd=folder, stdin=stream)
    ada.git("push", "-q", "--all", hub.remote(name), cwd=folder)
    done = ada.run("git", "clone", hub.remote(name), "clone", GIT_CURL_VERBOSE="1")
    assert "Content-Encoding: gzip" in done.stderr
    assert ada.git("branch", "-r", cwd=ada.home / "clone").count("origin/b") == 60


def test_force_pushes_and_deleted_refs(hub: RunningHub, ada: Person, pushed: tuple[str, Path]) -> None:
    name, folder = pushed
    ada.git("push", "-q", "origin", "main:side", cwd=folder)
    ada.git("reset", "-q", "--hard", "HEAD~2", cwd=folder)
    head = ada.commit(folder, {"other": b"history"})
    assert "non-fast-forward" in ada.git("push", "origin", "main", cwd=folder, check=False)
    ada.git("push", "-q", "--force", "origin", "main", cwd=folder)
    ada.git("push", "-q", "origin", ":side", ":v1", cwd=folder)
    refs = ada.git("ls-remote", hub.remote(name))
    assert refs.split() == [head, "HEAD", head, "refs/heads/main"]


def test_sha256_repositories(hub: RunningHub, ada: Person) -> None:
    name = hub.new_name()
    ada.git("init", "-q", "--object-format=sha256", "work")
    folder = ada.home / "work"
    pointer = hub.upload(name, b"weights").encode()
    head = ada.commit(folder, {"a.safetensors": pointer})
    assert "fatal:" in ada.git("push", hub.remote(hub.new_name()), "main", cwd=folder, check=False), "made for SHA-1"
    hub.request("DELETE", f"/api/v1/repositories/{name}")
    hub.api("POST", "/repositories", {"name": name, "object_format": "sha256"})
    hub.upload(name, b"weights")
    ada.git("push", "-q", hub.remote(name), "main", cwd=folder)
    ada.git("clone", "-q", "--depth=1", hub.remote(name), "clone")
    assert ada.git("rev-parse", "HEAD", cwd=ada.home / "clone") == head
    assert len(head) == 64
    ada.commit(folder, {"b.safetensors": b"weights"})
    assert "weight file outside LFS" in ada.git("push", hub.remote(name), "main", cwd=folder, check=False)
    assert hub.refused("POST", "/api/v1/repositories", {"name": hub.new_name(), "object_format": "md5"})[0] == 422


@pytest.mark.parametrize(("pushed_branches", "expected"), [(["trunk", "zoo"], "trunk"), (["dev", "master"], "master")])
def test_a_clone_checks_out_a_branch_that_exists(
    hub: RunningHub, ada: Person, pushed_branches: list[str], expected: str
) -> None:
    name = hub.new_name()
    folder = ada.repository("work")
    ada.commit(folder, {"a": b"a"})
    ada.git("push", "-q", hub.remote(name), *(f"main:{branch}" for branch in pushed_branches), cwd=folder)
    ada.git("clone", "-q", hub.remote(name), "clone")
    assert ada.git("branch", "--show-current", cwd=ada.home / "clone") == expected
    ada.git("push", "-q", hub.remote(name), "main", cwd=folder)
    assert expected in ada.git("ls-remote", "--symref", hub.remote(name), "HEAD"), "it stays"


def test_of_two_pushes_to_one_ref_one_wins(hub: RunningHub, ada: Person, pushed: tuple[str, Path]) -> None:
    name, _ = pushed
    clones = []
    for number in range(4):
        ada.git("clone", "-q", hub.remote(name), f"clone{number}")
        ada.commit(ada.home / f"clone{number}", {"mine": str(number).encode()})
        clones.append(ada.home / f"clone{number}")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda clone: ada.run("git", "push", "origin", "main", cwd=clone, check=False), clones))
    assert sorted(result.returncode for result in done) == [0, 1, 1, 1]
    winner = clones[[result.returncode for result in done].index(0)]
    assert ada.git("ls-remote", hub.remote(name), "main").split()[0] == ada.git("rev-parse", "main", cwd=winner)


def test_who_may_do_what(hub: RunningHub, ada: Person, pushed: tuple[str, Path], tmp_path: Path) -> None:
    name, _ = pushed
    reader = hub.person(tmp_path / "reader", "reader", "read")
    reader.git("clone", "-q", hub.remote(name), "clone")
    reader.commit(reader.home / "clone", {"x": b"x"})
    assert "403" in reader.git("push", "origin", "main", cwd=reader.home / "clone", check=False)
    assert "not found" in reader.git("push", hub.remote(hub.new_name()), "main", cwd=reader.home / "clone", check=False)

    bound = Person("bound", tmp_path / "bound")
    bound.login(hub.url, hub.new_token("bound", "write", "other/place"))
    assert "not found" in bound.git("clone", hub.remote(name), check=False)

    nobody = Person("nobody", tmp_path / "nobody")
    assert "could not read Username" in nobody.git("clone", hub.remote(name), check=False)
    nobody.login(hub.url, "cwt_wrong")
    assert "Authentication failed" in nobody.git("clone", hub.remote(name), check=False)
    assert "could not read Username" in nobody.git("clone", hub.remote("no/such"), check=False), (
        "git forgot the bad one"
    )


def test_a_revoked_token_opens_nothing(hub: RunningHub, pushed: tuple[str, Path], tmp_path: Path) -> None:
    name, _ = pushed
    made = hub.api("POST", "/tokens", {"user": "leaver", "scope": "write"})
    leaver = Person("leaver", tmp_path / "leaver")
    leaver.login(hub.url, made["token"])
    leaver.git("ls-remote", hub.remote(name))
    hub.api("DELETE", f"/tokens/{made['id']}")
    leaver.login(hub.url, made["token"])
    assert "Authentication failed" in leaver.git("ls-remote", hub.remote(name), check=False)


def test_the_dumb_protocol_is_refused_with_words(hub: RunningHub, pushed: tuple[str, Path]) -> None:
    name, _ = pushed
    for path in ("info/refs", "HEAD", "objects/info/packs", "info/refs?service=git-upload-archive"):
        status, text = hub.refused("GET", f"/{name}.git/{path}")
        assert status == 403
        assert "smart HTTP" in str(text)


def test_answers_carry_gits_types_and_are_never_cached(hub: RunningHub, pushed: tuple[str, Path]) -> None:
    name, _ = pushed
    path = f"/{name}.git/info/refs?service=git-upload-pack"
    _, headers, body = hub.request("GET", path)
    assert headers["content-type"] == "application/x-git-upload-pack-advertisement"
    assert headers["cache-control"] == "no-cache, max-age=0, must-revalidate"
    assert body.startswith(b"001e# service=git-upload-pack\n0000")
    _, _, body = hub.request("GET", path, headers={"Git-Protocol": "version=2"})
    assert body.startswith(b"000eversion 2\n")
    _, headers, body = hub.request(
        "GET", f"/{name}.git/info/refs?service=git-receive-pack", headers={"Git-Protocol": "version=2"}
    )
    assert headers["content-type"] == "application/x-git-receive-pack-advertisement"
    assert body.startswith(b"001f# service=git-receive-pack\n0000")


def ls_refs() -> bytes:
    return b"0014command=ls-refs\n00010000"


def post_fetch(hub: RunningHub, name: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    kinds = {"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"}
    found = {**kinds, **{key.replace("_", "-"): value for key, value in headers.items()}}
    status, _, answer = hub.request("POST", f"/{name}.git/git-upload-pack", body, headers=found)
    return status, answer


def test_bodies_come_plain_or_gzipped(hub: RunningHub, pushed: tuple[str, Path]) -> None:
    name, _ = pushed
    plain = post_fetch(hub, name, ls_refs())
    assert b"refs/heads/main" in plain[1]
    assert post_fetch(hub, name, gzip.compress(ls_refs()), Content_Encoding="gzip") == plain


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"x", {"Content-Type": "text/plain"}, 415, "expected a body of type"),
        (b"x", {"Content-Encoding": "br"}, 415, "unsupported content encoding"),
        (b"no gzip at all", {"Content-Encoding": "gzip"}, 400, "not gzip"),
        (gzip.compress(b"0000", mtime=0)[:-6], {"Content-Encoding": "gzip"}, 400, "ends early"),
        (gzip.compress(b"0000", mtime=0) + b"more", {"Content-Encoding": "gzip"}, 400, "bytes follow"),
    ],
)  # fmt: skip
def test_bad_bodies(
    hub: RunningHub, pushed: tuple[str, Path], body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    name, _ = pushed
    kinds = {"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"}
    got, text = hub.refused("POST", f"/{name}.git/git-upload-pack", body, headers={**kinds, **headers})
    assert (got, words in str(text)) == (status, True)


def test_garbage_to_git_is_an_error_and_no_crash(hub: RunningHub, pushed: tuple[str, Path]) -> None:
    name, _ = pushed
    for service in ("upload-pack", "receive-pack"):
        status, text = hub.refused(
            "POST",
            f"/{name}.git/git-{service}",
            b"garbage" * 100,
            headers={"Content-Type": f"application/x-git-{service}-request"},
        )
        assert status == 400
        assert "git" in str(text)
    assert post_fetch(hub, name, ls_refs())[0] == 200


def test_wrong_methods_and_names(hub: RunningHub, pushed: tuple[str, Path]) -> None:
    name, _ = pushed
    assert hub.refused("POST", f"/{name}.git/info/refs?service=git-upload-pack", b"")[0] == 405
    assert hub.refused("GET", f"/{name}.git/git-upload-pack")[0] == 405
    for bad in ("/../../etc/info/refs", "/a/..%2f..%2fb/info/refs", "/-x/y/info/refs", "/a/b.lock/info/refs"):
        assert hub.refused("GET", bad + "?service=git-upload-pack")[0] == 404


def test_expect_100_continue(hub: RunningHub, ada: Person) -> None:
    name = hub.new_name()
    folder = ada.repository("expect")
    ada.commit(folder, {"a": bytes(range(256)) * 8000})
    ada.git("-c", "http.expectContinue=true", "push", "-q", hub.remote(name), "main", cwd=folder, GIT_CURL_VERBOSE="1")
    assert ada.git("ls-remote", hub.remote(name), "main")


def wait_until(condition: object, seconds: float = 5.0) -> bool:
    assert callable(condition)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_client_that_leaves_takes_its_git_along(own_hub: RunningHub, tmp_path: Path) -> None:
    ada = own_hub.person(tmp_path / "ada", "ada")
    folder = ada.repository("slow")
    ada.commit(folder, {"a": b"a"})
    name = own_hub.new_name()
    ada.git("push", "-q", own_hub.remote(name), "main", cwd=folder)
    command = ["curl", "-s", "-N", "-X", "POST", "-H", f"Authorization: Bearer {own_hub.token}"]
    command += [
        "-H",
        "Content-Type: application/x-git-receive-pack-request",
        "-T",
        "-",
        own_hub.remote(name) + "/git-receive-pack",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as curl:
        assert curl.stdin is not None
        curl.stdin.write(b"00")
        curl.stdin.flush()
        assert wait_until(lambda: git_children(own_hub.pid))
        curl.kill()
    assert wait_until(lambda: not git_children(own_hub.pid))
    assert wait_until(lambda: "status=499" in own_hub.log)


def push_body(person: Person, folder: Path) -> bytes:
    """The body of a first push of `main`, as git sends it."""
    head = person.git("rev-parse", "main", cwd=folder)
    command = f"{'0' * 40} {head} refs/heads/main\0report-status".encode()
    pack = subprocess.run(
        ["git", "pack-objects", "--revs", "--stdout", "-q"],
        input=b"main\n",
        cwd=folder,
        env=person.env,
        capture_output=True,
        check=True,
    )
    return b"%04x%b0000" % (len(command) + 4, command) + pack.stdout


@pytest.mark.parametrize("ending", ["term", "kill"])
def test_the_hub_ends_in_the_middle_of_a_push(own_hub: RunningHub, tmp_path: Path, ending: str) -> None:
    """SIGTERM: the push is finished first. SIGKILL: nothing of it is left, and the next one completes."""
    ada = own_hub.person(tmp_path / "ada", "ada")
    folder = ada.repository("work")
    ada.commit(folder, {"noise": random.Random(2).randbytes(500_000)})
    body = push_body(ada, folder)
    name = own_hub.new_name()
    headers = {"Content-Type": "application/x-git-receive-pack-request", "Content-Length": str(len(body))}
    headers["Authorization"] = f"Bearer {own_hub.token}"
    client = http.client.HTTPConnection(own_hub.url.removeprefix("http://"), timeout=30)
    client.connect()
    client.putrequest("POST", f"/{name}.git/git-receive-pack")
    for key, value in headers.items():
        client.putheader(key, value)
    client.endheaders(body[: len(body) // 2])
    assert wait_until(lambda: git_children(own_hub.pid))
    assert own_hub.process is not None
    if ending == "term":
        own_hub.process.terminate()
        time.sleep(0.3)
        client.send(body[len(body) // 2 :])
        answer = client.getresponse().read()
        assert b"unpack ok" in answer
        assert b"ok refs/heads/main" in answer
        assert own_hub.stop() == 0
        own_hub.start()
    else:
        own_hub.process.kill()
        own_hub.stop()
        own_hub.start()
        assert ada.git("ls-remote", own_hub.remote(name)) == ""
        ada.git("push", "-q", own_hub.remote(name), "main", cwd=folder)
    client.close()
    ada.git("clone", "-q", own_hub.remote(name), "clone")
    assert (ada.home / "clone" / "noise").stat().st_size == 500_000


UVICORN = """
import sys, uvicorn
from hundredweight.hub.app import create_app
from hundredweight.hub.serve import ensure_admin_token
from hundredweight.hub.settings import Settings
app = create_app(Settings(data=sys.argv[1]))
ensure_admin_token(app.state.services)
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


def test_another_asgi_server(tmp_path: Path) -> None:
    """Nothing here depends on granian: chunked pushes, hooks and fetches work under uvicorn too."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, "-c", UVICORN, str(tmp_path / "data"), str(port)]) as server:
        try:
            token = tmp_path / "data" / "admin-token"
            assert wait_until(token.exists, 20)
            ada = Person("ada", tmp_path / "ada")
            ada.login(url, token.read_text().strip())
            assert wait_until(lambda: ada.run("curl", "-s", f"{url}/healthz", check=False).returncode == 0, 20)
            folder = ada.repository("work")
            ada.commit(folder, {"noise": random.Random(1).randbytes(3_000_000)})
            ada.git("push", "-q", f"{url}/a/b", "main", cwd=folder)
            ada.git("clone", "-q", f"{url}/a/b", "clone")
            assert (ada.home / "clone" / "noise").stat().st_size == 3_000_000
            ada.commit(folder, {"a.pt": b"weights"})
            assert "weight file outside LFS" in ada.git("push", f"{url}/a/b", "main", cwd=folder, check=False)
        finally:
            server.terminate()


def test_git_processes_queue(tmp_path: Path) -> None:
    hub = RunningHub(tmp_path, "--git-processes", "1").start()
    try:
        ada = hub.person(tmp_path / "ada", "ada")
        folder = ada.repository("queue")
        ada.commit(folder, {"a": b"a"})
        name = hub.new_name()
        ada.git("push", "-q", hub.remote(name), "main", cwd=folder)
        most = 0
        finished = threading.Event()

        def watch() -> None:
            nonlocal most
            while not finished.wait(0.005):
                most = max(most, len(git_children(hub.pid)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: post_fetch(hub, name, ls_refs())[0], range(12)))
        finished.set()
        watcher.join()
        assert answers == [200] * 12
        assert most <= 1
    finally:
        assert hub.stop() == 0
