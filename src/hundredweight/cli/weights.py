"""What commands on weight files share: finding the clone around a folder, and showing names that a file chose."""

from __future__ import annotations

from contextlib import contextmanager

from hundredweight.client.weight_files import URL_SCHEMES, open_model
from hundredweight.client.workspace import open_workspace
from hundredweight.git.repository import NotARepository
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hundredweight.cli.env import Environment
    from hundredweight.client.weight_files import Model
    from hundredweight.client.workspace import Workspace


def clone_around(environment: Environment) -> Callable[[str], Workspace | None]:
    """A function that opens the clone around a folder, as `weight_files.open_model` wants it."""

    def find(folder: str) -> Workspace | None:
        try:
            return open_workspace(Git() if folder == "." else Git().at(folder), environment.variables)
        except NotARepository:
            return None

    return find


def clone_here(environment: Environment) -> Callable[[str], Workspace | None]:
    """The same for git's drivers, which get temporary files from anywhere: always the clone that git runs in."""
    find = clone_around(environment)
    return lambda _folder: find(".")


@contextmanager
def opened(target: str, environment: Environment) -> Iterator[Model]:
    """The model that a user names: a file, `REV:PATH` or a URL. Raises as `weight_files.open_model`."""
    clone = clone_around(environment)
    if not target.startswith(URL_SCHEMES):
        with open_model(target, clone) as model:
            yield model
        return
    from hundredweight.client.weight_urls import WebPlaces

    with WebPlaces(Git(), environment.variables) as web, open_model(target, clone, web.locate) as model:
        yield model


def printable(text: str) -> str:
    """`text` without control characters: names come from files, and a terminal obeys them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
