"""`lfs.repositoryformatversion`: which layout of `lfs/` a clone has. There is one, 0; another one is refused."""

from __future__ import annotations

from hundredweight.base.errors import EXIT_NOT_A_REPOSITORY, CwtError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace

KEY = "lfs.repositoryformatversion"


class UnknownFormat(CwtError):
    """The clone was laid out by a version of Git LFS that this one does not know. `version` is what the clone says."""

    exit_code = EXIT_NOT_A_REPOSITORY
    hint = "use a newer Git LFS client for this repository"

    def __init__(self, version: str) -> None:
        super().__init__(f"Unknown repository format version: {version}")
        self.version = version


def ensure(workspace: Workspace) -> None:
    """Check the version, and write it when it is not there yet; quietly give up that where the clone is read-only."""
    if workspace.git_config.get(KEY) == "0":
        return
    # Only the clone's own configuration counts; this takes a process, but just once in the life of a clone.
    version = workspace.git.run("config", "--local", "--get", KEY).out.decode().strip()
    if version not in ("", "0"):
        raise UnknownFormat(version)
    if not version:
        workspace.git.run("config", "--local", KEY, "0")
