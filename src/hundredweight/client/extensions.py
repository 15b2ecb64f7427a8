"""Whether pointer extensions (`lfs.extension.*`) come into it at all; `client/extension_pipe.py` runs them."""

from __future__ import annotations

from hundredweight.base.errors import CwtError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.git.config import Config


class ExtensionUnavailable(CwtError):
    """A file's content has to pass through an extension that is not configured here. `name` tells which."""

    hint = "configure 'lfs.extension.NAME.clean', '.smudge' and '.priority', or set GIT_LFS_SKIP_SMUDGE=1 to keep the pointer"

    def __init__(self, name: str) -> None:
        super().__init__(f"extension '{name}' is not configured")
        self.name = name


def are_configured(config: Config) -> bool:
    """Whether cleaning has to pass through any extension."""
    return any(name.startswith("extension.") for name in config.subsections("lfs", "clean"))


def refuse_configured(config: Config) -> None:
    """Raises `ExtensionUnavailable` when any is configured, for actions that store content without running them."""
    for name in config.subsections("lfs", "clean"):
        if name.startswith("extension."):
            raise ExtensionUnavailable(name.removeprefix("extension."))
