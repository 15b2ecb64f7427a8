"""What this clone knows of locks without asking: the user's own, and the last full answers of the server.

`lfs/cache/locks/REF/{remote,verifiable}` are git-lfs's own files in its own format. Own locks are kept beside them in
`own.json`: git-lfs has them in `lockcache.db`, an encoding of Go's that nobody else writes safely.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.base.files import write_file
from hundredweight.base.trace import trace
from hundredweight.protocol.locks import Lock, LockList, VerifyLocksResponse
from hundredweight.protocol.message import BadMessage

if TYPE_CHECKING:
    from collections.abc import Iterable


class NothingCached(CwtError):
    """No full answer of the server was kept for this ref."""

    hint = "run 'git lfs locks' without '--cached' once"

    def __init__(self) -> None:
        super().__init__("no cached locks present")


class LockCache:
    """The files below one `lfs` folder. Written atomically; a damaged file counts as absent."""

    def __init__(self, lfs_folder: str) -> None:
        self._folder = os.path.join(lfs_folder, "cache", "locks")
        self._own_path = os.path.join(self._folder, "own.json")

    def own(self) -> list[Lock]:
        """The locks that the user took from this clone, by path."""
        try:
            return sorted(LockList.parse(_read(self._own_path)).locks, key=lambda lock: lock.path)
        except FileNotFoundError:
            return []
        except BadMessage as error:
            trace(f"damaged lock cache: {error}")
            return []

    def own_paths(self) -> set[str]:
        return {lock.path for lock in self.own()}

    def add(self, lock: Lock) -> None:
        self.replace([*(known for known in self.own() if known.path != lock.path), lock])

    def remove(self, lock_id: str) -> None:
        known = self.own()
        kept = [lock for lock in known if lock.id != lock_id]
        if len(kept) != len(known):
            self.replace(kept)

    def replace(self, locks: Iterable[Lock]) -> None:
        """All own locks are these."""
        write_file(self._own_path, LockList(tuple(locks)).encode())

    def keep_list(self, ref: str, locks: Iterable[Lock]) -> None:
        """The server's whole list for `ref`."""
        write_file(self._path(ref, "remote"), json.dumps([lock.fields() for lock in locks]).encode() + b"\n")

    def keep_verifiable(self, ref: str, ours: Iterable[Lock], theirs: Iterable[Lock]) -> None:
        write_file(self._path(ref, "verifiable"), VerifyLocksResponse(tuple(ours), tuple(theirs)).encode() + b"\n")

    def kept_list(self, ref: str) -> list[Lock]:
        """Raises `NothingCached`, `BadMessage`."""
        data = self._kept(ref, "remote")
        return list(LockList.parse(b'{"locks":' + data + b"}").locks)

    def kept_verifiable(self, ref: str) -> tuple[list[Lock], list[Lock]]:
        """Ours and theirs. Raises `NothingCached`, `BadMessage`."""
        answer = VerifyLocksResponse.parse(self._kept(ref, "verifiable"))
        return list(answer.ours), list(answer.theirs)

    def _kept(self, ref: str, kind: str) -> bytes:
        try:
            return _read(self._path(ref, kind))
        except FileNotFoundError as error:
            raise NothingCached from error

    def _path(self, ref: str, kind: str) -> str:
        return os.path.join(self._folder, *(part for part in ref.split("/") if part not in ("", ".", "..")), kind)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
