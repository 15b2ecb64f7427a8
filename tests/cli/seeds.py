"""A repository on a hub with weights in it, and clones of it that have only pointers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tests.people import Person
from tests.running_hub import RunningHub

ATTRIBUTES = b"*.bin filter=lfs diff=lfs merge=lfs -text\n"


def weights(seed: str, size: int = 3000) -> bytes:
    """Content that is each time another's."""
    return hashlib.shake_128(seed.encode()).digest(size)


def oid_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Seed:
    """`folder` is the clone from which `files` were pushed, by `person`; `url` the remote, `name` OWNER/NAME there."""

    person: Person
    folder: Path
    url: str
    name: str
    files: dict[str, bytes]
    clones: int = 0

    def new_folder(self) -> Path:
        self.clones += 1
        return self.person.home / f"clone-{self.clones}"

    def pointers(self, person: Person | None = None) -> Path:
        """A new clone, without any object."""
        folder = self.new_folder() if person is None else person.home / "clone"
        (person or self.person).git("clone", "-q", self.url, str(folder), GIT_LFS_SKIP_SMUDGE="1")
        return folder


def plant(hub: RunningHub, home: Path, files: dict[str, bytes], name: str = "ann") -> Seed:
    """A new user, Git LFS installed, with a new repository on the hub that holds `files`."""
    person = hub.person(home, name)
    person.run("git", "lfs", "install")
    repository = hub.new_name()
    folder = person.repository("seed")
    person.commit(folder, {".gitattributes": ATTRIBUTES, **files}, "first")
    person.git("remote", "add", "origin", hub.remote(repository), cwd=folder)
    person.git("push", "-q", "-u", "origin", "main", cwd=folder)
    return Seed(person, folder, hub.remote(repository), repository, files)


def object_path(clone: Path, content: bytes) -> Path:
    oid = oid_of(content)
    return clone / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


def has(clone: Path, content: bytes) -> bool:
    return object_path(clone, content).is_file()
