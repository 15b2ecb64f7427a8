"""The process's umask, by which a shared repository's files are made (core.sharedRepository)."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace


def share(workspace: Workspace) -> None:
    """From now on make files as the repository wants them; the workspace remembers the user's own umask."""
    wanted = workspace.shared_umask
    if wanted is not None:
        workspace.user_umask = os.umask(wanted)
