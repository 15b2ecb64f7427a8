"""The root of every error this project raises on purpose.

Message, hint and exit code are three things. The message is lower case, has no full stop, says first what
failed and puts the subject in 'single quotes'. The hint is a sentence that names the command that mends it.
The type tells whose fault it is: `UsageError` (the caller's), `RemoteError` (the other side's),
`LocalError` (this machine's: disk, permissions, a damaged store).
Errors live beside the code that raises them, derive from one of these, and carry their facts as attributes.
"""

from __future__ import annotations

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_REMOTE = 3
EXIT_DAMAGED = 4
EXIT_NOT_A_REPOSITORY = 128


class CwtError(Exception):
    """Something failed in a way that is understood. `str(error)` is the message."""

    exit_code: int = EXIT_FAILURE
    hint: str = ""
    git_lfs_text: str = ""
    """What git-lfs says about it, where scripts rely on its words and they differ from the message."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint

    @property
    def message(self) -> str:
        return str(self)


class UsageError(CwtError):
    """The command line or an argument is wrong. Nothing was done."""

    exit_code = EXIT_USAGE


class LocalError(CwtError):
    """This machine could not do it (disk full, no permission). What was complete before stays."""


class RemoteError(CwtError):
    """The other side refused or misbehaved. `temporary` says whether the same request may succeed later."""

    exit_code = EXIT_REMOTE

    def __init__(self, message: str, *, hint: str = "", temporary: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.temporary = temporary


class DamageError(CwtError):
    """Bytes are not what their name promises. Never published, never deleted silently."""

    exit_code = EXIT_DAMAGED
