"""The versions of LFS files, path by path, in the order in which history brought them: for what is done by history.

What is staged counts as the newest version. Versions are found whether their objects are here or not; in a partial clone, as far
as their pointers are: nothing is fetched to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.git.scan import FileVersion, blobs_here, index_entries, read_pointers, scan_versions, small_blobs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hundredweight.base.ids import Oid
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git


@dataclass(frozen=True, slots=True)
class Version:
    """`commit` first had the object at that path, at `seconds`; it is empty for what is only staged."""

    path: str
    oid: Oid
    size: int
    commit: str
    seconds: int


class NoVersions(UsageError):
    """No commit, and not the index, has an LFS file at a path that was named. `pathspec` is what was named."""

    hint = "'git lfs ls-files --all' lists the LFS files of all commits"

    def __init__(self, pathspec: str) -> None:
        super().__init__(f"no version of '{pathspec}' is an LFS file")
        self.pathspec = pathspec


def list_versions(workspace: Workspace) -> list[Version]:
    """Every version of every path, the oldest first; an object counts once at each path. Raises `ScanError`."""
    return _resolve(workspace, _listed(workspace.git, bare=workspace.repository.bare))


def select(workspace: Workspace, pathspecs: Sequence[str]) -> set[tuple[str, Oid]]:
    """Path and object of the versions that git's pathspecs name, from where the user is. Raises `NoVersions`, `ScanError`."""
    found: set[tuple[str, Oid]] = set()
    for pathspec in pathspecs:
        listed = _listed(workspace.repository.git, pathspec, bare=workspace.repository.bare)
        named = {(version.path, version.oid) for version in _resolve(workspace, listed)}
        if not named:
            raise NoVersions(pathspec)
        found |= named
    return found


def _listed(git: Git, *pathspecs: str, bare: bool) -> Iterator[FileVersion]:
    yield from scan_versions(git, *pathspecs)
    if not bare:
        for entry in index_entries(git, *pathspecs):
            yield FileVersion(entry.blob, entry.path, "", 0)


def _resolve(workspace: Workspace, listed: Iterator[FileVersion]) -> list[Version]:
    files: dict[tuple[str, str], FileVersion] = {}
    for file in listed:
        files.setdefault((file.blob, file.path), file)
    small = small_blobs(workspace.git, blobs_here(workspace.git, workspace.config, files))
    pointers = {found.blob: found.pointer for found in read_pointers(workspace.git, small)}
    versions: dict[tuple[str, Oid], Version] = {}
    for file in files.values():
        pointer = pointers.get(file.blob)
        if pointer is not None and pointer.size:
            made = Version(file.path, pointer.oid, pointer.size, file.commit, file.seconds)
            versions.setdefault((file.path, pointer.oid), made)
    return list(versions.values())
