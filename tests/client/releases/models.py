"""A repository with a small model, for tests of releases."""

from __future__ import annotations

import atexit
import json
import shutil
import struct
import tempfile
from functools import cache
from pathlib import Path

from hundredweight.client.workspace import Workspace, open_workspace
from hundredweight.git.run import Git
from tests.people import Person

SETTINGS = """[model]
name = "digits"
weights = ["model.safetensors"]
[data]
paths = ["data"]
version = "v1.0"
[experiment]
metrics = ["metrics.json"]
parameters = ["params.toml"]
environment = "requirements.txt"
"""
FILES = {
    ".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n",
    "data/train.csv": b"1,2\n",
    "params.toml": b"lr = 1e-3\n",
    "requirements.txt": b"numpy==2.0.0\n",
}


def safetensors(**tensors: list[float]) -> bytes:
    """A file of F32 vectors."""
    head: dict[str, object] = {}
    body = b""
    for name, values in tensors.items():
        data = struct.pack(f"<{len(values)}f", *values)
        head[name] = {"dtype": "F32", "shape": [len(values)], "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + body


@cache
def _prepared() -> Path:
    """What all of them begin with, made once a process."""
    home = Path(tempfile.mkdtemp(prefix="models-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    person = Person("ada", home)
    folder = person.repository("repo")
    person.run("git", "lfs", "install", "--local", cwd=folder)
    for path, content in FILES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


class Repository:
    """A clone whose `model.safetensors` goes through LFS."""

    def __init__(self, home: Path, settings: str = SETTINGS) -> None:
        self.person = Person("ada", home)
        self.folder = home / "repo"
        self.git = Git(str(self.folder), self.person.env)
        shutil.copytree(_prepared(), self.folder, symlinks=True)
        self.write({"hundredweight.toml": settings.encode()})
        self.train(0.9)

    @property
    def workspace(self) -> Workspace:
        return open_workspace(self.git, self.person.env)

    def write(self, files: dict[str, bytes]) -> None:
        for path, content in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(content)

    def train(self, accuracy: float) -> str:
        """Other weights with that accuracy, committed."""
        metrics = json.dumps({"test_acc": accuracy, "val_loss": 1 - accuracy}).encode()
        self.write({"model.safetensors": safetensors(w=[accuracy, 2.0, 3.0], b=[0.0]), "metrics.json": metrics})
        return self.person.commit(self.folder, message=f"Train to {accuracy}")

    def cwt(self, *args: str, check: bool = True, **variables: str) -> str:
        """stdout; with `check` off stdout and stderr together."""
        done = self.person.run("cwt", *args, cwd=self.folder, check=check, **variables)
        return done.stdout if check else done.stdout + done.stderr

    def snapshot(self) -> tuple[str, str, str]:
        """All that a refused command must not change: refs, HEAD, status."""
        return (
            self.person.git("for-each-ref", cwd=self.folder),
            self.person.git("rev-parse", "HEAD", cwd=self.folder),
            self.person.git("status", "--porcelain", cwd=self.folder),
        )
