"""What a clone keeps about objects to save time, removed when it is of no use any more. Any of it may go at any time.

`lfs/recipes` has how loose objects are cut; `hundredweight/tensors` and `hundredweight/recipes` below the common git folder what
the tensors of objects hash to, whether these are here or not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.ids import InvalidId, Oid
from hundredweight.base.trace import trace
from hundredweight.client.versions import list_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hundredweight.client.workspace import Workspace

OLD = 3600.0
"""Seconds after which nobody is just using what was kept."""


def sweep_caches(workspace: Workspace, now: float) -> int:
    """Remove what is kept about objects that are not loose any more (recipes), or neither here nor in any commit or the index
    (tensors). How many files went; what cannot be removed is left for the next time. Raises `ScanError`."""
    store = workspace.store
    gone = [path for oid, path in _kept(workspace.lfs_folder, "recipes", now) if store.loose_size(oid) < 0]
    told = os.path.join(workspace.repository.common_dir, "hundredweight")
    away = [
        (oid, path) for name in ("tensors", "recipes") for oid, path in _kept(told, name, now) if store.size(oid) < 0
    ]
    if away:
        known = {version.oid for version in list_versions(workspace)}
        gone += [path for oid, path in away if oid not in known]
    return sum(_remove(path) for path in gone)


def _kept(root: str, name: str, now: float) -> Iterator[tuple[Oid, str]]:
    for folder, _, files in os.walk(os.path.join(root, name)):
        for file in files:
            path = os.path.join(folder, file)
            try:
                if now - os.lstat(path).st_mtime > OLD:
                    yield Oid.parse(file), path
            except (InvalidId, OSError):
                # Not ours, or another process was quicker.
                continue


def _remove(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError as error:
        trace(f"cannot remove '{path}': {error.strerror}")
        return False
    return True
