"""Whether the new version serves: a URL that answers 200, or a command that ends with 0, asked again until it does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import urllib3

from hundredweight.base.errors import LocalError
from hundredweight.client.deploy.service import run_command, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FIRST_PAUSE = 0.05
LAST_PAUSE = 1.0
ANSWER_SECONDS = 5.0
SETTLE_SECONDS = 0.5
"""How long a service without a health check must run to count as started."""
STATUS_OK = 200
_URLS = ("http://", "https://")


class Unhealthy(LocalError):
    """The version did not become healthy in time; the one before serves again."""


def wait(check: str, folder: str, variables: Mapping[str, str], seconds: float, ended: Callable[[], str]) -> float:
    """Return when the check succeeds, with the seconds that took. Without a check a service (`ended` tells how it ended,
    or nothing)
    must only stay. Raises `Unhealthy` after `seconds`, or at once when the service has ended."""
    begin = time.monotonic()
    end = begin + (seconds if check else SETTLE_SECONDS)
    pause = FIRST_PAUSE
    said = ""
    while True:
        if gone := ended():
            raise Unhealthy(f"the service {gone}{f' ({said})' if said else ''}")
        left = end - time.monotonic()
        if left <= 0:
            break
        if check:
            said = _ask(check, folder, variables, left)
            if not said:
                _confirm(check, ended, at_once=pause == FIRST_PAUSE)
                return time.monotonic() - begin
        time.sleep(max(0.0, min(pause, end - time.monotonic())))
        pause = min(pause * 1.5, LAST_PAUSE)
    if check:
        raise Unhealthy(f"'{check}' did not succeed within {seconds:g} seconds: {said or 'no answer'}")
    return time.monotonic() - begin


def _confirm(check: str, ended: Callable[[], str], *, at_once: bool) -> None:
    """What answered must be the new service, not a stranger on its port: one that answers before the service can have started
    gives it time to find that out. Raises `Unhealthy`."""
    if at_once and check.startswith(_URLS):
        time.sleep(SETTLE_SECONDS)
    if gone := ended():
        raise Unhealthy(f"the service {gone}, though '{check}' succeeded: does something else listen there?")


def _ask(check: str, folder: str, variables: Mapping[str, str], left: float) -> str:
    """What is wrong; empty when all is well."""
    if not check.startswith(_URLS):
        code, said = run_command(check, folder, variables, left)
        if code is None:
            return "it did not end"
        return f"it {words(code)}{f': {said}' if said else ''}" if code else ""
    try:
        with urllib3.PoolManager() as pool:
            limit = urllib3.Timeout(total=max(0.05, min(left, ANSWER_SECONDS)))
            answer = pool.request("GET", check, timeout=limit, retries=False, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        return _reason(error)
    return "" if answer.status == STATUS_OK else f"the answer was {answer.status}"


def _reason(error: Exception) -> str:
    text = str(error)
    return text.rpartition(": ")[2] if ": " in text else text
