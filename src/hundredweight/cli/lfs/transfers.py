"""What the commands that move objects share: their remote argument, and how they tell what did not move."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import EXIT_USAGE, CwtError, RemoteError
from hundredweight.git.refs import InvalidRemote, check_remote
from hundredweight.transfer.queue import ObjectRefused, distinct_errors
from hundredweight.transfer.server import BatchFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.base.progress import Meter
    from hundredweight.client.workspace import Workspace
    from hundredweight.transfer.queue import Failure

MAX_NAMED = 20


class CommandRefused(CwtError):
    """The command cannot do what was asked, for a reason that git-lfs has its own words for; they are the message."""

    exit_code = EXIT_USAGE


class NoCommitYet(CommandRefused):
    """There is nothing that HEAD could name."""

    hint = "make a first commit, or get the remote's: 'git pull REMOTE BRANCH'"

    def __init__(self, verb: str) -> None:
        super().__init__(f"Could not {verb}: HEAD has no commit yet")


def refuse(error: CwtError) -> int:
    """Print a message as it stands, as git-lfs does; gives the exit code."""
    sys.stderr.write(f"{error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
    return error.exit_code


def checked_remote(workspace: Workspace, name: str) -> str:
    """`name`, when it is a configured remote or a URL; of a path its URL. Raises `CommandRefused`."""
    for candidate in (name, local_url(name)):
        try:
            check_remote(workspace.config, candidate)
        except InvalidRemote as error:
            refused = error
        else:
            return candidate
    raise CommandRefused(f'Invalid remote name "{name}": {refused}', hint=refused.hint) from refused


def local_url(name: str) -> str:
    """The file:// URL of another repository on this machine, when `name` is the path to one; else `name`."""
    folder = os.path.abspath(name)
    if os.path.basename(folder) != ".git" and os.path.exists(os.path.join(folder, ".git")):
        folder = os.path.join(folder, ".git")
    return f"file://{folder}" if os.path.isdir(folder) else name


def report_failures(failures: Sequence[Failure]) -> None:
    """Each error once, with the files it concerns; then each hint once."""
    hints: dict[str, None] = {}
    for error in distinct_errors(failures):
        sys.stderr.write(f"{describe(error)}\n")
        items = [failure.item for failure in failures if failure.error is error]
        for item in items[:MAX_NAMED]:
            sys.stderr.write(f"  {item.path} ({item.oid})\n")
        if len(items) > MAX_NAMED:
            sys.stderr.write(f"  and {len(items) - MAX_NAMED} more\n")
        hints[error.hint] = None
    sys.stderr.writelines(f"hint: {hint}\n" for hint in hints if hint)


def describe(error: CwtError) -> str:
    """In git-lfs's words: what failed in moving one object, after it was tried as often as it may help, begins with `LFS:`."""
    plain = not isinstance(error, RemoteError) or isinstance(error, BatchFailed | ObjectRefused)
    return str(error) if plain else f"LFS: {error}"


class WholeMeter:
    """One line of progress for several rounds: `start` and `finish` of each round are taken together; `close` at the end."""

    def __init__(self, inner: Meter) -> None:
        self._inner = inner
        self._started = False

    def start(self, direction: str, files: int, size: int) -> None:
        if self._started:
            self._inner.add(files, size)
        else:
            self._started = True
            self._inner.start(direction, files, size)

    def add(self, files: int, size: int) -> None:
        self._inner.add(files, size)

    def begin(self, name: str, size: int) -> None:
        self._inner.begin(name, size)

    def advance(self, name: str, delta: int) -> None:
        self._inner.advance(name, delta)

    def done(self, name: str) -> None:
        self._inner.done(name)

    def failed(self, name: str) -> None:
        self._inner.failed(name)

    def finish(self) -> None:
        """More rounds may come."""

    def close(self) -> None:
        """No more rounds."""
        if self._started:
            self._inner.finish()
