"""Pointer extensions (`lfs.extension.*`): content that passed through another program on its way into the store.

Their filters are not run yet. Data that needs one is refused: wrong bytes in a work tree are worse than none.
"""

from __future__ import annotations

from hundredweight.base.errors import CwtError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.git.config import Config
    from hundredweight.protocol.pointer import Pointer


class ExtensionUnavailable(CwtError):
    """A file's content has to pass through an extension that cannot be run here. `name` tells which."""

    hint = "use another Git LFS client for this file, or set GIT_LFS_SKIP_SMUDGE=1 to keep its pointer"

    def __init__(self, name: str) -> None:
        super().__init__(f"extension '{name}' is not supported")
        self.name = name


def refuse_extensions(pointer: Pointer) -> None:
    """Raises `ExtensionUnavailable` when smudging `pointer` needs an extension."""
    for extension in pointer.extensions:
        raise ExtensionUnavailable(extension.name)


def refuse_configured(config: Config) -> None:
    """Raises `ExtensionUnavailable` when cleaning has to pass through an extension."""
    for name in config.subsections("lfs", "clean"):
        if name.startswith("extension."):
            raise ExtensionUnavailable(name.removeprefix("extension."))
