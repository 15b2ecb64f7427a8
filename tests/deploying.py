"""A model with releases, somebody who deploys them, and what a target must be at any time."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.people import Person
from tests.store.weights import arrays, fine_tuned, safetensors_of

MODEL = "model.safetensors"
CONFIG = "config.json"
# Says which version it is, and stays.
SERVICE = 'printf %s "$CWT_VERSION" >"$CWT_TARGET.alive"; exec sleep 600'
HEALTH = 'test "$(cat "$CWT_TARGET.alive")" = "$CWT_VERSION"'


class Releases:
    """A repository whose commits are tagged `model@v1.N.0`; `files` are those of each, by name."""

    def __init__(self, person: Person, rows: int = 300) -> None:
        self.person = person
        self.folder = person.repository("work")
        self.files: dict[str, dict[str, bytes]] = {}
        self._tensors = arrays(1, rows)
        person.run("cwt", "init", cwd=self.folder)

    def add(self, **more: bytes) -> str:
        """The next release's name."""
        number = len(self.files) + 1
        self._tensors = fine_tuned(self._tensors, number, 1e-5)
        name = f"model@v1.{number}.0"
        files = {MODEL: safetensors_of(self._tensors), CONFIG: b'{"release": "%s"}' % name.encode(), **more}
        self.person.commit(self.folder, files, f"Train {name}")
        self.person.git("tag", "-a", "-m", "release", name, cwd=self.folder)
        self.files[name] = files
        return name

    def assign(self, name: str, stage: str, number: int) -> None:
        self.person.git("tag", "-a", "-m", "assign", f"model#{stage}#{number}", f"{name}^{{}}", cwd=self.folder)


class Site:
    """A target, and somebody who deploys to it."""

    def __init__(self, person: Person, source: str, name: str = "live") -> None:
        self.person = person
        self.source = source
        self.folder = person.home / name

    def deploy(self, ref: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        mark = "" if ref.startswith("#") else "@"
        return self.run("deploy", f"{self.source}{mark}{ref}", "--to", str(self.folder), *options, check=check)

    def rollback(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("rollback", "--to", str(self.folder), *options, check=check)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.person.run("cwt", *command, check=check)

    @property
    def told(self) -> dict[str, Any]:
        """All that `cwt deployments --json` knows."""
        found: dict[str, Any] = json.loads(self.run("deployments", str(self.folder), "--json").stdout)
        return found

    @property
    def states(self) -> list[tuple[str, str]]:
        """What was deployed, and what became of it."""
        return [(one["what"]["release"], one["state"]) for one in self.told["deployments"]]

    @property
    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in (self.folder / "journal.jsonl").read_bytes().splitlines()]

    @property
    def current(self) -> str:
        link = self.folder / "current"
        return os.path.basename(os.readlink(link)) if link.is_symlink() else ""

    def content(self, path: str) -> bytes:
        return (self.folder / "current" / path).read_bytes()

    def leftovers(self) -> list[str]:
        """Names that no finished command leaves."""
        hidden = [name for name in os.listdir(self.folder / "versions") if name.startswith(".")]
        return hidden + [name for name in os.listdir(self.folder) if name.startswith(("tmp-", "current-"))]

    def services(self) -> list[int]:
        """Processes that run for this target, by what they were started with."""
        mark = f"CWT_TARGET={self.folder}".encode()
        found = []
        for name in os.listdir("/proc"):
            try:
                variables = Path(f"/proc/{name}/environ").read_bytes() if name.isdigit() else b""
            except OSError:
                continue
            if mark in variables.split(b"\0"):
                found.append(int(name))
        return found

    def end_services(self) -> None:
        for pid in self.services():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Reader:
    """Reads two files through `current` all the time; `faults` tells each time that they were not one whole version. Use as a
    context; it begins when there is a version."""

    def __init__(self, site: Site, files: dict[str, dict[str, bytes]]) -> None:
        self.site = site
        self.versions = files
        self._models = {content[MODEL] for content in files.values()}
        self.reads = 0
        self.seen: set[str] = set()
        self.faults: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._over.is_set():
            try:
                self._once()
            except OSError as error:
                self.faults.append(repr(error))
            # The two cores are for the deployment.
            time.sleep(0.002)

    def _once(self) -> None:
        folder = os.open(self.site.folder / "current", os.O_RDONLY | os.O_DIRECTORY)
        try:
            config, model = (_content(folder, name) for name in (CONFIG, MODEL))
        finally:
            os.close(folder)
        name = json.loads(config)["release"]
        self.reads += 1
        if (self.site.folder / "current" / MODEL).read_bytes() not in self._models:
            self.faults.append("by its whole path the model is none that there is")
        self.seen.add(name)
        if model != self.versions[name][MODEL]:
            self.faults.append(f"{name}: the model is of another version")


def _content(folder: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
    with open(descriptor, "rb") as file:
        return file.read()
