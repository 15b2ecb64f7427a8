"""Making a version that is here whole the one that serves: switch, service, health; and back when that fails.

Killed at any moment, `current` leads to a whole version, and `mend` (which the next command calls) ends what was begun.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.base.trace import notice
from hundredweight.client.deploy import health, service
from hundredweight.client.deploy.journal import (
    BEGUN,
    FAILED,
    HEALTHY,
    INTERRUPTED,
    ROLLED_BACK,
    SWITCHED,
    Journal,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.client.deploy.journal import Deployment, History, Settings, What
    from hundredweight.client.deploy.target import Target

EXIT_WENT_BACK = 5
EXIT_NOTHING_SERVES = 6


class WentBack(CwtError):
    """The new version did not become healthy. The version before it is current again, and its service runs. `folder` is that
    version's, empty where there was none before."""

    exit_code = EXIT_WENT_BACK

    def __init__(self, cause: BaseException, folder: str, log: str) -> None:
        now = f"went back to '{folder}'" if folder else "nothing was deployed before, so nothing is now"
        super().__init__(f"{_reason(cause)}; {now}", hint=f"see '{log}', mend the cause, and deploy again")
        self.cause = cause
        self.folder = folder


class NothingServes(CwtError):
    """The new version did not become healthy, nor did the one before it, which is current again."""

    exit_code = EXIT_NOTHING_SERVES

    def __init__(self, cause: BaseException, folder: str, second: BaseException, log: str) -> None:
        super().__init__(
            f"{_reason(cause)}; went back to '{folder}', which is not healthy either: {_reason(second)}",
            hint=f"see '{log}'; 'cwt rollback --to DIR NAME' takes another version",
        )
        self.cause = cause
        self.folder = folder


@dataclass(frozen=True, slots=True)
class Activation:
    """What one deployment or rollback switches to. `lock` is the descriptor of the target's lock."""

    target: Target
    journal: Journal
    number: int
    folder: str
    what: What
    settings: Settings
    variables: Mapping[str, str]
    lock: int

    def run(self, before: Deployment | None) -> float:
        """Let the version serve; gives the seconds until it was healthy. `before` made what is current now. Raises `WentBack`,
        `NothingServes`; and what else stops it (an interrupt) after going back, too."""
        old = self.target.current()
        try:
            self.target.switch(self.folder)
            self.journal.write(SWITCHED, self.number, self.folder, **{"from": old})
            seconds = self._start()
            self.journal.write(HEALTHY, self.number, self.folder, seconds=round(seconds, 3))
        except BaseException as error:
            self._go_back(old, before, error)
            if isinstance(error, CwtError):
                raise WentBack(error, old, self.target.log(self.folder)) from error
            raise
        return seconds

    def _start(self) -> float:
        variables = service.variables_for(self.target, self.folder, self.number, self.what, self.variables)
        started = service.apply(self.target, self.folder, self.settings, variables, self.lock)
        if started is None and not self.settings.health:
            return 0.0
        ended = started.ended if started is not None else _stays
        path = self.target.path(self.folder)
        return health.wait(self.settings.health, path, variables, self.settings.health_timeout, ended)

    def _go_back(self, old: str, before: Deployment | None, cause: BaseException) -> None:
        """First what must not fail for want of disk space: the switch."""
        self.target.switch(old)
        self._tell(FAILED, reason=_reason(cause), to=old)
        try:
            if before is None:
                service.stop(self.target, self.settings.stop_timeout)
            elif not self._untouched(old, before):
                again = Activation(
                    self.target,
                    self.journal,
                    before.number,
                    old,
                    before.what,
                    before.settings,
                    self.variables,
                    self.lock,
                )
                again._start()
        except CwtError as error:
            self._tell(ROLLED_BACK, to=old, healthy=False, reason=_reason(error))
            raise NothingServes(cause, old, error, self.target.log(self.folder)) from cause
        self._tell(ROLLED_BACK, to=old, healthy=bool(old))

    def _untouched(self, old: str, before: Deployment) -> bool:
        """The service of the version before was never ended, what went wrong came earlier: it needs no other, and on a full disk
        could not have one."""
        _, runs = service.running(self.target)
        return bool(before.settings.run) and runs == old != self.folder

    def _tell(self, event: str, **fields: object) -> None:
        """On a full disk going back matters more than saying so."""
        try:
            self.journal.write(event, self.number, self.folder, **fields)
        except CwtError as error:
            notice(f"the journal lacks that this deployment failed: {error}")


def mend(target: Target, journal: Journal, history: History, variables: Mapping[str, str], lock: int) -> History:
    """End what killed commands began: remove half-made versions; where `current` leads to a version that never proved healthy, go
    back to the last that did, with its service. Gives the history as it is then. Call with the lock held."""
    target.sweep()
    last = history.last
    if last is None or last.state != BEGUN:
        return history
    serving = history.serving
    folder = serving.folder if serving is not None else ""
    if target.current() != folder:
        notice(f"deployment {last.number} was interrupted; going back to {repr(folder) if folder else 'nothing'}")
        target.switch(folder)
    _, runs = service.running(target)
    if serving is None:
        service.stop(target, last.settings.stop_timeout)
    elif (serving.settings.run and runs != folder) or (last.switched and serving.settings.reload):
        told = service.variables_for(target, folder, serving.number, serving.what, variables)
        try:
            service.apply(target, folder, serving.settings, told, lock)
        except CwtError as error:
            # What is deployed next may mend that.
            notice(f"the service of '{folder}' could not be started: {error}")
    journal.write(INTERRUPTED, last.number, last.folder, reason="the command was ended before it was done", to=folder)
    return journal.read()


def _stays() -> str:
    return ""


def _reason(error: BaseException) -> str:
    return "it was interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
