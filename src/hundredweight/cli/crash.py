"""What happens when nobody expected it: the facts go to a log of the clone, the user gets two lines. A file that the system
refuses to read or write is no mystery, and is told as an error like any other. Loaded only then.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from datetime import UTC, datetime

from hundredweight.base.errors import EXIT_FAILURE, EXIT_USAGE, CwtError
from hundredweight.base.files import remedy
from hundredweight.cli.lfs.env import report, surroundings
from hundredweight.client.logs import write_log
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment


def handle(error: Exception, environment: Environment) -> int:
    """Log `error` and say where; outside of a clone, show it. Gives the exit code."""
    if isinstance(error, OSError) and remedy(error.errno):
        where = f"cannot use '{os.fsdecode(error.filename)}': " if error.filename else ""
        sys.stderr.write(f"error: {where}{error.strerror}\nhint: {remedy(error.errno)}\n")
        return EXIT_FAILURE
    shown = "".join(traceback.format_exception(error))
    try:
        workspace = open_workspace(Git(), environment.variables)
        path = write_log(workspace, _text(shown, environment))
    except (CwtError, OSError):
        sys.stderr.write(shown)
        return EXIT_USAGE
    sys.stderr.write(f"{error or type(error).__name__}\n\nErrors logged to '{path}'.\n")
    sys.stderr.write("Use `git lfs logs last` to view the log.\n")
    return EXIT_USAGE


def _text(shown: str, environment: Environment) -> str:
    git = Git()
    version, git_version, *rest = report(git, surroundings(git, environment))
    command = shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    lines = [
        version,
        git_version,
        "",
        f"$ {command}",
        "",
        shown,
        "Current time in UTC:",
        now,
        "",
        "Environment:",
        *rest,
    ]
    return "\n".join(lines) + "\n"
