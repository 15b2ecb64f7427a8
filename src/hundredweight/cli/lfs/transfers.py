"""What the commands that move objects share: their remote argument, and how they tell what did not move."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import EXIT_USAGE, CwtError
from hundredweight.git.refs import InvalidRemote, check_remote
from hundredweight.transfer.queue import distinct_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.client.workspace import Workspace
    from hundredweight.transfer.queue import Failure

MAX_NAMED = 20


class CommandRefused(CwtError):
    """The command cannot do what was asked, for a reason that git-lfs has its own words for; they are the message."""

    exit_code = EXIT_USAGE


def refuse(error: CwtError) -> int:
    """Print a message as it stands, as git-lfs does; gives the exit code."""
    sys.stderr.write(f"{error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
    return error.exit_code


def checked_remote(workspace: Workspace, name: str) -> str:
    """`name`, when it is a configured remote or a URL. Raises `CommandRefused`."""
    try:
        check_remote(workspace.config, name)
    except InvalidRemote as error:
        raise CommandRefused(f'Invalid remote name "{name}": {error}', hint=error.hint) from error
    return name


def report_failures(failures: Sequence[Failure]) -> None:
    """Each error once, with the files it concerns, and its hint."""
    for error in distinct_errors(failures):
        sys.stderr.write(f"{error}\n")
        items = [failure.item for failure in failures if failure.error is error]
        for item in items[:MAX_NAMED]:
            sys.stderr.write(f"  {item.path} ({item.oid})\n")
        if len(items) > MAX_NAMED:
            sys.stderr.write(f"  and {len(items) - MAX_NAMED} more\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
