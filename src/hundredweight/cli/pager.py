"""Long output on a terminal goes through git's pager, with what git itself prints in between."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from hundredweight.git.run import Git


class Pager:
    """While the context lasts, our standard output (and that of programs we start) is the pager's input, where a terminal is
    watching and the user has not turned it off. `terminal` says whether one is."""

    def __init__(self, git: Git) -> None:
        self.terminal = sys.stdout.isatty()
        self._process: subprocess.Popen[bytes] | None = None
        self._git = git
        self._kept = -1

    def __enter__(self) -> Self:
        command = self._git.run("var", "GIT_PAGER").out.decode("utf-8", "replace").strip() if self.terminal else ""
        if command and command != "cat":
            # What git sets for its own pager: leave when all fits on the screen, pass colours.
            env = {"LESS": "FRX", "LV": "-c", **self._git.env}
            self._process = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, env=env)
            assert self._process.stdin is not None
            self._kept = os.dup(1)
            os.dup2(self._process.stdin.fileno(), 1)
            self._process.stdin.close()
        return self

    @property
    def git(self) -> Git:
        """git that knows that a pager is in use, and starts none of its own."""
        return self._git.with_env(GIT_PAGER_IN_USE="true", GIT_PAGER="cat") if self._process else self._git

    def __exit__(self, *_exc: object) -> None:
        if self._process is None:
            return
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader has seen enough; what is still buffered goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.stdout.flush()
        os.dup2(self._kept, 1)
        os.close(self._kept)
        self._process.wait()


def colour_wanted(git: Git, key: str, *, terminal: bool, asked: str = "") -> bool:
    """Whether output is coloured: by `asked` (always, never, auto), else as git is configured for `key`."""
    if asked in ("always", "never"):
        return asked == "always"
    said = git.run("config", "--get-colorbool", key, "true" if terminal else "false").out.strip()
    return said == b"true" if asked != "auto" else terminal
