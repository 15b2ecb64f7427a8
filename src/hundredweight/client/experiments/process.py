"""Running a training: its output passed on and kept within bounds, signals forwarded, its end told as it was.

The output goes through pipes, so that it can be kept; Python is asked not to buffer it. A process that stays behind with the
pipes open (a tracker's service) does not hold up the end.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.base.files import open_exclusive
from hundredweight.base.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    Echo = Callable[[int, bytes], None]
    """Takes output as it comes: 1 for stdout, 2 for stderr."""

HEAD_SIZE = 256 << 10
TAIL_SIZE = 768 << 10
_PART = 4 << 20
_GRACE = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotRunnable(UsageError):
    """The command of an experiment cannot be started."""

    hint = "check the command behind '--'"


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` as a shell gives it: 128 and the signal for a command that a signal ended. `stopped`: by a signal, its own or one
    that was forwarded to it."""

    code: int
    stopped: bool
    seconds: float


class Log:
    """The beginning and the end of an output, on disk while it grows: a first part, then two that take turns."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._descriptor = open_exclusive(_log_path(folder, 0))
        self._number = 0
        self._room = HEAD_SIZE

    def write(self, data: bytes) -> None:
        """A log that cannot be written any more (a full disk) ends there; the training goes on."""
        while data and self._descriptor >= 0:
            try:
                if not self._room:
                    self._next()
                count = os.write(self._descriptor, data[: self._room])
            except OSError as error:
                trace(f"the log ends here: {error}")
                self.close()
                return
            self._room -= count
            data = data[count:]

    def close(self) -> None:
        """Harmless a second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _next(self) -> None:
        self.close()
        if self._number > 1:
            os.unlink(_log_path(self._folder, self._number - 1))
        self._number += 1
        self._descriptor = open_exclusive(_log_path(self._folder, self._number))
        self._room = _PART


def read_log(folder: str) -> bytes:
    """What the log of a run folder keeps, progress bars as they ended; what is left out between is told."""
    numbers = sorted(int(name[4:]) for name in os.listdir(folder) if name.startswith("log.") and name[4:].isdigit())
    parts = []
    for number in numbers:
        with open(_log_path(folder, number), "rb") as file:
            parts.append(file.read())
    if not parts:
        return b""
    head, tail = parts[0], b"".join(parts[1:])
    missing = max(numbers[1] - 1, 0) * _PART if len(numbers) > 1 else 0
    cut = max(len(tail) - TAIL_SIZE, 0)
    if missing + cut:
        head += b"\n[... %d bytes left out ...]\n" % (missing + cut)
    return _settled(head + tail[cut:])


def settled_log(data: bytes) -> bytes:
    """A whole log within the bounds of a record's."""
    cut = max(len(data) - HEAD_SIZE - TAIL_SIZE, 0)
    middle = b"\n[... %d bytes left out ...]\n" % cut if cut else b""
    return _settled(data[:HEAD_SIZE] + middle + data[HEAD_SIZE + cut :])


def _settled(data: bytes) -> bytes:
    """Of a line that was written over and over (a progress bar) what it showed at last."""
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    return b"\n".join(line.rstrip(b"\r").rpartition(b"\r")[2] for line in lines)


def _log_path(folder: str, number: int) -> str:
    return os.path.join(folder, f"log.{number}")


class Runner:
    """Starts commands, one or several at a time, and hands on signals that come to this process. Use as a context in the main
    thread; `run` may be called in any. `interactive`: the commands have the terminal, which sends them its interrupts itself.
    `alone`: the one command reads what this process is given to read."""

    def __init__(self, *, interactive: bool = False, alone: bool = False) -> None:
        self._interactive = interactive
        self._stdin = None if alone or interactive else subprocess.DEVNULL
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.RLock()
        self._before: dict[signal.Signals, object] = {}
        self.stopped = 0
        """The signal that came, 0 while none has."""

    def __enter__(self) -> Runner:
        for number in _SIGNALS:
            # Who starts us with a signal ignored (nohup) wants it ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def run(
        self,
        command: Sequence[str],
        folder: str,
        variables: Mapping[str, str],
        log: Log,
        echo: Echo,
        started: Callable[[int], None],
    ) -> Ended:
        """Run to its end. `started` is told its process id. Raises `NotRunnable`."""
        begun = time.monotonic()
        process = self._start(command, folder, variables)
        if self.stopped:
            # It came while the process was started.
            self._send(process, self.stopped)
        try:
            started(process.pid)
            self._pass_on(process, log, echo)
            code = process.wait()
        finally:
            with self._lock:
                del self._running[process.pid]
            if process.poll() is None:
                self._send(process, signal.SIGKILL)
                process.wait()
        shown = 128 - code if code < 0 else code
        by_signal = code < 0 or shown in (130, 137, 143)
        return Ended(shown, by_signal or (self.stopped > 0 and code != 0), time.monotonic() - begun)

    def _start(self, command: Sequence[str], folder: str, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.stopped:
                raise NotRunnable("stopped before the training began")
            try:
                process = subprocess.Popen(
                    list(command),
                    cwd=folder,
                    env={"PYTHONUNBUFFERED": "1", **variables},
                    stdin=self._stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    process_group=None if self._interactive else 0,
                )
            except (OSError, ValueError) as error:
                said = error.strerror if isinstance(error, OSError) else str(error)
                raise NotRunnable(f"cannot run '{command[0]}': {said}") from error
            self._running[process.pid] = process
            return process

    def _pass_on(self, process: subprocess.Popen[bytes], log: Log, echo: Echo) -> None:
        with selectors.DefaultSelector() as selector:
            for number, stream in ((1, process.stdout), (2, process.stderr)):
                assert stream is not None
                selector.register(stream, selectors.EVENT_READ, number)
            ended = 0.0
            while selector.get_map():
                for key, _ in selector.select(0.2):
                    data = os.read(key.fd, 1 << 16)
                    if data:
                        log.write(data)
                        echo(key.data, data)
                    else:
                        selector.unregister(key.fileobj)
                if not ended and process.poll() is not None:
                    ended = time.monotonic()
                if ended and time.monotonic() - ended > _GRACE:
                    break
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        self.stopped = number
        for process in list(self._running.values()):
            if not (self._interactive and number == signal.SIGINT):
                self._send(process, number)

    def _send(self, process: subprocess.Popen[bytes], number: int) -> None:
        try:
            if self._interactive:
                process.send_signal(number)
            else:
                os.killpg(process.pid, number)
        except ProcessLookupError:
            return
