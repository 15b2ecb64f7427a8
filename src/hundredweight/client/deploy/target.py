"""The folder that deployments go to: where its parts are, the lock that holds it, and the switch of `current`."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hundredweight.base.errors import LocalError, UsageError
from hundredweight.base.files import WriteError, fsync_folder, make_folders, open_append, temp_path
from hundredweight.base.trace import trace

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL = 0.1
UNFINISHED = "."
"""What the names of folders begin with that are being written or removed."""
_OWN = frozenset(("current", "lock", "logs", "reserve", "service.json", "store", "versions"))
_TEMPORARY = ("tmp-", "current-")


class TargetBusy(LocalError):
    """Another command changes the target; at most one may at a time. Nothing was done."""

    def __init__(self, folder: str, holder: str) -> None:
        by = f" by {holder}" if holder else ""
        super().__init__(
            f"'{folder}' is being changed{by}",
            hint="run the command again when that has ended, or let it wait with '--wait SECONDS'",
        )
        self.folder = folder
        self.holder = holder


class NotATarget(UsageError):
    """The folder cannot be deployed to, or nothing was ever deployed there."""


class Target:
    """`folder` is absolute. Made by `prepare`, under whose names nothing else may stand."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        self.versions = os.path.join(self.folder, "versions")
        self.logs = os.path.join(self.folder, "logs")
        self.store = os.path.join(self.folder, "store")
        self.journal = os.path.join(self.folder, "journal.jsonl")
        self.service = os.path.join(self.folder, "service.json")
        self.link = os.path.join(self.folder, "current")
        self._lock = os.path.join(self.folder, "lock")

    @property
    def exists(self) -> bool:
        """Whether anything was ever deployed there."""
        return os.path.exists(self.journal)

    def prepare(self) -> None:
        """Make the folder. Raises `NotATarget` where it holds something else."""
        if not self.exists and os.path.isdir(self.folder):
            other = [name for name in os.listdir(self.folder) if name not in _OWN]
            if other:
                raise NotATarget(
                    f"'{self.folder}' holds files that no deployment made, such as '{sorted(other)[0]}'",
                    hint="name an empty or a new folder with '--to DIR'",
                )
        try:
            for folder in (self.versions, self.logs, self.store):
                make_folders(folder, durable=True)
            # The source's URL is in there, maybe with a password.
            os.chmod(self.store, 0o700)
        except OSError as error:
            raise WriteError(self.folder, error) from error

    @contextmanager
    def lock(self, holder: str, wait: float = 0.0) -> Iterator[int]:
        """Hold the target, as `holder` in words; a command that is killed holds it no longer. Gives the descriptor: a
        service that is
        about to start takes it along (`service`), nobody else, as there are children of git that stay for long. Raises
        `TargetBusy` after `wait` seconds."""
        try:
            descriptor = open_append(self._lock, 0o644)
        except OSError as error:
            raise WriteError(self._lock, error) from error
        try:
            end = time.monotonic() + wait
            while not _try_lock(descriptor):
                if time.monotonic() >= end:
                    raise TargetBusy(self.folder, _holder(descriptor))
                time.sleep(POLL)
            _name_holder(descriptor, f"{holder} (process {os.getpid()})")
            yield descriptor
        finally:
            os.close(descriptor)

    def path(self, name: str) -> str:
        """The folder of a version."""
        return os.path.join(self.versions, name)

    def log(self, name: str) -> str:
        """What the service said while that version was current."""
        return os.path.join(self.logs, f"{name}.log")

    def names(self) -> list[str]:
        """The versions that are here whole."""
        return sorted(name for name in _listed(self.versions) if not name.startswith(UNFINISHED))

    def next_number(self, told: int) -> int:
        """Of the next deployment; `told` is what the journal says. Versions stay when a journal is lost."""
        heads = [name.partition("-")[0] for name in self.names()]
        return max([told, *(int(head) + 1 for head in heads if head.isdigit())])

    def current(self) -> str:
        """The version that is served; empty when there is none. Raises `NotATarget` where something else has that name."""
        try:
            return os.path.basename(os.readlink(self.link))
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise NotATarget(
                f"'{self.link}' is no symbolic link", hint="move it away, then run the command again"
            ) from error

    def switch(self, name: str) -> None:
        """Make that version the current one, in one step: who opens `current` finds the old or the new. Empty: none is. Raises
        `WriteError`; then nothing has changed."""
        try:
            if name:
                temp = temp_path(self.folder, "current")
                os.symlink(os.path.join("versions", name), temp)
                os.replace(temp, self.link)
            elif os.path.islink(self.link):
                os.unlink(self.link)
            fsync_folder(self.folder)
        except OSError as error:
            raise WriteError(self.link, error) from error

    def sweep(self) -> None:
        """Remove what killed commands left. Call with the lock held."""
        for name in _listed(self.versions):
            if name.startswith(UNFINISHED):
                remove_tree(self.path(name))
        for name in _listed(self.folder):
            if name.startswith(_TEMPORARY):
                os.unlink(os.path.join(self.folder, name))

    def drop(self, name: str) -> None:
        """Remove a version with its log. Killed in the middle it is no version any more."""
        gone = self.path(f"{UNFINISHED}gone-{name}")
        try:
            os.rename(self.path(name), gone)
            remove_tree(gone)
            os.unlink(self.log(name))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise WriteError(error.filename or self.path(name), error) from error


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it, read-only folders too; symbolic links are not followed. Harmless when it is not
    there. Raises `OSError`."""
    try:
        entries = list(os.scandir(_writable(path)))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(path)


def _writable(path: str) -> str:
    mode = stat.S_IMODE(os.lstat(path).st_mode)
    if not mode & 0o200:
        os.chmod(path, mode | 0o700)
    return path


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 1000, 0).decode("utf-8", "replace").strip()


def _name_holder(descriptor: int, text: str) -> None:
    """For the message that another command prints; a full disk must not keep this one from going on."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode() + b"\n", 0)
    except OSError as error:
        trace(f"cannot name the holder of the lock: {error}")
