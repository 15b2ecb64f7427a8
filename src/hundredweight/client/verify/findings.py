"""What a verification finds: each fault with its place and the command that mends it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """An error fails the verification; a warning does so only when asked."""

    ERROR = "error"
    WARNING = "warning"


CHECKS = {
    "checkout": "files of the work tree are those of the commit, weights are no pointers",
    "storage": "weights, pickles and big files are in Git LFS",
    "attributes": ".gitattributes gives every weight format to Git LFS",
    "release": "weights, data and environment are those of the recommended release, or of the one named",
    "tags": "tags stand where they were put, and are signed where that is asked for",
    "remote": "the remote has every object and the same tags",
}
"""Groups of findings, as reports name them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` names the kind, `check` its group; `path` is a file from the top of the repository, empty where it is none;
    `mend` is a command line."""

    check: str
    code: str
    text: str
    path: str = ""
    mend: str = ""
    severity: Severity = Severity.ERROR


@dataclass
class Report:
    """`revision` is what was asked for, empty for the work tree. `done` are the groups that were checked; `unchecked` says what
    could not be, and why."""

    revision: str
    commit: str
    files: int = 0
    weights: int = 0
    release: str = ""
    findings: list[Finding] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    unchecked: dict[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        return [found for found in self.findings if found.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Finding]:
        return [found for found in self.findings if found.severity is Severity.WARNING]


def command(*words: str) -> str:
    """A command line that a shell takes as it stands."""
    return shlex.join(words)
