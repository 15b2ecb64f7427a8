"""Git objects that a rewrite makes, gathered in one pack: none is in the repository before `publish`, then all are.

git's own writers make one file an object (`mktree`, `hash-object`) or see commits as a series of changes (`fast-import`,
which loses headers that it does not know). A pack of plain entries keeps every byte, costs one file, and `git
index-pack` checks it on the way in.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib

from hundredweight.base.files import AtomicFile, read_chunks
from hundredweight.git.run import GitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.git.run import Git

_KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_HEADER = b"PACK" + struct.pack(">I", 2)


class NewObjects:
    """Use as a context: leaving it unpublished forgets everything. Holds names in memory, content on disk."""

    def __init__(self, git: Git, object_format: str, temp_folder: str) -> None:
        self._git = git
        self._format = object_format
        self._file = AtomicFile("", temp_folder=temp_folder)
        self._file.write(_HEADER + bytes(4))
        self._known: set[str] = set()

    def add(self, kind: str, data: bytes) -> str:
        """The object's name, as git will have it. The same object twice is one."""
        name = hashlib.new(self._format, b"%s %d\0" % (kind.encode(), len(data)) + data).hexdigest()
        if name not in self._known:
            self._known.add(name)
            self._file.write(_entry_header(_KINDS[kind], len(data)) + zlib.compress(data, 1))
        return name

    def publish(self) -> None:
        """Hand the pack to git. Raises `GitError` when git does not like it; then nothing was added."""
        if self._known:
            descriptor = self._file.descriptor
            os.pwrite(descriptor, struct.pack(">I", len(self._known)), len(_HEADER))
            self._file.write(self._checksum())
            os.lseek(descriptor, 0, os.SEEK_SET)
            with self._git.popen("index-pack", "--stdin", stdin=descriptor, stdout=-1, stderr=-1) as process:
                _, said = process.communicate()
            if process.returncode:
                raise GitError(("index-pack",), process.returncode, said.decode("utf-8", "replace").strip())

    def __enter__(self) -> NewObjects:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.abort()

    def _checksum(self) -> bytes:
        os.lseek(self._file.descriptor, 0, os.SEEK_SET)
        digest = hashlib.new(self._format)
        for chunk in read_chunks(self._file.descriptor):
            digest.update(chunk)
        return digest.digest()


def _entry_header(kind: int, size: int) -> bytes:
    """Type and size of a pack entry: three bits and four, then seven a byte, least first (gitformat-pack(5))."""
    byte = kind << 4 | size & 15
    size >>= 4
    header = bytearray()
    while size:
        header.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    header.append(byte)
    return bytes(header)
