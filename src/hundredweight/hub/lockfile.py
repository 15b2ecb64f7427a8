"""One hub for one data folder: a lock that the operating system drops with the process, however it ends."""

from __future__ import annotations

import fcntl
import os

from hundredweight.base.errors import CwtError
from hundredweight.base.files import open_append


class HubRunning(CwtError):
    """Another process serves this data folder."""

    hint = "stop that process first, or give this hub its own --data folder"


class DataLock:
    """Holds the lock from construction to `release`. The file names the process for whoever is refused."""

    def __init__(self, path: str) -> None:
        """Raises `HubRunning`, `OSError`."""
        self._descriptor = open_append(path, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise HubRunning(f"a hub with process id {holder or 'unknown'} serves '{os.path.dirname(path)}'") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Called once. The file stays: removing it would let two holders believe in two files of one name."""
        os.close(self._descriptor)
