"""How commands open the clone they are run in, with the words that git-lfs has for what can be wrong with it."""

from __future__ import annotations

from hundredweight.base.clock import SystemClock
from hundredweight.base.errors import EXIT_NOT_A_REPOSITORY, CwtError
from hundredweight.cli.umask import share
from hundredweight.client.repository_format import ensure
from hundredweight.client.sweep import sweep
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace


class NoWorkTree(CwtError):
    """The command works on files, and the repository is bare."""

    exit_code = EXIT_NOT_A_REPOSITORY

    def __init__(self) -> None:
        super().__init__("This operation must be run in a work tree.")


def open_clone(environment: Environment, *, work_tree: bool = False) -> Workspace:
    """The clone around the current folder, its format checked, leftovers of killed commands removed. Raises
    `NotARepository`, `UnknownFormat`, and where a `work_tree` is needed `NoWorkTree`; `main.report` prints them as git-lfs
    does."""
    workspace = open_workspace(Git(), environment.variables)
    if work_tree and workspace.repository.bare:
        raise NoWorkTree
    share(workspace)
    ensure(workspace)
    sweep(workspace.store, SystemClock().now())
    return workspace
