"""`git lfs logs`: what went wrong unexpectedly, one file an accident, below `lfs/logs` of the clone."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime

from hundredweight.base.errors import CwtError
from hundredweight.base.files import write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace


class NoSuchLog(CwtError):
    """No log has that name."""

    exit_code = 2
    hint = "run 'git lfs logs' for the names there are"

    def __init__(self, name: str) -> None:
        super().__init__(f"no log '{name}'")
        self.name = name


def logs_folder(workspace: Workspace) -> str:
    return os.path.join(workspace.lfs_folder, "logs")


def log_names(workspace: Workspace) -> list[str]:
    """The logs, the oldest first (they are named by their time)."""
    try:
        return sorted(entry.name for entry in os.scandir(logs_folder(workspace)) if entry.is_file())
    except FileNotFoundError:
        return []


def read_log(workspace: Workspace, name: str) -> bytes:
    """Raises `NoSuchLog`, also for a name that would leave the folder."""
    if name not in log_names(workspace):
        raise NoSuchLog(name)
    with open(os.path.join(logs_folder(workspace), name), "rb") as file:
        return file.read()


def write_log(workspace: Workspace, text: str) -> str:
    """Keep `text`; gives the path of its file. Raises `WriteError`."""
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f") + ".log"
    path = os.path.join(logs_folder(workspace), name)
    write_file(path, os.fsencode(text))
    return path


def clear_logs(workspace: Workspace) -> None:
    """Delete all logs. Raises `OSError`."""
    if os.path.isdir(logs_folder(workspace)):
        shutil.rmtree(logs_folder(workspace))
