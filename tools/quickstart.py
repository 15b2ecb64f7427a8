"""`make quickstart`: the main job end to end, on real weights, with the hub of this package on a free port.

Each command is printed as a user would type it, then run for real; a command that fails ends the tour with its
output. Everything happens in one temporary folder with a home of its own, which is removed at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
WEIGHTS = "model.safetensors"
READY_SECONDS = 30.0


class TourError(Exception):
    """A step did not do what it promises."""


class Tour:
    """Runs commands in a folder of its own; keeps the seconds of each titled step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}
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

    def run(self, command: str, where: str = ".", name: str = "", show: bool = True, **variables: str) -> str:
        """Run a shell command line; its output is shown indented and returned. `name` records its seconds."""
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
        for line in lines if show or done.returncode else ():
            print(f"    {line}")
        if done.returncode:
            raise TourError(f"'{command}' ended with exit code {done.returncode}")
        return done.stdout

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


def first_version(tour: Tour, hub: str) -> str:
    tour.step("Version 1: train, track the weights, commit, push, tag")
    shutil.copytree(
        ROOT / "examples/digits", tour.folder / "work", ignore=shutil.ignore_patterns("__pycache__", ".*_cache")
    )
    tour.run("git init -b main && git lfs install --local", "work")
    tour.run('git lfs track "*.safetensors"', "work")
    tour.run(f"python train.py --out {WEIGHTS}", "work", name="train version 1")
    tour.run('git add . && git commit -q -m "Train digits"', "work", name="add and commit version 1")
    tour.run(f"git cat-file -p HEAD:{WEIGHTS}", "work")
    tour.run(f"git remote add origin {hub}/team/digits.git && git push -q origin main", "work", name="push version 1")
    tour.run(f"git config lfs.{hub}/team/digits.git/info/lfs.locksverify true", "work")
    tour.run('git tag -a v1 -m "First digits" && git push -q origin v1', "work")
    return tour.sha256(f"work/{WEIGHTS}")


def second_version(tour: Tour) -> str:
    tour.step("Version 2: fine-tune, commit, push")
    tour.run(
        f"python train.py --init {WEIGHTS} --shift 1 --epochs 10 --out {WEIGHTS}", "work", name="fine-tune version 2"
    )
    tour.run('git commit -q -a -m "Fine-tune digits on shifted images"', "work", name="commit version 2")
    tour.run("git push -q origin main", "work", name="push version 2")
    return tour.sha256(f"work/{WEIGHTS}")


def sign_in(tour: Tour, hub: str) -> None:
    """Hand the admin token to git, as a user answers git's question for a password once."""
    tour.run(
        'git config --global user.name "Ada" && git config --global user.email ada@example.com && '
        "git config --global credential.helper store && git config --global advice.detachedHead false"
    )
    host = hub.removeprefix("http://")
    account = f"protocol=http\\nhost={host}\\nusername=admin\\npassword=%s\\n"
    tour.run(f"printf '{account}' \"$(cat hub/admin-token)\" | git credential approve")


def walk(tour: Tour, stack: ExitStack) -> None:
    tour.step("A hub: Git over HTTP, Git LFS and tokens in one process, data in one folder")
    hub = stack.enter_context(tour.service("cwt hub serve --data hub --port 0"))
    sign_in(tour, hub)
    first = first_version(tour, hub)

    tour.step("A colleague clones: real weights, not pointers, and the bytes are the same")
    tour.run(f"cwt clone {hub}/team/digits.git app", name="clone")
    require_equal(tour, f"work/{WEIGHTS}", f"app/{WEIGHTS}")
    serve_and_ask(tour, "app", first)

    second = second_version(tour)
    tour.step("The clone follows with plain git")
    tour.run("git pull -q", "app", name="pull version 2")
    require_equal(tour, f"work/{WEIGHTS}", f"app/{WEIGHTS}")
    serve_and_ask(tour, "app", second)

    tour.step("Back to what the tag v1 names: one command, nothing downloaded")
    tour.run("git checkout -q v1 && git status --short --branch", "app", name="go back to v1")
    if tour.sha256(f"app/{WEIGHTS}") != first:
        raise TourError("the checkout of v1 is not what was committed as v1")
    serve_and_ask(tour, "app", first)
    tour.step("What is where")
    tour.run("git lfs ls-files --size", "app")
    tour.run("git lfs fsck", "app")
    tour.run("cwt hub stats --data hub")


def summarize(tour: Tour, seconds: float) -> None:
    size = (tour.folder / "app" / WEIGHTS).stat().st_size
    local = sum(path.stat().st_size for path in (tour.folder / "app/.git/lfs/objects").rglob("*") if path.is_file())
    hub = sum(path.stat().st_size for path in (tour.folder / "hub").rglob("*") if path.is_file())
    print("\n== Summary")
    for name, took in tour.seconds.items():
        print(f"{name:<28} {took:6.2f} s")
    print(f"{'all, servers included':<28} {seconds:6.2f} s")
    print(f"{'one version of the weights':<28} {size / 1e6:6.1f} MB")
    print(f"{'weights kept in the clone':<28} {local / 1e6:6.1f} MB   app/.git/lfs/objects")
    print(f"{'the hub, all included':<28} {hub / 1e6:6.1f} MB   hub/")
    print("\nquickstart: success; everything was in a temporary folder, which is gone now")


def main() -> int:
    begin = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="cwt-quickstart-"))
    tour = Tour(folder)
    try:
        with ExitStack() as stack:
            walk(tour, stack)
        summarize(tour, time.perf_counter() - begin)
    except TourError as error:
        print(f"\nquickstart: failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
