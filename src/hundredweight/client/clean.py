"""From content to pointer: the content becomes an object of the local store, git gets the pointer.

What is a pointer already passes through unchanged, and so does the empty file. Content of up to one block is hashed in
line, larger content in a second thread, while this one reads and writes.
"""

from __future__ import annotations

import hashlib
import os

from hundredweight.base.ids import Oid
from hundredweight.base.trace import trace
from hundredweight.client.extensions import are_configured
from hundredweight.protocol.filter import Inbound
from hundredweight.protocol.pointer import CUTOFF, Pointer, try_parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from hundredweight.base.files import AtomicFile
    from hundredweight.client.workspace import Workspace

    class Source(Protocol):
        def read_block(self, frame: Inbound) -> tuple[int, bool]: ...


class Cleaner:
    """Cleans one content after another."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._frame = Inbound()
        self._extended = are_configured(workspace.git_config)
        self._wants_progress = bool(workspace.variables.get("GIT_LFS_PROGRESS"))

    def clean(self, source: Source, path: str) -> tuple[bytes, Pointer | None]:
        """What git should store for the content, and the pointer unless it was one already. `path`, below the work
        tree, may be unknown (empty). Raises `WriteError` and others; then `source` is not read to its end."""
        advance = self._progress(path) if self._wants_progress else None
        frame = self._frame
        length, ended = source.read_block(frame)
        if advance is not None:
            advance(length)
        if ended and length < CUTOFF and try_parse(bytes(frame.payload[:length])) is not None:
            return bytes(frame.payload[:length]), None
        if self._extended:
            pointer = self._store_extended(source, length, ended, path)
        else:
            pointer = self._store_block(length) if ended else self._store_stream(source, length, advance)
        return pointer.encode(), pointer

    def _progress(self, path: str) -> Callable[[int], None] | None:
        from hundredweight.client.copy_progress import open_progress  # noqa: PLC0415 - when GIT_LFS_PROGRESS asks

        try:
            size = os.stat(os.path.join(self._workspace.repository.work_tree, path)).st_size
        except OSError:
            return None
        return open_progress(self._workspace.variables, "clean", path, size)

    def _store_block(self, length: int) -> Pointer:
        data = self._frame.payload[:length]
        oid = Oid(hashlib.sha256(data).hexdigest())
        if not (self._known(oid, length) and self._is_whole(oid, data)):
            with self._store.writer() as target:
                target.write(data)
                target.commit(self._store.path(oid))
        return Pointer(oid, length)

    def _store_stream(self, source: Source, length: int, advance: Callable[[int], None] | None) -> Pointer:
        from hundredweight.client.hashing import HashThread  # noqa: PLC0415 - threading costs 3 ms, large files only

        with self._store.writer() as target, HashThread(Inbound) as hasher:
            frame, ended = self._frame, False
            while True:
                hasher.give(frame, length)
                target.write(frame.payload[:length])
                if ended:
                    break
                frame = hasher.take()
                length, ended = source.read_block(frame)
                if advance is not None:
                    advance(length)
            self._frame = frame
            pointer = Pointer(hasher.finish(), target.size)
            self._publish(target, pointer)
            return pointer

    def _store_extended(self, source: Source, length: int, ended: bool, path: str) -> Pointer:
        """By way of the extensions' programs, which cannot start before the pointer check."""
        from hundredweight.client.extension_pipe import clean_through  # noqa: PLC0415 - subprocess, for extensions only

        frame, digest = self._frame, hashlib.sha256()
        with self._store.writer() as spool:
            while True:
                digest.update(frame.payload[:length])
                spool.write(frame.payload[:length])
                if ended:
                    break
                length, ended = source.read_block(frame)
            content, pointer = clean_through(self._workspace, spool, Oid(digest.hexdigest()), path)
            with content:
                self._publish(content, pointer)
        return pointer

    def _publish(self, target: AtomicFile, pointer: Pointer) -> None:
        """A loose copy is replaced: it is the same bytes or damaged ones, and telling which costs reading it. Packs tell by
        themselves."""
        if not self._known(pointer.oid, pointer.size) or self._store.loose_size(pointer.oid) >= 0:
            target.commit(self._store.path(pointer.oid))

    def _is_whole(self, oid: Oid, data: memoryview) -> bool:
        """Whether the stored object, of the right size, has its own bytes still."""
        try:
            descriptor = os.open(self._store.path(oid), os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            return True  # in packs
        try:
            return os.read(descriptor, len(data)) == data
        finally:
            os.close(descriptor)

    def _known(self, oid: Oid, size: int) -> bool:
        """Whether the object is stored already. One of another size is damaged and gets replaced."""
        path = self._store.path(oid)
        known = self._store.size(oid) == size
        trace(f"{path} exists" if known else f"Writing {path}")
        return known
