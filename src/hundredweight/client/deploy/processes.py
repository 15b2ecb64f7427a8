"""Processes that outlive the command that started them, known again without mistake: a process id is used again, but not with the
same start in the same boot.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass

POLL = 0.05
KILL_SECONDS = 5.0
_BOOT = "/proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class ProcessId:
    """`start` is when it began, in the system's own words; `boot` names the system's present run, where it tells."""

    pid: int
    start: str
    boot: str = ""

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Of a running process; of another one an id that is never alive."""
        return cls(pid, _start(pid), _boot())

    @classmethod
    def parse(cls, table: object) -> ProcessId | None:
        """From `as_fields`; None for anything else."""
        if not isinstance(table, dict):
            return None
        pid, start, boot = (table.get(key) for key in ("pid", "start", "boot"))
        if not isinstance(pid, int) or pid <= 1 or not isinstance(start, str) or not isinstance(boot, str):
            return None
        return cls(pid, start, boot)

    def as_fields(self) -> dict[str, object]:
        return asdict(self)

    @property
    def alive(self) -> bool:
        return bool(self.start) and self.boot == _boot() and _start(self.pid) == self.start

    def stop(self, seconds: float) -> None:
        """End it and all of its session: SIGTERM, after so many seconds SIGKILL. Returns when they are gone. Harmless
        when it is not
        alive."""
        if not self.alive:
            return
        for number, limit in ((signal.SIGTERM, seconds), (signal.SIGKILL, KILL_SECONDS)):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                return
            end = time.monotonic() + limit
            while time.monotonic() < end:
                if not _group_lives(self.pid):
                    return
                time.sleep(POLL)


def _boot() -> str:
    try:
        with open(_BOOT, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _start(pid: int) -> str:
    """Empty for a process that is not there, or that only waits to be asked how it ended."""
    fields = _stat(pid)
    if fields is not None:
        return "" if fields[0] in "ZX" else fields[19]
    if os.path.exists(_BOOT):
        return ""
    found = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, start = found.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else start.strip()


def _group_lives(group: int) -> bool:
    """Whether any process of the group still runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not os.path.exists(_BOOT):
        return True
    # Those that have ended, but that nobody has asked about yet, count as living for the kernel.
    stats = (_stat(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return any(fields is not None and int(fields[2]) == group and fields[0] not in "ZX" for fields in stats)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on (state, parent, group, ...); None where there is no such file."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None
