"""A tour runs commands in a folder of its own, shows them as a user would type them, and checks what they did."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
WEIGHTS = "model.safetensors"
READY_SECONDS = 30.0
COUNTER = "cwt_hub_object_bytes_total"


class TourError(Exception):
    """A step did not do what it promises."""


class Tour:
    """Runs commands in a folder of its own; keeps the seconds of named ones, the bytes that moved, and what services served."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self.moved: dict[str, int] = {}
        self.served: list[str] = []
        self.hub = ""
        home = folder / "home"
        home.mkdir()
        keep = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        self.env = {
            **keep,
            "HOME": str(home),
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "XDG_CONFIG_HOME": str(home / ".config"),
        }

    def step(self, title: str) -> None:
        print(f"\n== {title}", flush=True)

    def run(
        self, command: str, where: str = ".", name: str = "", show: bool = True, code: int = 0, **variables: str
    ) -> str:
        """Run a shell command line; its output is shown indented and returned. `name` records its seconds, `code` is how it must
        end."""
        prompt = f"{where} $" if where != "." else "$"
        print(f"{prompt} {command}", flush=True)
        begin = time.perf_counter()
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder / where,
            env={**self.env, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if name:
            self.seconds[name] = time.perf_counter() - begin
        lines = [line.rpartition("\r")[2] for line in done.stdout.rstrip().split("\n") if line.strip()]
        for line in lines if show or done.returncode != code else ():
            print(f"    {line}")
        if done.returncode != code:
            raise TourError(f"'{command}' ended with exit code {done.returncode}")
        if code:
            print(f"    -> exit code {code}")
        return done.stdout

    def transfer(
        self, name: str, command: str, where: str, bound: float, *, objects: int = 1, clone: bool = False
    ) -> None:
        """Run a push, pull or clone of so many versions, and say how many bytes of weights went over the wire, by
        the hub's own count. Raises TourError when it is more than the share `bound` of their size."""
        moved = self.count(name, command, "." if clone else where)
        whole = objects * (self.folder / where / WEIGHTS).stat().st_size
        many = "" if objects == 1 else f" of {objects} versions"
        print(f"    -> {moved:,} bytes of weights went over the wire, for {whole:,}{many}: {moved / whole:.1%}")
        if not 0 < moved <= bound * whole:
            raise TourError(f"'{command}' moved {moved} bytes, expected up to {bound:.0%} of {whole}")

    def count(self, name: str, command: str, where: str = ".") -> int:
        """Run a command, and give how many bytes of weights went over the wire for it."""
        before = self._counted()
        self.run(command, where, name=name)
        self.moved[name] = self._counted() - before
        return self.moved[name]

    def _counted(self) -> int:
        """Bytes of objects that the hub has received and sent, by its /metrics."""
        with urllib.request.urlopen(f"{self.hub}/metrics", timeout=10) as response:
            text = response.read().decode()
        found = re.findall(rf"^{COUNTER}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
        return sum(int(float(value)) for value in found)

    @contextmanager
    def service(self, command: str, where: str = ".") -> Iterator[str]:
        """A server that prints `listening on URL` when it is ready; ended by SIGTERM, its folder's log kept."""
        print(f"{where + ' ' if where != '.' else ''}$ {command} &", flush=True)
        log = self.folder / f"{shlex.split(command)[1].replace('/', '_')}-{len(os.listdir(self.folder))}.log"
        with log.open("wb") as out:
            server = subprocess.Popen(
                shlex.split(command), cwd=self.folder / where, env=self.env, stdout=out, stderr=out
            )
        try:
            yield self._wait_until_ready(server, log)
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(READY_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                raise TourError(f"'{command}' did not stop within {READY_SECONDS:.0f} s of SIGTERM") from None

    def _wait_until_ready(self, server: subprocess.Popen[bytes], log: Path) -> str:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            found = re.search(r"listening on (http://\S+)", log.read_text(errors="replace"))
            if found:
                print(f"    {found.group(0)}")
                return found.group(1).rstrip("/")
            if server.poll() is not None:
                break
            time.sleep(0.05)
        raise TourError(f"a server did not start:\n{log.read_text(errors='replace')}")

    def sha256(self, path: str) -> str:
        return hashlib.sha256((self.folder / path).read_bytes()).hexdigest()


def ask(url: str, path: str) -> dict[str, object]:
    """One request to the app, shown as the curl call that it stands for."""
    if path == "/predict":
        row = (ROOT / "examples/digits/data/test.csv").read_text().splitlines()[1].split(",")
        body = json.dumps({"pixels": [int(float(value)) for value in row[:64]]}).encode()
        print(f"$ curl --data-binary @digit.json {url}{path}")
    else:
        body = None
        print(f"$ curl {url}{path}")
    request = urllib.request.Request(url + path, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, object] = json.load(response)
    print(f"    {json.dumps(answer)}", flush=True)
    return answer


def serve_and_ask(tour: Tour, where: str, expected_sha256: str) -> None:
    """Start the app from a clone, and prove that what answers is what was committed."""
    with tour.service(f"python app.py --weights {WEIGHTS} --port 0", where) as url:
        version = ask(url, "/version")
        if version["sha256"] != expected_sha256:
            raise TourError(f"the app serves {version['sha256']}, expected {expected_sha256}")
        ask(url, "/predict")


def require_equal(tour: Tour, *paths: str) -> str:
    """Show and compare the SHA-256 of files."""
    digests = {path: tour.sha256(path) for path in paths}
    print(f"$ sha256sum {' '.join(paths)}")
    for path, digest in digests.items():
        print(f"    {digest}  {path}")
    if len(set(digests.values())) != 1:
        raise TourError("the files differ")
    return next(iter(digests.values()))
