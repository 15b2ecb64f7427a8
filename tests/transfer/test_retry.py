"""The retry policy, a plain function."""

from __future__ import annotations

import pytest

from hundredweight.base.errors import LocalError, RemoteError
from hundredweight.transfer.http import ConnectionFailed, HttpError, parse_retry_after
from hundredweight.transfer.retry import RetryPolicy
from hundredweight.transfer.server import BatchFailed

NOW = 1_000_000.0


def status(code: int, retry_after: float | None = None) -> HttpError:
    return HttpError(code, "http://h/x", None, retry_after, [])


def tries(error: Exception, policy: RetryPolicy | None = None) -> int:
    policy = policy or RetryPolicy()
    return next(count for count in range(1, 100) if policy.next_try(error, count, NOW) is None)


def test_delays_double_up_to_the_bound() -> None:
    policy = RetryPolicy()
    pauses = [policy.next_try(status(503), count, NOW) for count in range(1, 10)]
    assert [None if pause is None else pause - NOW for pause in pauses] == [0.25, 0.5, 1, 2, 4, 8, 10, 10, None]


def test_delays_never_overflow() -> None:
    assert RetryPolicy(10_000, 10).delay(9_999) == 10


@pytest.mark.parametrize(
    ("error", "count"),
    [
        (status(429), 9),
        (status(500), 9),
        (status(503), 9),
        (status(408), 9),
        (status(403), 2),
        (status(401), 1),
        (status(404), 1),
        (status(410), 1),
        (status(422), 1),
        (status(501), 1),
        (status(507), 1),
        (status(509), 1),
        (ConnectionFailed("GET", "http://h", "reset", established=True), 9),
        (ConnectionFailed("GET", "http://h", "refused", established=False), 3),
        (ConnectionFailed("GET", "http://h", "no trust", temporary=False, established=False), 1),
        (BatchFailed(status(500)), 3),
        (BatchFailed(status(503)), 9),
        (BatchFailed(status(403)), 1),
        (BatchFailed(ConnectionFailed("POST", "http://h", "refused", established=False)), 3),
        (RemoteError("lasting"), 1),
        (RemoteError("passing", temporary=True), 9),
        (LocalError("disk full"), 1),
        (ValueError("foreign"), 1),
    ],
)
def test_what_is_tried_again(error: Exception, count: int) -> None:
    assert tries(error) == count


def test_fewer_retries_bound_everything() -> None:
    assert tries(BatchFailed(status(500)), RetryPolicy(1)) == 2


def test_the_server_s_advice_wins() -> None:
    policy = RetryPolicy()
    assert policy.next_try(status(429, NOW + 120), 1, NOW) == NOW + 120
    assert policy.next_try(BatchFailed(status(503, NOW + 60)), 1, NOW) == NOW + 60
    assert policy.next_try(status(429, NOW - 5), 1, NOW) == NOW


@pytest.mark.parametrize(
    ("header", "moment"),
    [
        ("120", NOW + 120),
        (" 5 ", NOW + 5),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 60.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("9" * 30, None),
    ],
)
def test_retry_after_headers(header: str, moment: float | None) -> None:
    assert parse_retry_after(header, NOW) == moment
