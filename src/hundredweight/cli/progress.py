"""How far transfers are: one line on the terminal in git-lfs's own format, and lines in the file that GIT_LFS_PROGRESS names.

`Downloading LFS objects:  50% (1/2), 3.2 MB | 1.6 MB/s`, redrawn at most every 200 ms where somebody watches; its last state,
with `, done.`, always. The file gets `download 1/2 3200/6400 path` for each piece that moved.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

from hundredweight.base.files import open_append
from hundredweight.base.sizes import format_size
from hundredweight.client.settings import Settings

if TYPE_CHECKING:
    from typing import TextIO

    from hundredweight.cli.env import Environment
    from hundredweight.git.config import Config

_TITLES = {
    "download": "Downloading LFS objects",
    "upload": "Uploading LFS objects",
    "checkout": "Checking out LFS objects",
}
_INTERVAL = 0.2


class TransferMeter:
    """A `base.progress.Meter`. May be started again after `finish`, for a second round in the same command."""

    def __init__(self, out: TextIO, *, live: bool, log: int | None = None) -> None:
        """`live`: somebody watches `out`. `log` is a descriptor to append lines to; it is closed by `finish`."""
        self._out = out
        self._live = live
        self._log = log
        self._lock = threading.RLock()
        self._reset("")

    def start(self, direction: str, files: int, size: int) -> None:
        with self._lock:
            self._reset(direction)
            self.add(files, size)

    def add(self, files: int, size: int) -> None:
        del size  # the line shows bytes that moved, not bytes to come
        with self._lock:
            self._files += files
            self._draw()

    def begin(self, name: str, size: int) -> None:
        with self._lock:
            self._number(name)
            self._sizes[name] = size

    def advance(self, name: str, delta: int) -> None:
        with self._lock:
            self._bytes += delta
            self._sample += delta
            self._done_of[name] = self._done_of.get(name, 0) + delta
            self._measure()
            if delta > 0:
                self._write_log(name)
            self._draw()

    def done(self, name: str) -> None:
        del name
        with self._lock:
            self._finished += 1
            self._draw()

    def failed(self, name: str) -> None:
        del name
        with self._lock:
            self._draw()

    def finish(self) -> None:
        with self._lock:
            if self._files:
                self._out.write(f"{self._text()}, done.\n")
                self._out.flush()
            if self._log is not None:
                os.close(self._log)
                self._log = None
            self._reset("")

    def _reset(self, direction: str) -> None:
        self._direction = direction
        self._files = self._finished = self._bytes = self._sample = 0
        self._average = 0.0
        self._samples = 0
        self._sampled = time.monotonic()
        self._drawn = 0.0
        self._numbers: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._done_of: dict[str, int] = {}

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers) + 1)

    def _measure(self) -> None:
        """The running mean over samples of a second or more."""
        elapsed = time.monotonic() - self._sampled
        if elapsed > 1:
            self._average = (self._average * self._samples + self._sample / elapsed) / (self._samples + 1)
            self._samples += 1
            self._sample = 0
            self._sampled = time.monotonic()

    def _write_log(self, name: str) -> None:
        if self._log is None:
            return
        done = self._done_of[name]
        place = f"{self._direction} {self._number(name)}/{self._files} {done}/{self._sizes.get(name, done)}"
        try:
            os.write(self._log, os.fsencode(f"{place} {name}\n"))
        except OSError:
            # Progress is a courtesy: a full disk or a closed pipe there must not end the transfer.
            os.close(self._log)
            self._log = None

    def _draw(self) -> None:
        now = time.monotonic()
        if self._live and self._files and now - self._drawn >= _INTERVAL:
            self._drawn = now
            self._out.write(self._text().ljust(shutil.get_terminal_size().columns) + "\r")
            self._out.flush()

    def _text(self) -> str:
        percent = 100 * self._finished / self._files
        rate = format_size(math.ceil(max(0.0, self._average)))
        counts = f"{percent:3.0f}% ({self._finished}/{self._files}), {format_size(max(0, self._bytes))} | {rate}/s"
        return f"{_TITLES.get(self._direction, self._direction)}: {counts}"


def open_meter(environment: Environment, config: Config) -> TransferMeter:
    """The meter of a command: on stdout, as scripts that read git-lfs expect; drawn on the way while that is a terminal or
    progress is forced (GIT_LFS_FORCE_PROGRESS)."""
    settings = Settings(config, environment.variables)
    return TransferMeter(sys.stdout, live=sys.stdout.isatty() or settings.force_progress, log=_open_log(environment))


def _open_log(environment: Environment) -> int | None:
    path = environment.get("GIT_LFS_PROGRESS")
    if not path:
        return None
    if not os.path.isabs(path):
        sys.stderr.write("Error creating progress logger: GIT_LFS_PROGRESS must be an absolute path\n")
        return None
    try:
        descriptor = open_append(path)
        os.lseek(descriptor, 0, os.SEEK_END)
    except OSError as error:
        sys.stderr.write(f"Error creating progress logger: {error}\n")
        return None
    return descriptor
