"""A process that is read while it runs, by `posix_spawn`, pipes and `poll`: `subprocess` costs 9 ms to import, threads more.

Descriptors that were handed to this program are the child's too (GIT_TRACE=3 names one); our own are never inheritable.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

_READ_SIZE = 1 << 17
_KILL = 9  # signal.SIGKILL; the module costs 2 ms


class Running:
    """A child with a pipe for its input, one for its output and, unless it shares ours, one for its errors. One thread at a
    time. `close` it, or use it as a context: that ends a child which is still running. Raises `OSError` when there is no
    such program."""

    def __init__(self, argv: list[str], env: Mapping[str, str], *, errors: bool = True) -> None:
        """`errors`: keep the child's stderr for `said`; otherwise it is ours."""
        self.said = b""
        self._code: int | None = None
        self._stream: BinaryIO | None = None
        ends: list[int] = []
        try:
            actions: list[tuple[int, int, int]] = []
            for target in (0, 1, 2) if errors else (0, 1):
                reader, writer = os.pipe()
                ends += (writer, reader) if target == 0 else (reader, writer)
                actions.append((os.POSIX_SPAWN_DUP2, ends[-1], target))
            self._pid = os.posix_spawnp(argv[0], argv, env, file_actions=actions)
        except OSError:
            _close(ends[0::2])
            raise
        finally:
            _close(ends[1::2])
        self._open = set(ends[0::2])
        self._input, self._output = ends[0], ends[2]
        self._errors = ends[4] if errors else -1

    def send(self, data: bytes) -> None:
        """Write all of it to the child's input; what the child answers meanwhile must fit its pipe. Raises
        `BrokenPipeError`."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._input, view) :]

    @property
    def stream(self) -> BinaryIO:
        """The child's output, buffered. Instead of `chunks`."""
        if self._stream is None:
            self._open.discard(self._output)
            self._stream = os.fdopen(self._output, "rb", _READ_SIZE)
        return self._stream

    def chunks(self, stdin: bytes = b"") -> Iterator[bytes]:
        """Feed `stdin`, then give the output as it comes, to its end. No pipe blocks another; errors gather in `said`."""
        poller = select.poll()
        pending = memoryview(stdin)
        if pending:
            os.set_blocking(self._input, False)
            poller.register(self._input, select.POLLOUT)
        else:
            self._drop(self._input)
        reading = [fd for fd in (self._output, self._errors) if fd >= 0]
        for descriptor in reading:
            poller.register(descriptor, select.POLLIN)
        while reading:
            for descriptor, _ in poller.poll():
                if descriptor == self._input:
                    pending = _write_some(descriptor, pending)
                    if not pending:
                        poller.unregister(descriptor)
                        self._drop(descriptor)
                    continue
                data = os.read(descriptor, _READ_SIZE)
                if not data:
                    poller.unregister(descriptor)
                    reading.remove(descriptor)
                elif descriptor == self._output:
                    yield data
                else:
                    self.said += data

    def wait(self) -> int:
        """The exit code; negative is the signal that ended it."""
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._code

    def close(self) -> None:
        """Close the pipes; a child that is still running is ended, since nobody listens to it. Harmless a second time."""
        if self._stream is not None:
            self._stream.close()
        _close(list(self._open))
        self._open.clear()
        if self._code is None:
            finished, status = os.waitpid(self._pid, os.WNOHANG)
            if finished:
                self._code = os.waitstatus_to_exitcode(status)
            else:
                os.kill(self._pid, _KILL)
                self.wait()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _drop(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.discard(descriptor)
            os.close(descriptor)


def _write_some(descriptor: int, pending: memoryview) -> memoryview:
    """What is left to write; nothing when the child does not want more: its exit code tells why."""
    try:
        return pending[os.write(descriptor, pending) :]
    except BlockingIOError:
        return pending
    except BrokenPipeError:
        return pending[:0]


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
