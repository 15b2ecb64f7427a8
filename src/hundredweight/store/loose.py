"""A clone's loose objects: `lfs/objects/aa/bb/OID`, git-lfs's own layout, so both programs share one store.

An object is under its name whole or not at all; its content was hashed on the way in. Reading does not verify
(as in git-lfs: a smudge trusts the store; `fsck` checks it). The empty object is never stored.
"""

from __future__ import annotations

import os

from hundredweight.base.files import AtomicFile, publish, temp_path
from hundredweight.base.ids import Oid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEX = "0123456789abcdef"


class LooseStore:
    """Objects below one `lfs` folder, and read-only in the `references` (alternates' object folders)."""

    def __init__(self, root: str, references: tuple[str, ...] = (), mode: int = 0o444) -> None:
        """`root` is the lfs folder (usually `.git/lfs`). `mode` is the permission bits of new objects before the umask."""
        self.root = root
        self.objects = os.path.join(root, "objects")
        self.temp = os.path.join(root, "tmp")
        self.incomplete = os.path.join(root, "incomplete")
        self.bad = os.path.join(root, "bad")
        self.references = references
        self.mode = mode

    def path(self, oid: Oid) -> str:
        """Where the object is or would be."""
        return os.path.join(self.objects, oid[:2], oid[2:4], oid)

    def size(self, oid: Oid) -> int:
        """Bytes of the stored object; -1 when it is not here. The empty object is always here."""
        try:
            return os.stat(self.path(oid)).st_size
        except FileNotFoundError:
            return -1

    def has(self, oid: Oid, size: int) -> bool:
        """Whether an object of that id and size is here, after looking in the references too."""
        if size == 0 or self.size(oid) == size:
            return True
        return bool(self.references) and self.adopt_reference(oid, size)

    def adopt_reference(self, oid: Oid, size: int) -> bool:
        """Hard-link (else copy) the object from a reference folder when one has it."""
        for folder in self.references:
            source = os.path.join(folder, oid[:2], oid[2:4], oid)
            if os.path.isfile(source) and os.stat(source).st_size == size:
                self._link_or_copy(source, oid)
                return True
        return False

    def file(self, oid: Oid) -> str:
        """The object as a file, for who must have one: to send it, to hand it to a program. It may not exist."""
        return self.path(oid)

    def writer(self, *, durable: bool = False) -> AtomicFile:
        """A temporary file in `tmp`; hash what you write, then `commit(store.path(oid))`."""
        return AtomicFile("", temp_folder=self.temp, mode=self.mode | 0o200, durable=durable)

    def adopt(self, temp: str, oid: Oid) -> None:
        """Publish a finished, verified file of the same file system as the object."""
        publish(temp, self.path(oid))

    def ids(self) -> Iterator[tuple[Oid, int]]:
        """Every stored object with its size, in order of id. Other files in the folders are passed over."""
        for first in _folders(self.objects):
            for second in _folders(os.path.join(self.objects, first)):
                with os.scandir(os.path.join(self.objects, first, second)) as entries:
                    for entry in sorted(entries, key=lambda item: item.name):
                        if len(entry.name) == 64 and entry.name.startswith(first + second):
                            yield Oid(entry.name), entry.stat().st_size

    def remove(self, oid: Oid) -> None:
        """Forget an object; harmless when it is not here."""
        try:
            os.unlink(self.path(oid))
        except FileNotFoundError:
            pass

    def _link_or_copy(self, source: str, oid: Oid) -> None:
        target = self.path(oid)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temp = temp_path(os.path.dirname(target))
        try:
            os.link(source, temp)
        except OSError:
            with self.writer() as copy, open(source, "rb") as reader:
                while chunk := reader.read(1 << 22):
                    copy.write(chunk)
                copy.commit(target)
            return
        os.replace(temp, target)


def _folders(path: str) -> list[str]:
    try:
        names = os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if len(name) == 2 and name[0] in HEX and name[1] in HEX)
