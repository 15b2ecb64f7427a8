"""Whether an object goes up as deltas or whole: whichever is there sooner.

To make deltas takes a client some seconds a gigabyte. Over a link that carries whole files faster than that, who pushes would
wait for nothing: the hub packs what comes whole by itself, later. So before large objects one MiB is timed, and where that was
quick, eight.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from hundredweight.base.errors import RemoteError
from hundredweight.base.trace import trace
from hundredweight.git.config import BadConfigValue
from hundredweight.protocol.blocks import BLOCKS, LONG_PROBE, PROBE, probe_url

if TYPE_CHECKING:
    from hundredweight.git.config import Config
    from hundredweight.transfer.actions import Actions, Job
    from hundredweight.transfer.server import LfsServer

UPLOAD_KEY = "hundredweight.upload"
AUTO, DELTAS, WHOLE = "auto", "deltas", "whole"
LARGE = 256 << 20
"""Bytes of an object from which on it is worth a probe: it costs at most 0.4 % of them, over a fast link 4 %, and some
milliseconds."""
FAST = 300e6
"""Bytes a second of a link from which on whole objects arrive sooner than deltas are made, by two processors."""
PROBES = 3
"""Tries of a link that seems not to be fast by little: other work on the machine makes it seem slower than it is, never
faster."""


class Choice:
    """One for each server and command: the link is timed once. Thread-safe."""

    def __init__(self, server: LfsServer, actions: Actions) -> None:
        """Raises `BadConfigValue`."""
        self._server = server
        self._actions = actions
        self._wish = upload_wish(server.session.config)
        self._lock = threading.Lock()
        self._fast: bool | None = None

    def whole(self, job: Job) -> bool:
        """Whether the object should go whole though the server takes deltas. Raises `ActionExpired`."""
        if self._wish != AUTO:
            return self._wish == WHOLE
        with self._lock:
            if self._fast is None and job.size >= LARGE:
                self._fast = self._is_fast(job)
            return self._fast is True

    def _is_fast(self, job: Job) -> bool:
        content = os.urandom(LONG_PROBE)
        try:
            # The first one opens the connection, and tells what a request takes by itself.
            self._seconds(job, b"")
            empty = self._seconds(job, b"")
            for _ in range(PROBES):
                took = self._timed(job, content[:PROBE], empty)
                if took * FAST <= PROBE:
                    # The first MiB may have gone into buffers on the way, or into what a limited line allows at once.
                    return self._timed(job, content, empty) * FAST <= LONG_PROBE
                if took * FAST > 2 * PROBE:
                    return False
        except RemoteError as error:
            # A server that knows no probes; whatever else is wrong the transfer itself will tell.
            trace(f"xfer: the link cannot be timed ({error}); making deltas")
        return False

    def _timed(self, job: Job, content: bytes, empty: float) -> float:
        """What the content took, beyond the `empty` request."""
        took = max(self._seconds(job, content) - empty, 1e-6)
        trace(f"xfer: {len(content)} bytes took {took * 1000:.1f} ms to the server")
        return took

    def _seconds(self, job: Job, content: bytes) -> float:
        action = self._actions.need(job, BLOCKS)
        request = self._actions.request("POST", action, probe_url(action.href))
        request.body = content
        begun = self._server.clock.monotonic()
        self._actions.send(job, action, request).content()
        return self._server.clock.monotonic() - begun


def upload_wish(config: Config) -> str:
    """What `hundredweight.upload` says. Raises `BadConfigValue`."""
    wish = config.get(UPLOAD_KEY, AUTO)
    if wish not in (AUTO, DELTAS, WHOLE):
        raise BadConfigValue(UPLOAD_KEY, wish, f"{AUTO}, {DELTAS} or {WHOLE}")
    return wish
