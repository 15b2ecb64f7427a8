"""Whether and when a failed transfer is tried again: a plain function of the error, the count and the time.

git-lfs's figures: 8 tries an object, 250 ms doubling up to 10 s, and the server's Retry-After instead of that. A server
that cannot be reached at all, or fails a whole batch call with 500, gets three tries: waiting half a minute would not help.
"""

from __future__ import annotations

from dataclasses import dataclass

from hundredweight.base.errors import RemoteError
from hundredweight.transfer.http import ConnectionFailed, HttpError
from hundredweight.transfer.server import BatchFailed

BASE_DELAY = 0.25
HOPELESS_TRIES = 3


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max_retries` is how many times one object is tried again, `max_delay` the longest pause in seconds."""

    max_retries: int = 8
    max_delay: float = 10.0

    def next_try(self, error: Exception, failures: int, now: float) -> float | None:
        """The moment of the next try after `failures` (at least 1) in a row, the last with `error`; None is never."""
        if not isinstance(error, RemoteError) or failures > self._limit(error):
            return None
        after = retry_after(error)
        return max(after, now) if after is not None else now + self.delay(failures)

    def delay(self, failures: int) -> float:
        """The pause after that many failures, without the server's advice."""
        return min(self.max_delay, BASE_DELAY * 2.0 ** min(failures - 1, 60))

    def _limit(self, error: RemoteError) -> int:
        if isinstance(error, HttpError) and error.status == 403:
            # Storage answers 403 to a signed URL that ran out before its time; a fresh one is worth one request.
            return 1
        if not error.temporary:
            return 0
        cause = error.cause if isinstance(error, BatchFailed) else error
        unreachable = isinstance(cause, ConnectionFailed) and not cause.established
        broken_api = isinstance(error, BatchFailed) and error.status == 500
        return min(self.max_retries, HOPELESS_TRIES - 1) if unreachable or broken_api else self.max_retries


def retry_after(error: Exception) -> float | None:
    """The moment that the server's Retry-After named, None when it gave none."""
    cause = error.cause if isinstance(error, BatchFailed) else error
    return cause.retry_after if isinstance(cause, HttpError) else None
