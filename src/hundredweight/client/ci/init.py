"""`cwt ci init`: workflow files for a host, written where nothing is yet.

The files are templates in this package, complete as they are: what differs from repository to repository stands in
`hundredweight.toml` and in the host's variables.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from hundredweight.base.files import write_file


class Host(StrEnum):
    GITHUB = "github"
    GITLAB = "gitlab"


class State(StrEnum):
    """What is with a file: still to write, as it should be, or changed by somebody."""

    MISSING = "missing"
    SAME = "same"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class CiFile:
    """`path` is relative to the top of the work tree, with slashes."""

    path: str
    content: bytes
    state: State


@dataclass(frozen=True, slots=True)
class CiPlan:
    """`advice` is what only people can do, one line each."""

    files: tuple[CiFile, ...]
    advice: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[CiFile, ...]:
        return tuple(file for file in self.files if file.state is State.MISSING)


_FOLDERS = {Host.GITHUB: ".github/workflows", Host.GITLAB: ".gitlab"}
_GITLAB_MAIN = ".gitlab-ci.yml"
_INCLUDED = f"{_FOLDERS[Host.GITLAB]}/hundredweight.yml"
_GITLAB_INCLUDE = f"include:\n  - local: {_INCLUDED}\n"


def plan_ci(work_tree: str, host: Host) -> CiPlan:
    """The files of a host, and what is with each."""
    templates = resources.files(__package__) / "templates" / host
    contents = {
        f"{_FOLDERS[host]}/{template.name}": template.read_bytes()
        for template in sorted(templates.iterdir(), key=lambda entry: entry.name)
        if template.name.endswith(".yml")
    }
    files = [_file(work_tree, path, content) for path, content in contents.items()]
    advice = []
    if host is Host.GITLAB:
        main = _file(work_tree, _GITLAB_MAIN, _GITLAB_INCLUDE.encode())
        if main.state is not State.CHANGED:
            files.append(main)
        elif _INCLUDED not in _read(work_tree, _GITLAB_MAIN).decode(errors="replace"):
            advice.append(f"add '- local: {_INCLUDED}' under 'include:' in {_GITLAB_MAIN}")
    return CiPlan(tuple(files), tuple(advice))


def write_ci(work_tree: str, plan: CiPlan, *, replace: bool = False) -> tuple[CiFile, ...]:
    """Write what is missing, and with `replace` what is changed too; gives what was written. Raises `WriteError`."""
    wanted = tuple(
        file for file in plan.files if file.state is State.MISSING or (replace and file.state is State.CHANGED)
    )
    for file in wanted:
        path = os.path.join(work_tree, file.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_file(path, file.content)
    return wanted


def _file(work_tree: str, path: str, content: bytes) -> CiFile:
    if not os.path.lexists(os.path.join(work_tree, path)):
        return CiFile(path, content, State.MISSING)
    return CiFile(path, content, State.SAME if _read(work_tree, path) == content else State.CHANGED)


def _read(work_tree: str, path: str) -> bytes:
    with open(os.path.join(work_tree, path), "rb") as file:
        return file.read()
