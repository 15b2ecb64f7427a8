"""Steps of long work on stderr, in git-lfs's own form: `Sorting commits: ..., done.`, `Rewriting commits: 100% (3/3), done.`

Each step ends with its `, done.` line, always; how it gets there is drawn on one line only where somebody watches.
"""

from __future__ import annotations

import math
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_INTERVAL = 0.2


class Tasks:
    """One step after another; starting the next, or `finish`, ends the current one."""

    def __init__(self, out: TextIO, *, live: bool) -> None:
        """`live` draws on the way: standard output is a terminal, or GIT_LFS_FORCE_PROGRESS asks."""
        self._out = out
        self._live = live
        self._line = ""
        self._message = ""
        self._total = 0
        self._drawn = 0.0

    def step(self, message: str) -> None:
        """A step of unknown length begins."""
        self.finish()
        self._show(f"{message}: ...")

    def line(self, text: str) -> None:
        """A step told in free words; called again, the words change."""
        self._show(text)

    def counted(self, message: str, total: int) -> None:
        """A step of `total` parts begins; `count` tells how far it is."""
        self.finish()
        self._message = message
        self._total = total
        self.count(0)

    def count(self, done: int) -> None:
        """`done` parts of the step that `counted` began are done."""
        percent = math.floor(100 * done / self._total) if self._total else 100
        self._show(f"{self._message}: {percent:3d}% ({done}/{self._total})")

    def entry(self, text: str) -> None:
        """A line of its own, while the step goes on."""
        self._out.write(f"{self._padded(text)}\n" if self._live else f"{text}\n")

    def finish(self) -> None:
        """The current step, if any, is done."""
        if self._line:
            self._out.write(f"{self._line}, done.\n")
            self._out.flush()
        self._line = ""
        self._drawn = 0.0

    def abandon(self) -> None:
        """The current step, if any, ends unfinished: nothing claims that it was done. What was drawn of it is wiped."""
        if self._line and self._live:
            self._out.write(f"{self._padded('')}\r")
            self._out.flush()
        self._line = ""

    def _show(self, line: str) -> None:
        self._line = line
        now = time.monotonic()
        if self._live and now - self._drawn >= _INTERVAL:
            self._drawn = now
            self._out.write(f"{self._padded(line)}\r")
            self._out.flush()

    def _padded(self, line: str) -> str:
        """Wide enough to cover what stood on the line."""
        import shutil  # 5 ms, for who watches

        return line.ljust(shutil.get_terminal_size().columns)
