"""The service of a target: a process that stays (`--run`), or somebody else's, told by a command that ends (`--reload`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import LocalError
from hundredweight.base.files import WriteError, open_append
from hundredweight.client.deploy.launcher import SHELL
from hundredweight.client.deploy.processes import ProcessId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.client.deploy.journal import Settings, What
    from hundredweight.client.deploy.target import Target

RELOAD_SECONDS = 120.0
SAID = 400


class ServiceFailed(LocalError):
    """The service of a version could not be started, or its reload command failed."""

    hint = "see the log beside the versions: 'DIR/logs/VERSION.log'"


class Started:
    """A service that this command has started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def ended(self) -> str:
        """How it ended, in words; empty while it runs."""
        if self._code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if not found:
                return ""
            self._code = os.waitstatus_to_exitcode(status)
        return words(self._code)


def words(code: int) -> str:
    """An exit code as people say it."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def variables_for(target: Target, folder: str, number: int, what: What, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of services, of reload and of health commands."""
    return {
        **{name: value for name, value in variables.items() if not name.startswith("GIT_")},
        "CWT_TARGET": target.folder,
        "CWT_FOLDER": target.path(folder),
        "CWT_VERSION": what.name,
        "CWT_RELEASE": what.release,
        "CWT_COMMIT": what.commit,
        "CWT_DEPLOYMENT": str(number),
    }


def running(target: Target) -> tuple[ProcessId | None, str]:
    """The service's process, if it is alive, and the version that it was started for."""
    told = _told(target)
    process = ProcessId.parse(told)
    folder = told.get("folder") if isinstance(told, dict) else ""
    alive = process is not None and process.alive
    return (process, str(folder)) if alive else (None, "")


def apply(target: Target, folder: str, settings: Settings, variables: Mapping[str, str], lock: int) -> Started | None:
    """Let the service be that of the version `folder`: the old process is ended, a new one started; or the reload command is run.
    Without either, a service of an earlier deployment is ended. Raises `ServiceFailed`, `WriteError`."""
    if settings.run:
        return _start(target, folder, settings, variables, lock)
    stop(target, settings.stop_timeout)
    if settings.reload:
        _reload(target, folder, settings.reload, variables)
    return None


def stop(target: Target, seconds: float) -> None:
    """End the service that `service.json` knows, and one that was being ended. Raises `WriteError`."""
    told = _told(target)
    for known in (told, told.get("stopping")) if isinstance(told, dict) else ():
        process = ProcessId.parse(known)
        if process is not None:
            process.stop(seconds)
    try:
        os.unlink(target.service)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise WriteError(target.service, error) from error


def _told(target: Target) -> dict[str, object]:
    try:
        with open(target.service, "rb") as file:
            told = json.loads(file.read())
    except (FileNotFoundError, ValueError):
        # It is written whole or not at all; what is no JSON was not written by us.
        return {}
    return told if isinstance(told, dict) else {}


def _start(target: Target, folder: str, settings: Settings, variables: Mapping[str, str], lock: int) -> Started:
    told = _told(target)
    stopping = ProcessId.parse(told.get("stopping"))
    if stopping is not None:
        # A command was killed while its launcher did this.
        stopping.stop(settings.stop_timeout)
    old = ProcessId.parse(told)
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    spec = {
        "path": target.path(folder),
        "service": target.service,
        "folder": folder,
        "run": settings.run,
        "old": old.as_fields() if old is not None and old.alive else None,
        "stop_seconds": settings.stop_timeout,
        "report": writer,
        "closing": [writer, lock],
    }
    try:
        log = open_append(target.log(folder), 0o644)
    except OSError as error:
        os.close(reader)
        os.close(writer)
        raise WriteError(target.log(folder), error) from error
    try:
        os.lseek(log, 0, os.SEEK_END)
        nothing = os.open(os.devnull, os.O_RDONLY)
        argv = [sys.executable, "-P", "-m", "hundredweight.client.deploy.launcher", json.dumps(spec)]
        actions = [(os.POSIX_SPAWN_DUP2, have, want) for have, want in ((nothing, 0), (log, 1), (log, 2))]
        os.set_inheritable(lock, True)
        pid = os.posix_spawn(sys.executable, argv, dict(variables), file_actions=actions)
        os.close(nothing)
    except OSError as error:
        os.close(reader)
        raise ServiceFailed(f"cannot start '{settings.run}': {error.strerror}") from error
    finally:
        os.set_inheritable(lock, False)
        os.close(log)
        os.close(writer)
    with os.fdopen(reader, "rb") as report:
        said = report.read().decode("utf-8", "replace")
    started = Started(pid)
    if said:
        os.waitpid(pid, 0)
        raise ServiceFailed(f"cannot start '{settings.run}': {said}")
    return started


def _reload(target: Target, folder: str, command: str, variables: Mapping[str, str]) -> None:
    code, said = run_command(command, target.path(folder), variables, RELOAD_SECONDS)
    if code is None:
        raise ServiceFailed(f"the reload command '{command}' did not end within {RELOAD_SECONDS:.0f} seconds")
    if code:
        raise ServiceFailed(f"the reload command '{command}' {words(code)}{f': {said}' if said else ''}")


def run_command(command: str, folder: str, variables: Mapping[str, str], seconds: float) -> tuple[int | None, str]:
    """Run a shell command to its end: its exit code, None where it was stopped after so many seconds, and the end of
    what it said."""
    with subprocess.Popen(
        [SHELL, "-c", command],
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            out, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, ""
    lines = out.decode("utf-8", "replace").strip().splitlines()
    return process.returncode, lines[-1][:SAID] if lines else ""
