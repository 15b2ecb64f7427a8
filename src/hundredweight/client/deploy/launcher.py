"""The first life of a service: a process of its own that notes who it is, ends the service before it, and becomes the new one.

So whoever started it may be killed at any moment: either the old service goes on, or the new one comes. `python -P -m` with one
argument, JSON; it says on the descriptor `report` what went wrong, and nothing when it has become the service.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from hundredweight.base.errors import CwtError
from hundredweight.base.files import WriteError, write_file
from hundredweight.base.trace import notice
from hundredweight.client.deploy.processes import ProcessId

if TYPE_CHECKING:
    from typing import NoReturn

SHELL = "/bin/sh"


def note(path: str, own: ProcessId, folder: str, run: str, stopping: ProcessId | None) -> None:
    """Say in `service.json` which process serves. Raises `WriteError`."""
    told: dict[str, Any] = {
        "version": 1,
        **own.as_fields(),
        "folder": folder,
        "run": run,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "stopping": stopping.as_fields() if stopping is not None else None,
    }
    write_file(path, json.dumps(told).encode() + b"\n", mode=0o644, durable=True)


def become(spec: dict[str, Any]) -> NoReturn:
    """Raises `CwtError`, `OSError`."""
    os.chdir(spec["path"])
    own = ProcessId.of(os.getpid())
    old = ProcessId.parse(spec["old"])
    note(spec["service"], own, spec["folder"], spec["run"], old)
    if old is not None:
        old.stop(spec["stop_seconds"])
        try:
            note(spec["service"], own, spec["folder"], spec["run"], None)
        except WriteError as error:
            # The old one is gone, so this one has to serve; that the note names the dead does no harm.
            notice(str(error))
    for descriptor in spec["closing"]:
        os.set_inheritable(descriptor, False)
    os.execv(SHELL, [SHELL, "-c", spec["run"]])


def main() -> None:
    os.setsid()
    spec = json.loads(sys.argv[1])
    try:
        become(spec)
    except (CwtError, OSError) as error:
        os.write(spec["report"], str(error).encode())
        os._exit(1)


if __name__ == "__main__":
    main()
