"""Pointer files that content took the place of, to be written over for the next file in place of a new one.

A new file needs a new inode, and the pointer that it replaces leaves one free. ext4 passes over inodes that were freed within the
last minutes one by one whenever it needs a new one, and writes a file out at once that is renamed over another: so thousands
of small files, and large ones, are written faster where the two change places and the pointer's inode serves again.
"""

from __future__ import annotations

import os
import stat
import threading

from hundredweight.base.exchange import find_exchange
from hundredweight.base.files import AtomicFile, WriteError
from hundredweight.protocol.pointer import CUTOFF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.protocol.pointer import Pointer


class Spares:
    """Of one run; for any number of threads. What is left is removed by `close`; of a killed run, with all that is old in
    lfs/tmp."""

    def __init__(self, folder: str) -> None:
        """`folder` is lfs/tmp."""
        self._folder = folder
        self._exchange = find_exchange()
        self._lock = threading.Lock()
        self._paths: list[str] = []

    def open(self, path: str, temp_folder: str, pointer: Pointer) -> AtomicFile:
        """A file for the object of `pointer`, to replace that. Raises `WriteError`."""
        # Content longer than any pointer covers all that is in a spare one.
        fits = pointer.size >= CUTOFF and not pointer.extensions and temp_folder == self._folder
        with self._lock:
            spare = self._paths.pop() if fits and self._paths else ""
        if spare:
            try:
                return AtomicFile(path, reuse=spare)
            except WriteError:
                # Not ours to write, or cleaned up by somebody.
                _remove(spare)
        return AtomicFile(path, temp_folder=temp_folder, mode=0o600)

    def commit(self, file: AtomicFile, pointer: os.stat_result) -> None:
        """Publish it in place of the pointer file of which the system said that. Raises `WriteError`."""
        left = file.exchange(self._exchange)
        if not left:
            file.commit()
            return
        info = os.lstat(left)
        # A second name of the file would show what is written to it next.
        same = stat.S_ISREG(info.st_mode) and info.st_ino == pointer.st_ino and info.st_size < CUTOFF
        if same and info.st_nlink == 1 and os.path.dirname(left) == self._folder:
            with self._lock:
                self._paths.append(left)
        else:
            _remove(left)

    def close(self) -> None:
        while self._paths:
            _remove(self._paths.pop())


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
