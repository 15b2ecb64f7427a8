"""Users on a stage: each with a home of their own, git configured, a `git-lfs` on PATH, and maybe credentials for a hub."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

PROGRAMS = Path(sys.executable).parent
CONFIG = """[user]
name = {name}
email = {name}@example.com
[credential]
helper = store
[init]
defaultBranch = main
[advice]
detachedHead = false
[gc]
auto = 0
[maintenance]
auto = false
"""


def isolated(home: Path, name: str = "test", programs: Path = PROGRAMS) -> dict[str, str]:
    """A process environment that sees no configuration but that of `home`, which is made; `programs` come first on PATH."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitconfig").write_text(CONFIG.format(name=name))
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "CWT_HUB"))}
    return keep | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


@dataclass
class Person:
    """Somebody who runs commands. `home` is theirs alone; clones are made inside it."""

    name: str
    home: Path
    programs: Path = PROGRAMS
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.env = isolated(self.home, self.name, self.programs)

    def login(self, url: str, token: str) -> None:
        """Know `token` as the password at `url`, as a credential helper does."""
        parts = urlsplit(url)
        with (self.home / ".git-credentials").open("a") as file:
            file.write(f"{parts.scheme}://{self.name}:{token}@{parts.netloc}\n")

    def run(
        self, *command: str, cwd: Path | None = None, check: bool = True, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; `check` raises `AssertionError` with the output where the exit code is not 0."""
        done = subprocess.run(
            command,
            cwd=cwd or self.home,
            env={**self.env, **variables},
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def git(self, *args: str, cwd: Path | None = None, check: bool = True, **variables: str) -> str:
        """stdout of git without its last line feed; with `check` off stdout and stderr together."""
        done = self.run("git", *args, cwd=cwd, check=check, **variables)
        return done.stdout.rstrip("\n") if check else done.stdout + done.stderr

    def repository(self, name: str) -> Path:
        """A new, empty repository in the home."""
        folder = self.home / name
        self.git("init", "-q", str(folder))
        return folder

    def commit(self, folder: Path, files: dict[str, bytes] | None = None, message: str = "change") -> str:
        """Write files and commit everything; the commit's id."""
        for path, content in (files or {}).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        self.git("add", "-A", cwd=folder)
        self.git("commit", "-q", "--allow-empty", "-m", message, cwd=folder)
        return self.git("rev-parse", "HEAD", cwd=folder)
