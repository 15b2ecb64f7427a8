"""`hundredweight.toml`, as it stands in a work tree or in a revision."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import LocalError
from hundredweight.git.objects import ObjectReader
from hundredweight.lineage.settings import FILE, LineageSettings, parse

if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git


def of_work_tree(workspace: Workspace) -> LineageSettings:
    """What the file in the work tree says; the defaults where there is none, and in a bare repository. Raises `RecordInvalid`."""
    if workspace.repository.bare:
        return LineageSettings()
    path = os.path.join(workspace.repository.work_tree, FILE)
    try:
        with open(path, "rb") as file:
            return parse(file.read())
    except FileNotFoundError:
        return LineageSettings()
    except OSError as error:
        raise LocalError(f"cannot read '{path}': {error.strerror or error}") from error


def of_revision(git: Git, rev: str) -> LineageSettings:
    """What the file in the tree of `rev` says; the defaults where there is none. Raises `RecordInvalid`."""
    with ObjectReader(git) as reader:
        found = next(iter(reader.contents([f"{rev}:{FILE}"])))
    if found is None or found[0].kind != "blob":
        return LineageSettings()
    return parse(found[1], f"{rev}:{FILE}")
