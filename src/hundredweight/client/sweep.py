"""What killed commands left behind in the local store: removed once it is an hour old, and nobody can be using it.

Files in `lfs/tmp`, and in `lfs/incomplete` those that a second downloader of the same object had for itself; parts
(`OID.part`) stay: the next download continues them.
"""

from __future__ import annotations

import os

from hundredweight.base.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.store.loose import LooseStore

OLD = 3600.0
_OID_LENGTH = 64


def sweep(store: LooseStore, now: float) -> None:
    """Never fails: what cannot be removed is left for the next time."""
    for folder, _, names in os.walk(store.temp):
        # A young folder may hold links to files of other repositories, which look old and are in use.
        keep_old = folder != store.temp and not _is_old(folder, now)
        for name in names:
            path = os.path.join(folder, name)
            oid, dash, _ = name.partition("-")
            if dash and len(oid) == _OID_LENGTH and os.path.isfile(_object_path(store, oid)):
                _remove(path, "existing")
            elif not keep_old and _is_old(path, now):
                _remove(path, "old")
    for path in _private_downloads(store):
        if _is_old(path, now):
            _remove(path, "old")


def _private_downloads(store: LooseStore) -> list[str]:
    try:
        names = os.listdir(store.incomplete)
    except OSError:
        return []
    return [os.path.join(store.incomplete, name) for name in names if name[_OID_LENGTH : _OID_LENGTH + 1] == "-"]


def _object_path(store: LooseStore, oid: str) -> str:
    return os.path.join(store.objects, oid[:2], oid[2:4], oid)


def _is_old(path: str, now: float) -> bool:
    try:
        return now - os.lstat(path).st_mtime > OLD
    except OSError:
        return False


def _remove(path: str, kind: str) -> None:
    trace(f"Removing {kind} tmp object file: {path}")
    try:
        os.unlink(path)
    except OSError as error:
        trace(f"cannot remove '{path}': {error.strerror}")
