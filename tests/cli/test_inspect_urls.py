"""`cwt inspect URL` and `cwt id URL`: repositories with LFS and plain files, by ranges, and servers that misbehave."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from tests.people import Person
from tests.running_hub import RunningHub

MIB = 1 << 20
SMALL = save({"w": np.arange(8, dtype=np.float32)}, {"format": "np"})


def sparse_safetensors(path: Path, size: int) -> None:
    """One tensor of `size` zeros."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + size)


def sent(hub: RunningHub) -> int:
    """Bytes of objects that the hub has sent so far."""
    text = hub.request("GET", "/metrics")[2].decode()
    found = re.search(r'cwt_hub_object_bytes_total\{direction="out"\} (\S+)', text)
    return int(float(found[1])) if found else 0


@pytest.fixture
def ada(hub: RunningHub, tmp_path: Path) -> Person:
    person = hub.person(tmp_path / "ada", "ada")
    person.git("lfs", "install", "--skip-repo")
    return person


def publish(person: Person, hub: RunningHub, files: dict[str, bytes], big: int = 0) -> str:
    """A repository with these files, weights in LFS, pushed: its URL. `big` is the size of `big.safetensors`, if any."""
    folder = person.repository("work")
    person.git("lfs", "track", "*.safetensors", cwd=folder)
    if big:
        sparse_safetensors(folder / "big.safetensors", big)
    person.commit(folder, files)
    person.git("tag", "v1", cwd=folder)
    url = hub.remote(hub.new_name())
    person.git("push", "-q", url, "main", "v1", cwd=folder)
    return url


def test_a_hundred_megabytes_cost_less_than_one(hub: RunningHub, ada: Person) -> None:
    url = publish(ada, hub, {"config.json": b'{"model_type": "tiny"}'}, big=100_000_000)
    before = sent(hub)
    found = json.loads(ada.run("cwt", "inspect", "--json", f"{url}@v1:big.safetensors").stdout)
    assert (found["parameters"], found["size"] > 100_000_000, found["architecture"]) == (25_000_000, True, "tiny")
    assert 0 < sent(hub) - before < MIB


def test_revisions_folders_and_shards(hub: RunningHub, ada: Person) -> None:
    first, second = save({"a": np.zeros(3, np.float32)}), save({"b": np.ones((2, 2), np.int64)})
    index = {"metadata": {}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}
    url = publish(
        ada,
        hub,
        {
            "deep/er/m-1.safetensors": first,
            "deep/er/m-2.safetensors": second,
            "deep/er/m.safetensors.index.json": json.dumps(index).encode(),
            "raw.bin": SMALL,
        },
    )
    commit = ada.git("rev-parse", "HEAD", cwd=ada.home / "work")
    for named in (f"{url}:", f"{url}@main:", f"{url}@v1:", f"{url}@refs/tags/v1:", f"{url}@{commit}:"):
        assert "F32   8" in ada.run("cwt", "inspect", named + "raw.bin").stdout, named
    whole = json.loads(ada.run("cwt", "inspect", "--json", f"{url}@v1:deep/er/m.safetensors.index.json").stdout)
    assert [tensor["file"] for tensor in whole["tensors"]] == ["m-1.safetensors", "m-2.safetensors"]
    here = ada.run("cwt", "id", "deep/er/m.safetensors.index.json", cwd=ada.home / "work").stdout.split()[0]
    there = ada.run("cwt", "id", f"{url}@v1:deep/er/m.safetensors.index.json").stdout
    assert there == f"{here}  {url}@v1:deep/er/m.safetensors.index.json\n"
    local = (ada.home / "work").as_uri() + "/.git"
    assert "F32   3" in ada.run("cwt", "inspect", f"{local}@v1:deep/er/m-1.safetensors").stdout


def test_what_is_wrong_with_a_repository_is_told(hub: RunningHub, ada: Person, tmp_path: Path) -> None:
    url = publish(ada, hub, {"m.safetensors": SMALL, "notes.txt": b"hello"})
    before = set(os.listdir(Path("/tmp")))
    for named, code, said in (
        (f"{url}@v9:m.safetensors", 3, "cannot fetch 'v9' of"),
        (f"{url}@v1:gone.safetensors", 1, "no such revision or path"),
        (f"{url}@v1:notes.txt", 4, "is no weight file"),
        (f"{url}@--upload-pack=evil:m.safetensors", 2, "names no file"),
        (f"{url}@v1:deep/", 2, "names no file"),
        (f"{hub.url}/", 2, "names no file"),
        (f"{url[:-4]}-none.git@v1:m.safetensors", 3, "not found"),
    ):
        done = ada.run("cwt", "inspect", named, check=False)
        assert (done.returncode, done.stdout, said in done.stderr) == (code, "", True), (named, done.stderr)
        assert "hint: " in done.stderr, named
        told = json.loads(ada.run("cwt", "inspect", "--json", named, check=False).stdout)["error"]
        assert (told["exit_code"], said in told["message"], bool(told["hint"])) == (code, True, True)
    assert not [name for name in set(os.listdir(Path("/tmp"))) - before if name.startswith("cwt-")]

    oid = next(path.name for path in (ada.home / "work/.git/lfs/objects").rglob("*") if path.is_file())
    stored = hub.data / "objects" / oid[:2] / oid[2:4] / oid
    stored.rename(tmp_path / "aside")
    done = ada.run("cwt", "inspect", f"{url}@v1:m.safetensors", check=False)
    assert (done.returncode, "error: the server does not give object" in done.stderr) == (3, True)
    (tmp_path / "aside").rename(stored)


def test_a_token_is_asked_for_as_git_asks(hub: RunningHub, ada: Person, tmp_path: Path) -> None:
    url = publish(ada, hub, {"m.safetensors": SMALL})
    stranger = Person("eve", tmp_path / "eve")
    done = stranger.run("cwt", "inspect", f"{url}@v1:m.safetensors", check=False, GIT_ASKPASS="true")
    assert (done.returncode, done.stdout) == (3, "")


@dataclass
class Files:
    """A plain web server: `files` by path. `ranges` off ignores Range; `faults` are taken one a request."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    ranges: bool = True
    sent: int = 0
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def web() -> Iterator[Files]:
    state = Files()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: Any) -> None:
            pass

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            state.sent += len(body)

        def do_GET(self) -> None:
            state.asked.append(self.path)
            fault = state.faults.pop(0) if state.faults else ""
            path = self.path.partition("?")[0]
            if path in state.redirects:
                return self.answer(302, b"", Location=state.redirects[path])
            data = state.files.get(path)
            if data is None:
                return self.answer(404, b"<html>no", Content_Type="text/html")
            if fault == "503":
                return self.answer(503, b"later", Retry_After="0")
            if fault == "changed":
                data += b"x"
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if not state.ranges or found is None:
                return self.answer(200, data)
            start, end = int(found[1]), min(int(found[2]) + 1, len(data))
            if start >= len(data):
                return self.answer(416, b"", Content_Range=f"bytes */{len(data)}")
            if fault == "cut":
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
                self.send_header("Content-Length", str(end - start))
                self.send_header("ETag", '"1"')
                self.end_headers()
                self.wfile.write(data[start : start + 10])
                self.close_connection = True
                return None
            if fault == "shifted":
                start += 1
            place = f"bytes {start}-{end - 1}/{len(data)}"
            return self.answer(206, data[start:end], Content_Range=place, ETag='"2"' if fault == "etag" else '"1"')

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person("test", tmp_path / "home")


@pytest.fixture(scope="module")
def large() -> bytes:
    return save({f"layer.{n}.weight": np.full((512, 512), n, np.float32) for n in range(20)})


def test_a_plain_url_is_read_by_ranges(web: Files, person: Person, large: bytes) -> None:
    web.files = {"/m/model.safetensors": large, "/m/config.json": b'{"model_type": "toy"}'}
    web.redirects = {"/latest": "/m/model.safetensors"}
    found = json.loads(person.run("cwt", "inspect", "--json", f"{web.url}/m/model.safetensors").stdout)
    assert (len(found["tensors"]), found["architecture"]) == (20, "toy")
    assert web.sent < MIB
    assert "5,242,880" in person.run("cwt", "inspect", f"{web.url}/latest").stdout
    web.asked.clear()
    assert "toy" not in person.run("cwt", "inspect", f"{web.url}/m/model.safetensors?signature=abc").stdout
    assert all("?signature=abc" in path for path in web.asked), "no neighbours of a signed URL"


def test_the_id_of_a_url_is_that_of_the_file(web: Files, person: Person, large: bytes) -> None:
    web.files = {"/m.safetensors": large}
    (person.home / "m.safetensors").write_bytes(large)
    here = person.run("cwt", "id", "m.safetensors").stdout.split()[0]
    web.faults = ["", "503", "cut", "", "cut"]
    assert person.run("cwt", "id", f"{web.url}/m.safetensors").stdout == f"{here}  {web.url}/m.safetensors\n"


def test_servers_without_ranges_give_small_files_only(web: Files, person: Person, large: bytes) -> None:
    web.ranges = False
    web.files = {"/small": SMALL, "/large": large, "/empty": b""}
    assert "F32   8" in person.run("cwt", "inspect", f"{web.url}/small").stdout
    done = person.run("cwt", "inspect", f"{web.url}/large", check=False)
    assert (done.returncode, done.stderr.splitlines()) == (
        3,
        ["error: the server sends 'large' as a whole only", "hint: download the file and name it where it is"],
    )
    for ranges in (False, True):
        web.ranges = ranges
        done = person.run("cwt", "inspect", f"{web.url}/empty", check=False)
        assert (done.returncode, "the file is empty" in done.stderr) == (4, True)


@pytest.mark.parametrize(
    ("faults", "code", "said"),
    [
        (["shifted"], 3, "the server sent another range of 'm' than it was asked for"),
        (["", "changed"], 3, "bytes on the server, where"),
        (["", "etag"], 3, "'m' changed while it was read"),
        (["changed"], 4, "1 bytes follow the last tensor"),
    ],
)
def test_answers_that_do_not_fit_are_refused(
    web: Files, person: Person, large: bytes, faults: list[str], code: int, said: str
) -> None:
    web.files = {"/m": large}
    web.faults = faults
    done = person.run("cwt", "id", f"{web.url}/m", check=False)
    assert (done.returncode, done.stdout, said in done.stderr) == (code, "", True), done.stderr


def test_what_is_not_there_is_told(web: Files, person: Person) -> None:
    done = person.run("cwt", "inspect", f"{web.url}/none.safetensors", check=False)
    assert (done.returncode, "cannot open 'none.safetensors'" in done.stderr) == (1, True), done.stderr
    done = person.run("cwt", "inspect", "http://127.0.0.1:9/m.safetensors", check=False)
    assert (done.returncode, "Connection refused" in done.stderr or "connection refused" in done.stderr) == (3, True)
