"""A stage for whole programs: a hub process that can be killed and started again, clones with a home of their own."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
START_SECONDS = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class HubProcess:
    """`cwt hub serve` on one port and data folder, through any number of lives."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "hub"
        self.log = folder / "hub.log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.data / "admin-token").read_text().strip()

    def start(self) -> None:
        command = [str(PROGRAMS / "cwt"), "hub", "serve", "--data", str(self.data), "--port", str(self.port)]
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=plain_environment())
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            text = self.log.read_bytes()[begin:].decode(errors="replace")
            if re.search(r"listening on http://", text):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the hub did not start: {self.log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def damaged_objects(self) -> list[str]:
        """Objects under their final name whose bytes are not what the name promises: must always be none."""
        return damaged(self.data / "objects")


def damaged(objects: Path) -> list[str]:
    """Of all files named by 64 hex digits below a folder, those whose SHA-256 differs."""
    found = [path for path in objects.rglob("*") if re.fullmatch("[0-9a-f]{64}", path.name) and path.is_file()]
    return [str(path) for path in found if hashlib.sha256(path.read_bytes()).hexdigest() != path.name]


def plain_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}


class Home:
    """A user: a home with git configured, our programs first on PATH."""

    def __init__(self, folder: Path, hub: HubProcess) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.env = {
            **plain_environment(),
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }
        (folder / ".git-credentials").write_text(f"http://admin:{hub.token}@127.0.0.1:{hub.port}\n")
        (folder / ".gitconfig").write_text(
            "[user]\nname = Test\nemail = test@example.com\n[credential]\nhelper = store\n[init]\ndefaultBranch = main\n"
            "[advice]\ndetachedHead = false\n[gc]\nauto = 0\n"
        )
        self.run("git", "lfs", "install", "--skip-repo", cwd=folder)

    def run(self, *command: str, cwd: Path, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**self.env, **variables},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *command: str, cwd: Path) -> subprocess.Popen[bytes]:
        """In a session of its own, so that all of it can be killed at once."""
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a started command with everything it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def write_weights(repository: Path, seed: int, files: int = 4, size: int = 1 << 21) -> None:
    """Files of random bytes that no earlier seed has."""
    source = random.Random(seed)
    for number in range(files):
        (repository / f"layer {number}.safetensors").write_bytes(source.randbytes(size))
