"""The hub's log, on stderr: one line a request, as text or JSON. Never a token, a query or a body."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Value = str | int | float


class Log:
    """Writes whole lines, from any thread."""

    def __init__(self, form: str = "text", stream: IO[str] | None = None) -> None:
        self._json = form == "json"
        self._stream = sys.stderr if stream is None else stream

    def request(self, fields: Mapping[str, Value]) -> None:
        """One finished request."""
        self._line("info", "request", fields)

    def event(self, text: str, **fields: Value) -> None:
        """Something that happened to the hub itself."""
        self._line("info", text, fields)

    def failure(self, text: str, error: BaseException, **fields: Value) -> None:
        """Something that should not have happened, with where it happened."""
        self._line("error", text, {**fields, "error": "".join(traceback.format_exception(error))})

    def _line(self, level: str, text: str, fields: Mapping[str, Value]) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        if self._json:
            line = json.dumps({"time": stamp, "level": level, "event": text, **fields})
        else:
            line = " ".join((stamp, level, text, *(f"{key}={_plain(value)}" for key, value in fields.items())))
        self._stream.write(line + "\n")
        self._stream.flush()


def _plain(value: Value) -> str:
    """One word as it is, anything else as JSON text: no value can start a line of its own."""
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text if text and text.isprintable() and not set(' "=') & set(text) else json.dumps(text)


class ServerLog(logging.Handler):
    """What the HTTP server says through `logging`, in our lines."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._log.failure(record.getMessage(), record.exc_info[1])
        else:
            self._log.event(record.getMessage(), source=record.name)
